"""Pictures of the gain show what their tables hold, and say under which constraint."""

from dataclasses import asdict
from itertools import product

import numpy as np
import pyarrow as pa
import pytest
from made_up import setting

from duo.figures import base, null
from duo.settings import SampledLabels
from duo.studies import gain_statistics as gain
from duo.tables.studies import GAIN_STATISTICS

LAYERS, BUDGETS = 4, range(5)
SETTING = setting()
SETTINGS = SampledLabels(reference="all_big", samples=2, within=0.2, teachers=["teacher"], others=False)
FORESEEN = {"own": -0.1, "teacher": 0.2, "stack": 0.3}  # nats, and a tenth more for each big layer


def statistics(domains: list[str], models: tuple[str, ...] = ("duo", "seed-2"), luck: float = 0.4) -> pa.Table:
    """GAIN_STATISTICS that the pictures show: a gain of 1 nat."""
    rows = []
    for model, domain in product(models, domains):
        values = {gain.cross_entropy(chooser): 3.0 - share for chooser, share in FORESEEN.items()}
        for k in BUDGETS[1:-1]:
            values[gain.gain("all_big", k)] = 1.0
            for chooser, share in FORESEEN.items():
                values |= {gain.foreseeable(chooser, "all_big", k): share + 0.1 * k, gain.luck(chooser, k): luck}
                values[gain.foreseeable(chooser, "all_big", k, "placebo")] = 9.0  # of labels that are not drawn
        for statistic, value in values.items():
            row = {"model": model, "domain": domain} | asdict(statistic) | {"value": value, "error": 0.05}
            rows.append(row | {"low": value - 0.1, "high": value + 0.1, "clusters": 24})
    return pa.Table.from_pylist(rows, schema=GAIN_STATISTICS.schema)


def shares(domains: list[str]) -> tuple[pa.Table, pa.Table]:
    """GAIN_HEAT_MAPS and GAIN_LAYERS: shares grow by layer, more so on true labels."""
    cells = []
    for domain, budget, layer, position in product(domains, BUDGETS, range(LAYERS), range(6)):
        for labels, share in {"true": 0.2 * layer, "matched": 0.1 * layer, "excess": 0.1 * layer}.items():
            ids = {"model": "duo", "domain": domain, "labels": labels, "budget": budget}
            cells.append(ids | {"layer": layer, "position": position, "share": share})
    layers = [{key: value for key, value in row.items() if key != "position"} for row in cells if row["position"] == 0]
    layers = [row | {"low": row["share"] - 0.1, "high": row["share"] + 0.1} for row in layers]
    return pa.Table.from_pylist(cells), pa.Table.from_pylist(layers)


def says(picture: base.Picture, *words: str) -> None:
    for each in ("context shared", "5 held-out documents", "90% percentile bootstrap", *words):
        assert each in picture.caption


def ends(area) -> tuple[np.ndarray, np.ndarray]:
    """Lower and upper edge of an area, by budget 1 to 3."""
    points = area.get_paths()[0].vertices
    at = {budget: points[points[:, 0] == budget, 1] for budget in (1, 2, 3)}
    return (np.array([end(values) for values in at.values()]) for end in (np.min, np.max))


def drawn(axes) -> dict[str, list[np.ndarray]]:
    """Every area's lower and upper edge, and every labelled line, by label."""
    areas = {area.get_label(): list(ends(area)) for area in axes.collections}
    return areas | {line.get_label(): line.get_ydata() for line in axes.lines if not line.get_label().startswith("_")}


@pytest.mark.parametrize("domains", [["text"], ["text", "code", "notes"]])
def test_areas_add_up_to_the_gain(domains):
    picture = null.split(statistics(domains), SETTINGS, SETTING)
    assert [axes.get_title() for axes in picture.figure.axes] == domains
    found, layers = drawn(picture.figure.axes[-1]), 0.1 * np.arange(1, 4)
    expected = {
        "foreseen by stack": [[0, 0, 0], layers + 0.3],
        "luck": [layers + 0.3, layers + 0.7],
        "not explained": [layers + 0.7, np.maximum(layers + 0.7, 1.0)],
        "own": layers - 0.1,
        "teacher": layers + 0.2,
        "oracle's gain": [1.0, 1.0, 1.0],
    }
    assert list(found) == list(expected) and set(found) == {text.get_text() for text in picture.figure.axes[-1].texts}
    for label, values in expected.items():
        np.testing.assert_allclose(found[label], values, atol=1e-9)
    says(picture, "what the pool of all predictions gains without the label")


def test_a_chooser_that_loses_is_drawn_below_nothing_and_the_rest_stays_right(monkeypatch):
    monkeypatch.setitem(FORESEEN, "stack", -0.9)
    found, layers = drawn(null.split(statistics(["text"]), SETTINGS, SETTING).figure.axes[0]), 0.1 * np.arange(1, 4)
    np.testing.assert_allclose(found["foreseen by stack"], [layers - 0.9, [0, 0, 0]], atol=1e-9)
    np.testing.assert_allclose(found["luck"], [layers - 0.9, layers - 0.5], atol=1e-9)
    np.testing.assert_allclose(found["not explained"], [layers - 0.5, [1, 1, 1]], atol=1e-9)


def test_where_luck_alone_would_give_more_nothing_is_left_to_explain():
    (axes,) = null.split(statistics(["text"], luck=2.0), SETTINGS, SETTING).figure.axes
    low, high = drawn(axes)["not explained"]
    np.testing.assert_allclose(low, high)
    assert "not explained" not in [text.get_text() for text in axes.texts]


def test_choosers_stand_at_what_they_know_and_foresee():
    picture = null.choosers(statistics(["text", "code"]), SETTINGS, SETTING)
    axes = picture.figure.axes[0]
    places = [(line.get_xdata()[0], line.get_ydata()[0]) for line in axes.lines if line.get_marker() == "o"]
    np.testing.assert_allclose(sorted(places), sorted((3.0 - share, share + 0.2) for share in FORESEEN.values()))
    assert [text.get_text() for text in axes.texts] == list(FORESEEN)
    (per_byte,) = axes.child_axes
    picture.figure.draw_without_rendering()
    np.testing.assert_allclose(per_byte.get_xlim(), np.array(axes.get_xlim()) * SETTING.bits_per_nat["text"])
    says(picture, "routes with 2 big layers", "lower bounds")


@pytest.mark.parametrize("domains", [["text"], ["text", "code"]])
def test_maps_of_true_and_matched_labels_and_their_difference(domains):
    cells, layers = shares(domains)
    picture = null.heat_maps(cells, layers, [1, 3], SETTINGS, SETTING)
    maps = [axes.images[0] for axes in picture.figure.axes if axes.images]
    assert len(maps) == 3 * 2 * len(domains)
    for image, slope in zip(maps[:3], (0.2, 0.1, 0.1), strict=True):
        np.testing.assert_allclose(image.get_array()[:, 0], slope * np.arange(LAYERS))
    assert maps[0].get_clim() == (0, 1) and maps[2].get_clim() == pytest.approx((-0.3, 0.3))
    says(picture, "0.2 nats wide")
