"""The trend over scale: its measures by brute force, and slopes that are there or are not."""

from math import log

import numpy as np
import pyarrow as pa
import pytest

from duo.errors import InputError
from duo.studies import trend
from duo.studies.trend import Measured, Slope
from duo.tables.trend import TREND_LOSSES, TREND_POINTS, TREND_SLOPES

CLUSTERS = 16
PLACES = {"a": 1e6, "b": 4e6, "c": 16e6}


def losses(point: str, luck: float, seed: int, choosers=("own",), tokens=30, foreseeable=0.1) -> pa.Table:
    """Sums of clusters of unlike sizes, in which this share of the gain is luck; noise is that of the clusters."""
    rng, rows = np.random.default_rng(seed), []
    for index in range(CLUSTERS):
        scale = 1 + index / CLUSTERS  # so that shares of sums are no means of shares
        reference, gain = 100 * scale + rng.normal(), 20 * scale * np.exp(0.1 * rng.normal())
        for chooser in choosers:
            choice = reference - foreseeable * gain
            expected = reference + rng.normal()
            rows.append(
                {"point": point, "domain": "text", "cluster": f"c{index:02}", "share": 0.5, "budget": 6}
                | {"chooser": chooser, "tokens": tokens, "bytes": 90 + index, "reference": reference}
                | {"oracle": reference - gain, "choice": choice, "expected": expected}
                | {"null": expected - luck * gain, "surprisal": reference * 1.1, "gain": gain}
                | {"matched_gain": 0.9 * gain}
            )
    return pa.Table.from_pylist(rows, TREND_LOSSES.schema)


def study(lucks: dict[str, float], **more) -> trend.TrendLine:
    tables = {name: losses(name, luck, seed, **more) for seed, (name, luck) in enumerate(lucks.items())}
    (found,) = trend.gather(tables, "tokens", PLACES)
    return found


def test_measures_by_brute_force():
    table = losses("a", 0.7, 0)
    (found,) = trend.gather({"a": table, "b": losses("b", 0.6, 1)}, "tokens", PLACES)
    weights = np.random.default_rng(3).integers(0, 4, (2, CLUSTERS)).astype(float)
    numbers = found.numbers(weights)
    rows = table.to_pylist()
    for replicate, drawn in enumerate(weights):
        total = {key: sum(w * row[key] for w, row in zip(drawn, rows, strict=True)) for key in table.column_names[6:]}
        gain = total["reference"] - total["oracle"]
        expected = {
            ("luck", 0.5, "own"): (total["expected"] - total["null"]) / gain,
            ("foreseeable", 0.5, "own"): (total["reference"] - total["choice"]) / gain,
            ("excess", 0.5, ""): (total["gain"] - total["matched_gain"]) / gain,
            ("gain", 0.5, ""): gain / total["bytes"] / log(2),
            ("gain_per_token", 0.5, ""): gain / total["tokens"],
            ("all_big", None, ""): total["reference"] / total["bytes"] / log(2),
            ("all_big_per_token", None, ""): total["reference"] / total["tokens"],
            ("surprisal", None, "own"): total["surprisal"] / total["bytes"] / log(2),
        }
        for (measure, share, chooser), value in expected.items():
            assert numbers[Measured(measure, share, chooser, "a", 1e6)][replicate] == pytest.approx(value)
        parts = [
            numbers[Measured(name, 0.5, "own", "a", 1e6)][replicate] for name in ("luck", "foreseeable", "unexplained")
        ]
        assert sum(parts) == pytest.approx(1)


def test_a_slope_is_that_of_a_line_through_the_points():
    found = study({"a": 0.9, "b": 0.8, "c": 0.6})
    numbers = found.numbers(np.ones((1, CLUSTERS)))
    values = [numbers[Measured("luck", 0.5, "own", name, x)][0] for name, x in PLACES.items()]
    expected = np.polyfit(np.log2(list(PLACES.values())), values, 1)[0]
    assert numbers[Slope("luck", 0.5, "own", 3)][0] == pytest.approx(expected)


def test_a_planted_slope_is_found_and_none_is_not():
    for lucks, falls in (({"a": 0.9, "b": 0.8, "c": 0.7}, True), ({"a": 0.8, "b": 0.8, "c": 0.8}, False)):
        value, low, high = study(lucks).intervals(400, 0.95, 1)[Slope("luck", 0.5, "own", 3)]
        assert low <= value <= high
        if falls:
            assert value == pytest.approx(-0.05, abs=1e-3) and high < -0.04
        else:
            assert low - 1e-9 <= 0 <= high + 1e-9


def test_the_interval_of_a_slope_covers_no_slope_as_often_as_it_says():
    """With noise that points don't share, a line without slope is called flat in nearly all samples."""
    flat = 0
    for seed in range(60):
        rng, sums = np.random.default_rng(seed), {}
        for point in PLACES:
            table = losses(point, 0.8, 0)
            noise = {"null": table["null"].to_numpy() + rng.normal(size=CLUSTERS)}
            columns = {name: table[name].to_numpy().astype(float) for name in table.column_names[6:]} | noise
            sums[point, 0.5, "own"] = columns
        line = trend.TrendLine("text", "tokens", PLACES, sums, CLUSTERS)
        _, low, high = line.intervals(200, 0.95, seed)[Slope("luck", 0.5, "own", 3)]
        flat += low <= 0 <= high
    assert flat >= 53  # of 60; 57 are expected


def test_noise_that_all_points_share_leaves_the_slope_alone():
    """Points share the clusters, so a slope is known better than any of its points."""
    shared = {name: losses(name, 0.8, 0) for name in PLACES}
    (line,) = trend.gather(shared, "tokens", PLACES)
    intervals = line.intervals(200, 0.95, 1)
    _, low, high = intervals[Measured("gain", 0.5, "", "a", 1e6)]
    assert high - low > 1e-3
    _, low, high = intervals[Slope("gain", 0.5, "", 3)]
    assert abs(low) < 1e-12 and abs(high) < 1e-12


def test_a_teacher_that_judges_two_points_has_a_line_of_two():
    tables = {"a": losses("a", 0.9, 0, ("own", "c")), "b": losses("b", 0.8, 1, ("own", "c")), "c": losses("c", 0.7, 2)}
    (line,) = trend.gather(tables, "tokens", PLACES)
    keys = line.numbers(np.ones((1, CLUSTERS)))
    assert Slope("luck", 0.5, "c", 2) in keys and Slope("luck", 0.5, "own", 3) in keys


def test_tables_have_every_number_with_its_meaning():
    line = study({"a": 0.9, "b": 0.8, "c": 0.7})
    tables = line.tables(line.intervals(100, 0.95, 1))
    for table in (TREND_POINTS, TREND_SLOPES):
        rows = tables[table]
        assert {row["measure"] for row in rows} == set(trend.MEASURES)
        for row in rows:
            assert set(table.schema.names) == set(row)
            assert row["words"] and row["unit"] and row["clusters"] == CLUSTERS


def test_points_that_were_scored_on_different_text_are_refused():
    other = losses("b", 0.8, 1).to_pylist()
    other[3]["bytes"] += 1
    tables = {"a": losses("a", 0.9, 0), "b": pa.Table.from_pylist(other, TREND_LOSSES.schema)}
    with pytest.raises(InputError, match=r"'b', domain 'text', cluster 'c03': 94 bytes are scored.* 93;"):
        trend.gather(tables, "tokens", PLACES)
