"""Spans padded for the tree, and sums over the tokens that are scored and no others."""

from collections import defaultdict
from itertools import product

import numpy as np
import pyarrow as pa
import pytest

from duo.oracle import spans

SPANS = pa.table(
    {
        "domain": ["text", "text", "text", "code"],
        "document": ["a", "b", "c", "a"],
        "cluster": ["x", "x", "y", "x"],
        "bytes": np.array([7, 9, 3, 11], np.int32),
        "context": np.array([1, 2, 1, 3], np.int32),
        "tokens": pa.array([[0, 5, 6, 7], [8, 9, 3, 4, 5, 6], [0, 2], [4, 4, 4, 1]], pa.list_(pa.uint16())),
    }
)
SHARES = {2: 0.5, 3: 0.75}


def test_padding_comes_after_the_span():
    sample = spans.padded(SPANS)
    assert sample.tokens.shape == (4, 5) and sample.clusters == ["x", "x", "y", "x"]
    for row, ids in enumerate(SPANS["tokens"].to_pylist()):
        assert sample.tokens[row, : len(ids) - 1].tolist() == ids[:-1]
        assert sample.labels[row, : len(ids) - 1].tolist() == ids[1:]
        assert not sample.labels[row, len(ids) - 1 :].any()


def test_what_is_scored_is_what_follows_the_context():
    sample, found = spans.padded(SPANS), spans.scored(SPANS).to_pylist()
    for row, span in enumerate(SPANS.to_pylist()):
        positions = [
            each["position"]
            for each in found
            if (each["domain"], each["document"]) == (span["domain"], span["document"])
        ]
        assert sample.labels[row, positions].tolist() == span["tokens"][span["context"] :]


def test_rows_of_a_split_are_an_evaluation_set():
    packed = {"text": np.arange(12, dtype=np.uint16).reshape(3, 4), "code": np.arange(20, 24, dtype=np.uint16)[None]}
    sample = spans.of_rows(packed, 2)
    assert sample.domains == ["text", "text", "code"]
    assert sample.tokens.tolist() == [[0, 1, 2], [4, 5, 6], [20, 21, 22]]
    assert (sample.labels == sample.tokens + 1).all()


def per_token(sample) -> list[list[dict]]:
    """Rows of CHOICES, PREDICTIONS and MATCHED, of every token, padding too."""
    rng, (choices, predictions, matched) = np.random.default_rng(0), ([], [], [])
    for token in pa.table(sample.columns()).to_pylist():
        for budget in SHARES:
            gains = zip(("reference_loss", "gain", "matched_gain"), rng.random(3), strict=True)
            matched.append(token | {"budget": budget} | dict(gains))
        for chooser in ("own", "big"):
            predictions.append(token | {"chooser": chooser, "surprisal": rng.random()})
            for budget in SHARES:
                losses = zip(("loss", "expected", "null"), rng.random(3), strict=True)
                choices.append(token | {"budget": budget, "chooser": chooser} | dict(losses))
    return [choices, predictions, matched]


def of(rows: list[dict], **keys) -> dict:
    """The one row with these values."""
    (found,) = [row for row in rows if all(row[name] == value for name, value in keys.items())]
    return found


def test_sums_by_brute_force():
    choices, predictions, matched = rows = per_token(spans.padded(SPANS))
    expected = defaultdict(lambda: defaultdict(float))
    for span, budget, chooser in product(SPANS.to_pylist(), SHARES, ("own", "big")):
        sums = expected[span["domain"], span["cluster"], budget, chooser]
        sums["bytes"] += span["bytes"]
        for position in range(span["context"] - 1, len(span["tokens"]) - 1):
            token = {"domain": span["domain"], "document": span["document"], "position": position}
            choice = of(choices, **token, budget=budget, chooser=chooser)
            gained = of(matched, **token, budget=budget)
            sums["tokens"] += 1
            sums["reference"] += gained["reference_loss"]
            sums["oracle"] += gained["reference_loss"] - gained["gain"]
            sums["gain"] += gained["gain"]
            sums["matched_gain"] += gained["matched_gain"]
            sums["choice"] += choice["loss"]
            sums["expected"] += choice["expected"]
            sums["null"] += choice["null"]
            sums["surprisal"] += of(predictions, **token, chooser=chooser)["surprisal"]
    position = pa.field("position", pa.int32())
    tables = [pa.Table.from_pylist(each) for each in rows]
    tables = [table.set_column(3, position, table["position"].cast(pa.int32())) for table in tables]
    found = spans.sums("p", SPANS, *tables, SHARES)
    assert len(found) == len(expected) and found["point"].unique().to_pylist() == ["p"]
    for row in found.to_pylist():
        assert row["share"] == SHARES[row["budget"]]
        sums = expected[row["domain"], row["cluster"], row["budget"], row["chooser"]]
        assert {name: row[name] for name in sums} == pytest.approx(dict(sums))
