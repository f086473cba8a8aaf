"""Measures of difficulty on made-up losses: planted difficulty is recovered once selection bias is taken off."""

import numpy as np
import pyarrow as pa
import pytest
from made_up import tabled
from made_up_synthetic import synthetic_tokens as table
from scipy.stats import spearmanr

from duo.data import synthetic
from duo.stats import Intervals, Statistic
from duo.studies.recovery import (
    Recovery,
    SyntheticMean,
    false_alarms,
    rank_correlation,
    rank_correlation_difference,
)
from duo.tables.studies import SYNTHETIC_CLASSES, SYNTHETIC_STATISTICS


@pytest.fixture(scope="module")
def planted() -> tuple[Recovery, Intervals]:
    study = Recovery(table())
    return study, study.intervals(200, 0.95, seed=1)


def test_planted_difficulty_is_recovered_once_selection_bias_is_off(planted):
    study, estimates = planted
    correlation, less = rank_correlation, rank_correlation_difference
    assert estimates[correlation("corrected_gap", "difficulty")] == pytest.approx((1, 1, 1))
    assert estimates[correlation("corrected_gap", "carry")] == pytest.approx((1, 1, 1))
    assert estimates[correlation("gap", "difficulty")].high < 0.7
    expected = spearmanr(study.values["gap"], study.entropy).statistic
    assert estimates[correlation("gap", "entropy")].value == pytest.approx(expected)
    assert estimates[correlation("loss", "difficulty")] == pytest.approx(estimates[correlation("gap", "difficulty")])
    assert estimates[less("gap", "loss", "difficulty")] == pytest.approx((0, 0, 0))
    assert estimates[less("corrected_gap", "gap", "difficulty")].low > 0.3


def test_noise_raises_no_alarm_once_selection_bias_is_off(planted):
    study, estimates = planted
    gap, noise = study.values["gap"], study.kinds["noise"]
    share = (gap[noise] >= np.median(gap[study.difficulty > 0])).mean()
    assert estimates[false_alarms("gap")].value == estimates[false_alarms("loss")].value == share > 0.3
    assert estimates[false_alarms("corrected_gap")] == pytest.approx((0, 0, 0))
    assert estimates[SyntheticMean("corrected_gap", "noise", 0)] == pytest.approx((0, 0, 0), abs=1e-12)
    assert estimates[SyntheticMean("gap", "noise", 0)].low > 3


def test_classes_are_by_kind_and_difficulty(planted):
    rows = tabled(SYNTHETIC_CLASSES, planted).to_pylist()
    known = [(row["kind"], row["difficulty"]) for row in rows]
    assert known[:5] == [("structure", 0), ("noise", 0), ("column", 0), ("copy", 1), ("sum", 2)]
    for row in rows:
        assert row["corrected_gap"] == pytest.approx(row["difficulty"])
        assert row["gap_low"] < row["gap"] < row["gap_high"]
        assert row["selection_bias"] == pytest.approx(row["gap"] - row["corrected_gap"])
    per_sequence = {"structure": 5, "noise": 16, "column": 6, "copy": 8}  # of one block
    assert {row["kind"]: row["tokens"] for row in rows if row["kind"] != "sum"} == {
        kind: 12 * n for kind, n in per_sequence.items()
    }
    assert rows[1]["entropy"] == pytest.approx(np.log(synthetic.ALPHABET))


def test_every_statistic_is_a_row_with_words(planted):
    _, estimates = planted
    rows = tabled(SYNTHETIC_STATISTICS, planted).to_pylist()
    named = {(row["family"], row["subject"], row["reference"]): row for row in rows}
    assert len(named) == len(rows) == sum(isinstance(key, Statistic) for key in estimates) == 31
    row = named["rank_correlation", "gap", "carry"]
    assert (row["value"], row["low"], row["high"]) == tuple(estimates[rank_correlation("gap", "carry")])
    assert row["words"] == "rank correlation of the gap with the known carry" and row["budget"] is None
    assert {(row["model"], row["domain"]) for row in rows} == {("synthetic", "synthetic")}


def test_what_too_few_sequences_have_has_no_class():
    few = table(8)
    hard = few["difficulty"].to_numpy().copy()
    hard[hard == 7] = 6
    hard[np.flatnonzero(few["kind"].to_numpy(zero_copy_only=False) == "sum")[:2]] = 7
    study = Recovery(few.set_column(few.column_names.index("difficulty"), "difficulty", pa.array(hard)))
    assert ("sum", 2) in study.classes and ("sum", 7) not in study.classes


def test_a_sample_without_sums_says_nothing_of_carries():
    part = table(6)
    part = part.filter(pa.compute.is_in(part["kind"], pa.array(["copy", "structure"])))
    estimates = Recovery(part).intervals(100, 0.95, seed=1)
    assert rank_correlation("gap", "difficulty") in estimates
    named = [key for key in estimates if isinstance(key, Statistic)]
    assert not any("carry" in key.reference + key.family or key.family == "false_alarms" for key in named)
