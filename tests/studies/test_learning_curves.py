"""Learning curves: gains against the fixed route of the same supervision, and what a router misses, by known truth."""

import numpy as np
import pyarrow as pa
import pytest

from duo.studies import learning_curves
from duo.studies.curves import LossFrom
from duo.studies.learning_curves import LearnedLoss
from duo.tables.learning import LEARNED, LEARNING_CURVES, LEARNING_STATISTICS
from workflow.studies import as_table

CLUSTERS, TOKENS, BUDGETS = [f"c{index}" for index in range(12)], 10, (2, 4)
TEACHER = "big"
FIXED = 5.0  # nats per token


def rows(size: int, policy: str, told: str, reads: str, gain: float) -> list[dict]:
    """LEARNED of one router, by how much less than the fixed route it loses; more where the budget is 4."""
    random = np.random.default_rng(len(policy) + len(told))
    noise = random.normal(0, 0.01, len(CLUSTERS))
    noise -= noise.mean()
    ids = {"model": "duo", "domain": "text", "learned_from": size, "policy": policy, "supervision": told}
    ids |= {"input": reads, "network": "linear", "tokens": TOKENS}
    return [
        ids | {"cluster": name, "budget": budget, "loss": TOKENS * (FIXED + 0.1 * budget - gain * budget / 3 + each)}
        for budget in BUDGETS
        for name, each in zip(CLUSTERS, noise, strict=True)
    ]


def study(true: float, expected: float, teacher: float) -> learning_curves.LearningCurves:
    """Gains at 1000 tokens, mean over budgets; at 100 tokens half of them."""
    learned = []
    for size, share in ((100, 0.5), (1000, 1.0)):
        learned += rows(size, "fixed", "true", "none", 0.0)
        learned += rows(size, "value", "true", "layers", share * true)
        learned += rows(size, "value", "expected", "layers", share * expected)
        learned += rows(size, "value", "true", "random", 0.0)
        learned += rows(size, "fixed", "expected", "none", 0.0)
    choices = [
        {name: row[name] for name in ("domain", "cluster", "budget")}
        | {"chooser": chooser, "loss": row["loss"] / TOKENS}
        for chooser, gain in ((TEACHER, teacher), ("own", 0.05))
        for row in rows(0, chooser, "", "", gain)
        for _ in range(TOKENS)
    ]
    choices += [row | {"budget": 6, "loss": 0.0} for row in choices[:1]]  # of a budget that no router has
    table = pa.Table.from_pylist(learned, LEARNED.schema)
    (found,) = learning_curves.gather("duo", table, pa.Table.from_pylist(choices), TEACHER)
    return found


def numbers(**gains: float) -> dict:
    found = study(**gains)
    return found.intervals(300, 0.95, seed=1)


def test_gains_are_over_the_fixed_route_of_as_much_supervision():
    found = numbers(true=0.1, expected=0.3, teacher=0.8)
    key = LearnedLoss(1000, "value", "true", "layers", None)
    assert found[key].value == pytest.approx(FIXED + 0.3 - 0.1)
    assert found[LossFrom(key, "fixed")].value == pytest.approx(-0.1)
    assert found[LossFrom(LearnedLoss(100, "value", "true", "layers", 4.0), "fixed")].value == pytest.approx(
        -0.05 * 4 / 3
    )
    assert found[learning_curves.gain_of(key)].value == pytest.approx(0.1)
    teacher = learning_curves.gain_of(LearnedLoss(1000, TEACHER, "", "none", None))
    assert found[teacher].value == pytest.approx(0.8)
    assert found[learning_curves.slope("value", "true", "layers")].value == pytest.approx(0.05)  # from 0.05 to 0.1


@pytest.mark.parametrize(
    ("true", "expected", "noise"), [(0.1, 0.7, True), (0.1, 0.2, False)], ids=["label noise", "information"]
)
def test_what_is_missed_is_taken_apart(true, expected, noise):
    found = numbers(true=true, expected=expected, teacher=0.8)
    assert found[learning_curves.missed("value", TEACHER)].value == pytest.approx(0.8 - true)
    assert found[learning_curves.by_noise("value", TEACHER)].value == pytest.approx(expected - true)
    assert found[learning_curves.without_noise("value", TEACHER)].value == pytest.approx(0.8 - expected)
    decided = found[learning_curves.noise_less_rest("value", TEACHER)]
    assert decided.value == pytest.approx((expected - true) - (0.8 - expected))
    assert decided.low > 0 if noise else decided.high < 0
    assert found[learning_curves.own_beyond("value")].value == pytest.approx(0.05 - expected)


def test_tables_hold_every_router_and_chooser():
    found = study(true=0.1, expected=0.3, teacher=0.8)
    tables = found.tables(found.intervals(100, 0.95, seed=1))
    curves = as_table(LEARNING_CURVES, tables[LEARNING_CURVES])
    assert len(curves) == (2 * 5 + 2) * 3 and curves["budget"].null_count == 12
    statistics = as_table(LEARNING_STATISTICS, tables[LEARNING_STATISTICS])
    assert {"chooser_gain", "learned_gain", "learned_slope", "missed", "noise_less_rest"} <= set(
        statistics["family"].to_pylist()
    )
