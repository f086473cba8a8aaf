"""The gain on one kind of text less that on another: against drawn clusters, whose truth is known."""

import numpy as np
import pyarrow as pa
import pytest
from scipy.stats import t

from duo import verdicts
from duo.studies import contrasts
from duo.studies import gain_statistics as gain
from duo.tables.studies import GAIN_STATISTICS
from duo.terms import OWN

KEYS = ("family", "subject", "reference", "budget", "labels")


def row(domain: str, value: float, error: float, clusters: int, **names: object) -> dict:
    """A row of GAIN_STATISTICS."""
    names = {"family": "gain", "subject": "oracle", "reference": "all_big", "budget": 4.0, "labels": "true"} | names
    return (
        {"model": "duo", "domain": domain, "low": value, "high": value, "words": "gain"}
        | names
        | {
            "value": value,
            "error": error,
            "clusters": clusters,
        }
    )


def differences(*rows: dict, domain: str = "new", less: str = "old") -> list[dict]:
    table = pa.Table.from_pylist(list(rows), GAIN_STATISTICS.schema)
    return contrasts.differences(table, domain, less, 0.95).to_pylist()


def test_errors_of_independent_clusters_add_up_as_squares():
    (found,) = differences(row("new", 0.5, 0.04, 28), row("old", 0.2, 0.03, 6))
    assert (found["domain"], found["less"], found["clusters"], found["less_clusters"]) == ("new", "old", 28, 6)
    assert found["value"] == pytest.approx(0.3) and found["error"] == pytest.approx(0.05)
    quantile = (0.0016 * t.isf(0.025, 27) + 0.0009 * t.isf(0.025, 5)) / 0.0025
    assert found["high"] - found["value"] == pytest.approx(0.05 * quantile)
    (other,) = differences(row("new", 0.5, 0.04, 28), row("old", 0.2, 0.03, 6), domain="old", less="new")
    assert (other["low"], other["high"]) == pytest.approx((-found["high"], -found["low"]))


def test_only_what_both_have_and_what_no_half_chose_is_compared():
    rows = [row(name, 0.5, 0.1, 6, **names) for name in ("new", "old") for names in ({}, {"family": "difference"})]
    rows += [row("new", 0.5, 0.1, 6, budget=2.0), row("old", 0.5, 0.1, 6, subject="other"), row("third", 9, 0.1, 6)]
    assert [(each["family"], each["budget"]) for each in differences(*rows)] == [("gain", 4.0)]


def test_without_an_error_there_is_no_interval():
    (found,) = differences(row("new", 0.5, np.nan, 28), row("old", 0.2, 0.03, 6))
    assert found["value"] == pytest.approx(0.3) and np.isnan([found["low"], found["high"], found["error"]]).all()


def test_families_are_the_gains():
    named = [gain.cross_entropy(OWN), gain.calibration(OWN), gain.gain("all_big", 2), gain.matched_excess("all_big", 2)]
    named += [of(OWN, 2) for of in (gain.luck, gain.share_of_luck, gain.share_foreseeable, gain.unexplained)]
    named += [gain.foreseeable(OWN, "all_big", 2), gain.cells_excess("all_big", 2)]
    rows = [row(name, 1, 0.1, 6, **{key: getattr(each, key) for key in KEYS}) for name in ("a", "b") for each in named]
    found = differences(*rows, domain="a", less="b")
    assert {each["family"] for each in found} == set(contrasts.FAMILIES) and len(found) == len(named)
    assert {each["budget"] for each in found if each["family"] == "cross_entropy"} == {None}


@pytest.mark.parametrize("spread", [0.3, 1.0, 3.0])
def test_intervals_hold_the_truth_as_often_as_they_say(spread):
    """Of so few packages on one side, whichever side varies more."""
    rng, trials = np.random.default_rng(1), 20_000
    parts, values = [], np.zeros(trials)
    for clusters, scale in ((28, 1.0), (6, spread)):
        drawn = rng.normal(0, scale, (trials, clusters))
        values = drawn.mean(axis=1) - values
        parts.append((drawn.var(axis=1, ddof=1) / clusters, clusters))
    missed = (abs(values) > verdicts.reach(0.025, *parts)).mean()
    assert 0.02 < missed <= 0.05
