"""Small, big or skip: the curves over the numbers of big and skipped layers are the means over tokens."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from made_up import tabled

from duo.studies.curves import LossFrom
from duo.studies.three_way import CellLoss, ThreeWayCurves
from duo.tables.studies import THREE_WAY_CURVES

LAYERS = 4
PAIRS = [(big, skip) for big in range(LAYERS + 1) for skip in range(LAYERS + 1 - big)]
LENGTHS = {"d0": 5, "d1": 2, "d2": 5}  # documents of unlike length


@pytest.fixture
def table() -> pa.Table:
    """THREE_WAY of losses in which every big layer takes off 1, every skipped one adds 2, and chance adds up to 0.1."""
    rng = np.random.default_rng(0)
    rows = []
    for document, length in LENGTHS.items():
        for position, (big, skip) in ((position, pair) for position in range(length) for pair in PAIRS):
            routes = int(rng.integers(1, 5))
            losses = 10 - big + 2 * skip + rng.random(routes) / 10
            row = {"model": "duo", "domain": "text", "document": document, "cluster": document, "position": position}
            row |= {"big": big, "skip": skip, "routes": routes, "oracle_route": 0}
            rows.append(row | {"oracle_loss": losses.min(), "loss_sum": losses.sum()})
    return pa.Table.from_pylist(rows)


def test_curves_are_the_means_over_tokens(table, tmp_path, monkeypatch):
    monkeypatch.setattr("duo.tables.files.ROOT", tmp_path)
    study = ThreeWayCurves(table)
    THREE_WAY_CURVES.write(tabled(THREE_WAY_CURVES, (study, study.intervals(200, 0.95, seed=1))))
    rows = THREE_WAY_CURVES.read().to_pylist()
    assert len(rows) == 2 * len(PAIRS) and {(row["model"], row["domain"]) for row in rows} == {("duo", "text")}
    for row in rows:
        part = table.filter(pc.and_(pc.equal(table["big"], row["big"]), pc.equal(table["skip"], row["skip"])))
        losses = part["oracle_loss"] if row["strategy"] == "oracle" else pc.divide(part["loss_sum"], part["routes"])
        assert row["loss"] == pytest.approx(pc.mean(losses).as_py())
        assert row["low"] <= row["loss"] <= row["high"]
        assert row["loss"] == pytest.approx(10 - row["big"] + 2 * row["skip"], abs=0.11)
        assert row["perplexity"] == pytest.approx(np.exp(row["loss"]))
        assert row["from_all_big"] == pytest.approx(4 - row["big"] + 2 * row["skip"], abs=0.11)
        assert row["from_all_big_low"] <= row["from_all_big"] <= row["from_all_big_high"]


def test_all_big_is_at_no_distance_from_itself_and_all_else_at_its_difference(table):
    estimates = ThreeWayCurves(table).intervals(200, 0.95, seed=1)
    assert estimates[LossFrom(CellLoss("oracle", LAYERS, 0), "all_big")] == (0, 0, 0)
    difference, loss = estimates[LossFrom(CellLoss("mean", 1, 0), "all_big")], estimates[CellLoss("mean", 1, 0)]
    assert difference.value == pytest.approx(loss.value - estimates[CellLoss("mean", LAYERS, 0)].value)
