"""The same spans of text for tokenizers of different vocabularies.

Losses per token of models whose tokens differ can't be compared; losses per byte of the same text can. A window of the
evaluation set is so many tokens of one tokenizer, and its ends may lie inside a word that another tokenizer cuts
elsewhere, or inside a character. But all byte-level BPEs here cut a text into the same words first (with the blanks
before them, runs of punctuation, runs of blanks), and merge bytes within a word alone. So every end of a word is an end
of a token in all of them. A span is therefore a window less the parts of words at its two ends: whole tokens spell it
exactly, whatever the vocabulary, and no token is cut that the tokenizer wouldn't cut in the whole document.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from tokenizers import Tokenizer, pre_tokenizers

from duo.data import tokenizer as tokenizers
from duo.data.tokenizer import BOS_ID
from duo.errors import InputError

Texts = Mapping[tuple[str, str], str]  # of documents, by domain and id


@dataclass(frozen=True)
class Span:
    """A piece of a document, in bytes: what is read from `context` on, what is scored from `start` to `end`.

    Where it begins the document, nothing is read before it but the BOS token. Else the first whole word of the window
    is read and not scored, as the window's first token is.
    """

    domain: str
    document: str
    cluster: str
    context: int
    start: int
    end: int


def words(text: str) -> np.ndarray:
    """[words + 1] the bytes before each word of a text, and all of its bytes: where no byte-level BPE joins bytes."""
    pieces = pre_tokenizers.ByteLevel(add_prefix_space=False).pre_tokenize_str(text)
    return np.cumsum([0, *(len(piece) for piece, _ in pieces)])  # a character of a piece stands for a byte


def texts(corpora: Mapping[str, pa.Table]) -> Texts:
    """The text of every document, from the columns id and text of DOCUMENTS by domain."""
    return {
        (domain, name): text
        for domain, table in corpora.items()
        for name, text in zip(table["id"].to_pylist(), table["text"].to_pylist(), strict=True)
    }


def first(windows: pa.Table, count: int) -> pa.Table:
    """The first windows of every domain of an evaluation set."""
    domains = windows["domain"].to_numpy(zero_copy_only=False)
    return windows.take(
        np.concatenate([np.flatnonzero(domains == domain)[:count] for domain in dict.fromkeys(domains)])
    )


def choose(windows: pa.Table, texts: Texts, own: Tokenizer, finest: Tokenizer, sequence: int) -> list[Span]:
    """The spans in the windows of an evaluation set, in its order.

    windows: columns of EVALUATION_SET, tokens being `own`'s. finest: the tokenizer of the smallest vocabulary, whose
    tokens are shortest; a span ends with the last word that still fits into `sequence` of them and one more, so that
    every vocabulary has it within the context length. A window without a whole word to score gives no span.
    """
    spans = []
    for window in windows.to_pylist():
        text = texts[window["domain"], window["document"]]
        mine, shortest = (ends(each, tokenizers.encode_one(each, text)) for each in (own, finest))
        first, last = window["start"], window["start"] + len(window["tokens"]) - 1
        begins = first == 0  # with the BOS token, which is no byte of the text
        inside = words(text)
        inside = inside[(inside >= mine[max(first - 1, 0)]) & (inside <= mine[last])]
        context, start = (0, 0) if begins else (*inside[:2], np.inf, np.inf)[:2]
        ids = np.searchsorted(shortest, inside) - np.searchsorted(shortest, context) + begins
        fits = inside[(inside > start) & (ids <= sequence + 1)]
        if len(fits):
            ids = (window[name] for name in ("domain", "document", "cluster"))
            spans.append(Span(*ids, int(context), int(start), int(fits[-1])))
    return spans


def encode(spans: Sequence[Span], texts: Texts, tokenizer: Tokenizer) -> dict[str, list]:
    """Columns of SPANS: the spans in the tokens of any byte-level BPE, each document being encoded as a whole.

    InputError where a span doesn't end with a token.
    """
    rows = [_tokens(span, texts[span.domain, span.document], tokenizer) for span in spans]
    return {
        "domain": [span.domain for span in spans],
        "document": [span.document for span in spans],
        "cluster": [span.cluster for span in spans],
        "byte": np.array([span.start for span in spans], np.int32),
        "bytes": np.array([span.end - span.start for span in spans], np.int32),
        "context": np.array([context for context, _ in rows], np.int32),
        "tokens": pa.array([tokens for _, tokens in rows], pa.list_(pa.uint16())),
    }


def metrics(columns: Mapping[str, list | np.ndarray]) -> dict[str, dict[str, float]]:
    """Spans, bytes, scored tokens and bytes per token by domain, from columns of SPANS."""
    domains = np.array(columns["domain"])
    tokens = np.array([len(ids) for ids in columns["tokens"]]) - columns["context"]
    sums = {
        str(domain): {
            "spans": int((domains == domain).sum()),
            "bytes": int(columns["bytes"][domains == domain].sum()),
            "tokens": int(tokens[domains == domain].sum()),
        }
        for domain in dict.fromkeys(domains)
    }
    return {domain: found | {"bytes_per_token": found["bytes"] / found["tokens"]} for domain, found in sums.items()}


def _tokens(span: Span, text: str, tokenizer: Tokenizer) -> tuple[int, np.ndarray]:
    """How many of the span's tokens are read and not scored, and all of its tokens."""
    ids = tokenizers.encode_one(tokenizer, text)
    spelt = ends(tokenizer, ids)
    borders = np.array([span.context, span.start, span.end])
    context, start, end = places = np.searchsorted(spelt, borders)
    if not np.array_equal(spelt[places], borders):
        raise InputError(
            f"domain {span.domain!r}, document {span.document!r}: the span of bytes {span.context} to {span.end} does "
            "not end with a token; its tokenizer should be a byte-level BPE"
        )
    tokens = ids[context:end]
    return (1, np.insert(tokens, 0, BOS_ID)) if start == 0 else (start - context, tokens)


def ends(tokenizer: Tokenizer, ids: np.ndarray) -> np.ndarray:
    """[tokens + 1] the bytes before each token of a text with these ids, and all of its bytes."""
    return np.cumsum([0, *(len(tokenizer.id_to_token(each)) for each in ids.tolist())])
