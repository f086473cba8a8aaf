"""Text and tokens: file names and schemas with units."""

import pyarrow as pa

from duo.tables import fields
from duo.tables.fields import field, table
from duo.tables.files import File, Metrics, Table, matrix

SPLITS = ("train", "validation", "test")

DOCUMENTS = table(
    "corpus/{domain}/documents.parquet",
    field("id", pa.string(), "unique in its domain"),
    fields.DOMAIN,
    field("split", pa.string(), "train, validation or test"),
    field("source", pa.string(), "where the document comes from, with its attribution"),
    field("licence", pa.string(), "SPDX name"),
    field("text", pa.string(), "the document"),
)

TOKENIZER = File("tokens/tokenizer.json")

# The training split of every domain, packed: documents one after the other, each behind the BOS token, cut in
# equal rows.
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


# The test split, one row per document.
TEST_TOKENS = table(
    "tokens/test.parquet",
    fields.DOMAIN,
    fields.DOCUMENT,
    pa.field(
        "tokens", pa.list_(pa.uint16()), nullable=False, metadata={"meaning": "the mark, then the whole document"}
    ),
)

# Tokens, documents and bytes of every domain and split.
TOKEN_METRICS = Metrics("tokens/metrics.json")

# Multiple-choice items: one beginning, four ends, of which one is its document's own.
_ITEM = field("item", pa.int32(), "index of the item in its domain")

_LABEL = field("label", pa.int32(), "index of the true ending")

MULTIPLE_CHOICE = table(
    "multiple_choice/items.parquet",
    fields.DOMAIN,
    fields.DOCUMENT,
    _ITEM,
    field("position", pa.int32(), "index in the document of the context's first token"),
    field("context", pa.string(), "the beginning, ablation.context tokens of the document"),
    field("endings", pa.list_(pa.string()), "ablation.continuation tokens each"),
    _LABEL,
)

CACHE = File("cache/{name}")
