"""Text and tokens: file names and schemas with units."""

import pyarrow as pa
import pyarrow.compute as pc

from duo.tables import fields
from duo.tables.fields import field, table
from duo.tables.files import File, Metrics, Table, matrix

# What models are trained on; what settings are chosen on; what is judged; and what routers with exact supervision learn
# from, which the backbone has seen as little as what it is judged on.
SPLITS = ("train", "validation", "test", "routing")
HELD_OUT_SPLITS = SPLITS[1:]

DOCUMENTS = table(
    "corpus/{domain}/documents.parquet",
    field("id", pa.string(), "unique in its domain"),
    fields.DOMAIN,
    fields.CLUSTER,
    field("split", pa.string(), "train, validation, test or routing"),
    field("source", pa.string(), "where the document comes from, with its attribution"),
    field("licence", pa.string(), "SPDX name"),
    field("text", pa.string(), "the document"),
)

# What was no document: of its source, and, by its length, of the tokens.
LEFT_OUT = table(
    "corpus/{domain}/left_out.parquet",
    field("id", pa.string(), "as a document's"),
    field("reason", pa.string(), "blank, repeated, no text, not UTF-8, not JSON or too long"),
)
# Documents, shortest and longest, scripts, and how much was left out by reason.
CORPUS_METRICS = Metrics("corpus/{domain}/metrics.json")

SHORT = table(
    "tokens/left_out.parquet",
    fields.DOMAIN,
    fields.DOCUMENT,
    field("tokens", pa.int32(), "so few that there is nothing to predict"),
)

TOKENIZER = File("tokens/tokenizer.json")

# What training reads, packed: documents one after the other, each behind the BOS token, cut in equal rows.
PACKED = table(
    "tokens/packed.parquet",
    fields.DOMAIN,
    field("split", pa.string(), "train or validation"),
    field("tokens", pa.list_(pa.uint16()), "a context and the token after it: sequence + 1 ids"),
)


def packed(split: str, table: Table = PACKED) -> "dict[str, numpy.ndarray]":  # noqa: F821
    """Rows [rows, sequence + 1] of PACKED, or of a table like it, in a split, by domain."""
    found = table.read()
    domains, splits = found["domain"].to_numpy(zero_copy_only=False), found["split"].to_numpy(zero_copy_only=False)
    tokens = matrix(found["tokens"])
    return {str(domain): tokens[(domains == domain) & (splits == split)] for domain in dict.fromkeys(domains)}


# What training does not read, one row per document.
HELD_OUT = table(
    "tokens/held_out.parquet",
    fields.DOMAIN,
    fields.DOCUMENT,
    fields.CLUSTER,
    field("split", pa.string(), "validation, test or routing"),
    field("tokens", pa.list_(pa.uint16()), "the BOS token, then the whole document"),
)


def held_out(split: str) -> pa.Table:
    """The rows of HELD_OUT in a split."""
    table = HELD_OUT.read()
    return table.filter(pc.equal(table["split"], split))


# The windows of documents that everything is evaluated on (split test), that routers learn from the losses of
# (routing), and that their settings and the choosers' temperatures are chosen on (validation).
EVALUATION_SET = table(
    "evaluation_set/{split}.parquet",
    fields.DOMAIN,
    fields.DOCUMENT,
    fields.CLUSTER,
    field("start", pa.int32(), "index in the document of the first token, the BOS token counted"),
    field("bytes", pa.int32(), "of the text that the labels spell"),
    field("tokens", pa.list_(pa.uint16()), "a context and the token after it: evaluation_set.tokens + 1 ids"),
)

# The same places in the tokens of a pretrained model.
OWN_WINDOWS = table(
    "pretrained_windows/{model}/{split}.parquet",
    fields.DOMAIN,
    fields.DOCUMENT,
    fields.CLUSTER,
    field("start", pa.int32(), "bytes of the document before the window"),
    field("bytes", pa.int32(), "of the text that the labels spell"),
    field("tokens", pa.list_(pa.uint32()), "the token that begins a text, one behind it, and those to be scored"),
)

# By split and domain: windows, clusters, tokens and bytes, and how many documents were passed over, by reason.
EVALUATION_SET_METRICS = Metrics("evaluation_set/metrics.json")

# Tokens, documents and bytes of every domain and split.
TOKEN_METRICS = Metrics("tokens/metrics.json")

# Multiple-choice items: one beginning, four ends, of which one is its document's own.
_ITEM = field("item", pa.int32(), "index of the item in its domain")

_LABEL = field("label", pa.int32(), "index of the true ending")

MULTIPLE_CHOICE = table(
    "multiple_choice/items.parquet",
    fields.DOMAIN,
    fields.DOCUMENT,
    fields.CLUSTER,
    _ITEM,
    field("position", pa.int32(), "index in the document of the context's first token"),
    field("context", pa.string(), "the beginning, ablation.context tokens of the document"),
    field("endings", pa.list_(pa.string()), "ablation.continuation tokens each"),
    _LABEL,
)

# Questions of other people's tasks, those of a task in random order.
QUESTIONS = table(
    "tasks/questions.parquet",
    field("task", pa.string(), "a key of params tasks"),
    field("question", pa.string(), "id of the question in its task"),
    field("context", pa.string(), "what the model reads first"),
    field("endings", pa.list_(pa.string()), "the answers, each of which follows the context behind a space"),
    field("label", pa.int32(), "index of the right answer"),
)

CACHE = File("cache/{name}")
