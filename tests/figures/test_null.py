"""Pictures of luck show what their tables hold, and say under which constraint."""

from itertools import product

import numpy as np
import pyarrow as pa
import pytest

from duo.figures import base, null
from duo.settings import SampledLabels
from duo.tables.report import CORRECTED_CLAIMS

LAYERS, BUDGETS = 4, range(5)
SETTING = base.Setting(model="duo", layers=LAYERS, documents=5, tokens=6, random_routes=7, confidence=0.9)
SETTINGS = SampledLabels(reference="all_big", temperature=1.0, samples=2, teachers=["teacher", "others"])
STRATEGIES = ["oracle", "null", "corrected", "normalised", "fixed", "ceiling_teacher", "ceiling_others"]
STATISTICS = {
    "C2": ["oracle_best-all_small", "oracle_best-all_big", "oracle_half-best_other"],
    "C3": ["oracle_1-all_big"],
    "C7": ["lean_1"],
    "C8": ["lean_2"],
    "C9": ["lean_3"],
    "C10": ["consistency"],
    "C15": ["high_loss_no_gain"],
}


def curves(domains: list[str], models: tuple[str, ...] = ("duo", "seed-2")) -> pa.Table:
    """GAIN_CURVES: strategy by strategy 0.1 nats apart, and 0.2 nats a layer."""
    rows = []
    for model, domain in product(models, domains):
        listed = [*product(enumerate(STRATEGIES), BUDGETS), ((9, "all_big"), LAYERS)]
        for (index, strategy), budget in listed:
            loss = 3 + 0.1 * index - 0.2 * budget
            row = {
                "model": model,
                "domain": domain,
                "strategy": strategy,
                "budget": budget,
                "loss": loss,
                "perplexity": np.exp(loss),
            }
            rows.append(row | {"low": loss - 0.1, "high": loss + 0.1})
    return pa.Table.from_pylist(rows)


def statistics(domains: list[str], models: tuple[str, ...] = ("duo", "seed-2")) -> pa.Table:
    """GAIN_STATISTICS that the picture shows: gains 0.5 nats by strategy, and 0.1 a layer."""
    names = ["gain", "null_gain", *(f"{strategy}-all_big" for strategy in STRATEGIES[2:]), "gain-null_gain"]
    rows = []
    for model, domain, (index, name), budget in product(models, domains, enumerate(names), BUDGETS[1:-1]):
        gain = 0.5 * index + 0.1 * budget
        value = -gain if name.endswith("-all_big") else gain
        row = {
            "model": model,
            "domain": domain,
            "name": f"{name}_{budget}",
            "value": value,
            "low": value - 0.1,
            "high": value + 0.1,
        }
        rows += [row, row | {"name": f"other_{name}_{budget}"}]
    return pa.Table.from_pylist(rows)


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


def survival(domains: list[str]) -> pa.Table:
    """CORRECTED_CLAIMS: 3 as claimed, 2 on sampled labels, 1 left."""
    rows = []
    for domain, (claim, names) in product(domains, STATISTICS.items()):
        for name, model in product(names, ["duo", "skip"] if claim == "C10" else ["duo"]):
            row = {
                "claim": claim,
                "words": "words",
                "domain": domain,
                "model": model,
                "statistic": name,
                "supports": "> 0",
            }
            for kind, value in {"true": 3.0, "null": 2.0, "corrected": 1.0}.items():
                row |= {kind: value, f"{kind}_low": value - 0.5, f"{kind}_high": value + 0.5}
            rows.append(row | {"verdict": "survives", "claim_verdict": "survives"})
    return pa.Table.from_pylist(rows, schema=CORRECTED_CLAIMS.schema)


def says(picture: base.Picture) -> None:
    for words in (
        "context shared",
        "5 held-out documents",
        "90% percentile bootstrap",
        "2 a token, come from",
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
def test_maps_of_true_and_drawn_labels_and_their_difference(domains):
    cells, layers = shares(domains)
    picture = null.heat_maps(cells, layers, [1, 3], SETTINGS, SETTING)
    maps = [axes.images[0] for axes in picture.figure.axes if axes.images]
    assert len(maps) == 3 * 2 * len(domains)
    for image, slope in zip(maps[:3], (0.2, 0.1, 0.1), strict=True):
        np.testing.assert_allclose(image.get_array()[:, 0], slope * np.arange(LAYERS))
    assert maps[0].get_clim() == (0, 1) and maps[2].get_clim() == pytest.approx((-0.3, 0.3))
    says(picture)


def test_statistics_that_need_other_units_stand_apart():
    picture = null.corrected_claims(survival(["text", "code"]), SETTINGS, SETTING)
    panels = picture.figure.axes
    assert len(panels) == 2 * 5 and [axes.get_title() for axes in panels[:2]] == ["text", "code"]
    labels = [tick.get_text() for axes in panels[::2] for tick in axes.get_yticklabels()]
    assert len(labels) == 10 and "C3: oracle 1 − all big" in labels and "C10: consistency, model skip" in labels
    for axes in panels:
        for label, value in {
            "true labels": 3,
            "sampled labels: all of it luck": 2,
            "true labels, luck taken off": 1,
        }.items():
            (line,) = [line for line in axes.lines if line.get_label() == label]
            assert set(line.get_xdata()) == {value}
    says(picture)
