"""The places of the evaluation set in the tokens of another model.

A pretrained model has a tokenizer of its own. It reads the same documents from the same places on, as many tokens as it
is asked to; before them stands the token that begins a text, since models are trained to see it first. What follows
that one is not scored. Its tokens are longer than ours: where a place near the end of a document leaves too few of
them, the window begins earlier, with the last word that leaves enough.
"""

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from tokenizers import Tokenizer

from duo.data import evaluation_set, spans
from duo.data import tokenizer as tokenizers
from duo.data.evaluation_set import EvaluationSet
from duo.data.spans import Texts
from duo.errors import InputError
from duo.model.pretrained import CONTEXT, beginning
from duo.tables.data import OWN_WINDOWS


def read(model: str, split: str) -> EvaluationSet:
    """The evaluation set of a split for a pretrained model, from OWN_WINDOWS."""
    return evaluation_set.of_windows(OWN_WINDOWS.read(model=model, split=split), CONTEXT)


def choose(
    windows: pa.Table, texts: Texts, ours: Tokenizer, theirs: Any, vocabulary: int, documents: int, tokens: int
) -> pa.Table:
    """OWN_WINDOWS: in every domain, the first places whose documents have so many tokens, and CONTEXT to be read first.

    windows: EVALUATION_SET of one split, tokens being `ours`'s. theirs: the model's tokenizer, of transformers;
    vocabulary: of the model. InputError where a domain has fewer such places, or a token is none of the model's.
    """
    rows = []
    for domain in windows["domain"].unique().to_pylist():
        places = windows.filter(pc.equal(windows["domain"], domain)).to_pylist()
        found = [row for place in places if (row := _window(place, texts, ours, theirs, tokens))][:documents]
        if len(found) < documents:
            raise InputError(
                f"domain {domain!r}: {len(found)} of {len(places)} windows of the evaluation set are of documents with "
                f"{CONTEXT + tokens} tokens of the pretrained model; should be {documents}"
            )
        rows += found
    most = max(max(row["tokens"]) for row in rows)
    if most >= vocabulary:
        raise InputError(f"tokenizer: gives token {most}, but the model has {vocabulary}; it is another model's")
    return pa.Table.from_pylist(rows, schema=OWN_WINDOWS.schema)


def _window(place: dict, texts: Texts, ours: Tokenizer, theirs: Any, tokens: int) -> dict | None:
    """A row of OWN_WINDOWS from the first whole word of a window on, or the last before it that leaves enough tokens;
    None where the document has too few.
    """
    text = texts[place["domain"], place["document"]]
    spelt = theirs(text, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
    needed = CONTEXT + tokens
    if len(spelt) < needed:
        return None
    latest = len(text[: spelt[-needed][0]].encode())
    words = spans.words(text)
    for start in words[words <= min(latest, _first_word(text, ours, place["start"]))][::-1].tolist():
        rest = text.encode()[start:].decode()
        encoded = theirs(rest, add_special_tokens=False, return_offsets_mapping=True)
        ids, ends = encoded["input_ids"][:needed], [end for _, end in encoded["offset_mapping"][:needed]]
        if len(ids) == needed:
            scored = rest[ends[CONTEXT - 1] : ends[-1]]
            kept = {name: place[name] for name in ("domain", "document", "cluster")}
            return kept | {"start": start, "bytes": len(scored.encode()), "tokens": [beginning(theirs), *ids]}
    return None


def _first_word(text: str, ours: Tokenizer, start: int) -> int:
    """The bytes before the first whole word that begins at or behind our token `start`, the BOS token counted."""
    if start == 0:
        return 0
    spelt = spans.ends(ours, tokenizers.encode_one(ours, text))
    words = spans.words(text)
    return int(words[words >= spelt[start - 1]][0])


def counts(table: pa.Table) -> dict[str, dict[str, int]]:
    """Windows, clusters, tokens and bytes of every domain, from OWN_WINDOWS."""
    found = {}
    for domain in table["domain"].unique().to_pylist():
        rows = table.filter(pc.equal(table["domain"], domain))
        found[domain] = {
            "windows": len(rows),
            "clusters": len(rows["cluster"].unique()),
            "tokens": len(rows) * (len(rows["tokens"][0]) - 1 - CONTEXT),
            "bytes": pc.sum(rows["bytes"]).as_py(),
        }
    return found
