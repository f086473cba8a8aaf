"""Pictures of the null show what their tables hold, and say under which constraint."""

from dataclasses import asdict
from itertools import product

import numpy as np
import pyarrow as pa
import pytest

from duo.figures import base, null
from duo.settings import SampledLabels
from duo.studies import gain
from duo.tables.studies import GAIN_CURVES, GAIN_STATISTICS

LAYERS, BUDGETS = 4, range(5)
SETTING = base.Setting(model="duo", layers=LAYERS, documents=5, tokens=6, random_routes=7, confidence=0.9)
SETTINGS = SampledLabels(reference="all_big", temperature=1.0, samples=2, within=0.1, teachers=["teacher"], others=True)
STRATEGIES = [
    ("oracle", ""),
    ("null", ""),
    ("corrected", ""),
    ("normalised", ""),
    ("fixed", ""),
    ("ceiling", "teacher"),
    ("ceiling", "others"),
]


def curves(domains: list[str], models: tuple[str, ...] = ("duo", "seed-2")) -> pa.Table:
    """GAIN_CURVES: strategy by strategy 0.1 nats apart, and 0.2 nats per layer."""
    rows = []
    for model, domain in product(models, domains):
        listed = [*product(enumerate(STRATEGIES), BUDGETS), ((9, ("all_big", "")), LAYERS)]
        for (index, (strategy, teacher)), budget in listed:
            loss = 3 + 0.1 * index - 0.2 * budget
            row = {"model": model, "domain": domain, "strategy": strategy, "teacher": teacher, "budget": budget}
            rows.append(row | {"loss": loss, "low": loss - 0.1, "high": loss + 0.1, "perplexity": np.exp(loss)})
    return pa.Table.from_pylist(rows, schema=GAIN_CURVES.schema)


def statistics(domains: list[str], models: tuple[str, ...] = ("duo", "seed-2")) -> pa.Table:
    """GAIN_STATISTICS that the picture shows: gains 0.5 nats by strategy, and 0.1 per layer."""
    rows = []
    for model, domain, k in product(models, domains, BUDGETS[1:-1]):
        listed = [gain.gain("all_big", k), gain.gain("all_big", k, "sampled")]
        listed += [gain.difference(strategy, "all_big", k) for strategy in ("corrected", "normalised", "fixed")]
        listed += [gain.ceiling_difference(teacher, "all_big", k) for teacher in ("teacher", "others")]
        listed += [gain.gain("all_big", k, "difference"), gain.ceiling_difference("teacher", "fixed", k)]
        for index, statistic in enumerate(listed):
            value = (0.5 * index + 0.1 * k) * (1 if statistic.family == "gain" else -1)
            ids = {"model": model, "domain": domain} | asdict(statistic)
            rows.append(ids | {"value": value, "low": value - 0.1, "high": value + 0.1})
    return pa.Table.from_pylist(rows, schema=GAIN_STATISTICS.schema)


def shares(domains: list[str]) -> tuple[pa.Table, pa.Table]:
    """GAIN_HEAT_MAPS and GAIN_LAYERS: shares grow by layer, more so on true labels."""
    cells = []
    for domain, budget, layer, position in product(domains, BUDGETS, range(LAYERS), range(6)):
        for labels, share in {"true": 0.2 * layer, "sampled": 0.1 * layer, "difference": 0.1 * layer}.items():
            ids = {"model": "duo", "domain": domain, "labels": labels, "budget": budget}
            cells.append(ids | {"layer": layer, "position": position, "share": share})
    layers = [{key: value for key, value in row.items() if key != "position"} for row in cells if row["position"] == 0]
    layers = [row | {"low": row["share"] - 0.1, "high": row["share"] + 0.1} for row in layers]
    return pa.Table.from_pylist(cells), pa.Table.from_pylist(layers)


def says(picture: base.Picture) -> None:
    for words in (
        "context shared",
        "5 held-out documents",
        "90% percentile bootstrap",
        "2 per token, come from",
        "all layers big",
    ):
        assert words in picture.caption


@pytest.mark.parametrize("domains", [["text"], ["text", "code", "notes"]])
def test_every_strategy_has_its_line(domains):
    picture = null.decomposition(curves(domains), statistics(domains), SETTINGS, SETTING)
    above, below = picture.figure.axes[: len(domains)], picture.figure.axes[len(domains) :]
    assert [axes.get_title() for axes in above] == domains
    lines, gains = ({line.get_label(): line for line in axes[-1].lines} for axes in (above, below))
    assert len(lines) == len(STRATEGIES) + 1
    np.testing.assert_allclose(
        gains["true less sampled labels"].get_ydata(), 0.5 * len(STRATEGIES) + 0.1 * np.arange(1, 4)
    )
    for label, index in (
        ("routes chosen by model teacher", 5),
        ("routes chosen by the other seeds", 6),
        ("oracle, normalised", 3),
    ):
        np.testing.assert_allclose(lines[label].get_ydata(), np.exp(3 + 0.1 * index - 0.2 * np.arange(5)))
        np.testing.assert_allclose(gains[label].get_ydata(), 0.5 * index + 0.1 * np.arange(1, 4))
    assert lines["all layers big"].get_ydata()[0] == pytest.approx(np.exp(3.9 - 0.8))
    looks = {(line.get_marker(), str(line.get_linestyle()), line.get_color()) for line in lines.values()}
    assert len(looks) == len(lines) == len({line.get_marker() for line in lines.values()}), (
        "to be told apart in grey too"
    )
    says(picture)


@pytest.mark.parametrize("domains", [["text"], ["text", "code"]])
def test_maps_of_true_and_sampled_labels_and_their_difference(domains):
    cells, layers = shares(domains)
    picture = null.heat_maps(cells, layers, [1, 3], SETTINGS, SETTING)
    maps = [axes.images[0] for axes in picture.figure.axes if axes.images]
    assert len(maps) == 3 * 2 * len(domains)
    for image, slope in zip(maps[:3], (0.2, 0.1, 0.1), strict=True):
        np.testing.assert_allclose(image.get_array()[:, 0], slope * np.arange(LAYERS))
    assert maps[0].get_clim() == (0, 1) and maps[2].get_clim() == pytest.approx((-0.3, 0.3))
    says(picture)
