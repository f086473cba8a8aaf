"""The same spans of text for every vocabulary: what is scored is the same bytes, in whole tokens of the document."""

import numpy as np
import pyarrow as pa
import pytest

from duo.data import spans, tokenizer
from duo.errors import InputError

SEQUENCE = 24
# Words, umlauts, characters of three and four bytes, runs of blanks, punctuation.
PARTS = [
    "the cat ",
    "sät on ",
    "Straße ",
    "日本語の文 ",
    "😀😀 ",
    "def f(x):\n    return x\n",
    "   ",
    "1234 ",
    "it's ",
    "naïve ",
    "!?… ",
]


def documents(count: int, seed: int = 0) -> dict[tuple[str, str], str]:
    rng = np.random.default_rng(seed)
    return {("text", f"d{index}"): "".join(rng.choice(PARTS, 60)) for index in range(count)}


TEXTS = documents(40)
OWN, FINEST, COARSE = (tokenizer.train(list(TEXTS.values()), size) for size in (300, 270, 330))


def windows(length: int = 20) -> pa.Table:
    """A window of every document, at its beginning or at a random place, as of EVALUATION_SET."""
    rng, rows = np.random.default_rng(1), []
    for index, (domain, name) in enumerate(TEXTS):
        ids = np.insert(tokenizer.encode_one(OWN, TEXTS[domain, name]), 0, tokenizer.BOS_ID)
        start = 0 if index % 2 else int(rng.integers(1, len(ids) - length - 1))
        tokens = ids[start : start + length + 1].tolist()
        rows.append({"domain": domain, "document": name, "cluster": f"c{index // 4}", "start": start, "tokens": tokens})
    return pa.Table.from_pylist(rows)


def chosen() -> list[spans.Span]:
    return spans.choose(windows(), TEXTS, OWN, FINEST, SEQUENCE)


def scored(columns: dict, row: int, encoder) -> bytes:
    """The bytes that the labels of a span spell."""
    ids = columns["tokens"][row].as_py()[columns["context"][row] :]
    return encoder.decode(ids).encode()


def test_every_vocabulary_scores_the_same_bytes():
    found = chosen()
    assert len(found) > 30
    for encoder in (OWN, FINEST, COARSE):
        columns = spans.encode(found, TEXTS, encoder)
        for row, span in enumerate(found):
            text = TEXTS[span.domain, span.document].encode()[span.start : span.end]
            text.decode()  # whole characters
            assert scored(columns, row, encoder) == text
            assert columns["byte"][row] == span.start and columns["bytes"][row] == len(text)


def test_their_tokens_are_those_of_the_whole_document():
    for encoder in (OWN, FINEST, COARSE):
        columns = spans.encode(chosen(), TEXTS, encoder)
        for row, span in enumerate(chosen()):
            whole = tokenizer.encode_one(encoder, TEXTS[span.domain, span.document]).tolist()
            ids = columns["tokens"][row].as_py()
            if span.start == 0:
                assert ids == [tokenizer.BOS_ID, *whole[: len(ids) - 1]] and columns["context"][row] == 1
            else:
                assert any(whole[at : at + len(ids)] == ids for at in range(len(whole)))


def test_they_lie_in_their_windows_and_fit_the_context_length():
    found = {span.document: span for span in chosen()}
    tokens = {size: [] for size in ("own", "finest", "coarse")}
    for name, encoder in zip(tokens, (OWN, FINEST, COARSE), strict=True):
        tokens[name] = [len(ids) for ids in spans.encode(list(found.values()), TEXTS, encoder)["tokens"]]
    assert max(tokens["finest"]) <= SEQUENCE + 1
    assert all(
        finest >= own >= coarse
        for finest, own, coarse in zip(*(tokens[name] for name in ("finest", "own", "coarse")), strict=True)
    )
    for window in windows().to_pylist():
        if span := found.get(window["document"]):
            text = OWN.decode([id for id in window["tokens"] if id != tokenizer.BOS_ID])
            inside = TEXTS["text", window["document"]].encode()[span.context : span.end].decode()
            assert inside in text
            assert (span.start == 0) == (window["start"] == 0)
            assert span.context < span.start or span.start == 0


def test_a_window_within_one_word_gives_no_span():
    texts = {("text", "d"): "a" * 400}
    own, finest = (tokenizer.train(["b c"], 257) for _ in range(2))
    table = pa.Table.from_pylist(
        [{"domain": "text", "document": "d", "cluster": "d", "start": 5, "tokens": [ord("a")] * 9}]
    )
    assert spans.choose(table, texts, own, finest, SEQUENCE) == []


def test_a_tokenizer_that_joins_words_is_refused():
    texts = {("text", "d"): "one two three"}
    joined = spans.Span("text", "d", "d", 1, 5, 9)  # begins and ends inside words
    with pytest.raises(InputError, match="does not end with a token"):
        spans.encode([joined], texts, tokenizer.train(["one two three"] * 9, 264))


def test_first_windows_and_metrics():
    table = spans.first(windows(), 6)
    assert table["document"].to_pylist() == [f"d{index}" for index in range(6)]
    columns = spans.encode(spans.choose(table, TEXTS, OWN, FINEST, SEQUENCE), TEXTS, OWN)
    found = spans.metrics(columns)["text"]
    scored_tokens = sum(len(ids) for ids in columns["tokens"].to_pylist()) - sum(columns["context"])
    assert found["tokens"] == scored_tokens and found["bytes"] == sum(columns["bytes"])
    assert found["bytes_per_token"] == found["bytes"] / found["tokens"]
