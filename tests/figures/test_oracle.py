import json
from dataclasses import asdict

import numpy as np
import pyarrow as pa
import pytest
from made_up import LAYERS, evaluated, noise, routing_curves, setting, tabled
from matplotlib.colors import to_hex
from PIL import Image

from duo.figures import base, oracle
from duo.report import content
from duo.tables.report import FIGURE
from duo.tables.studies import ORACLE_CURVES, ORACLE_HEAT_MAPS, ORACLE_LAYERS, ORACLE_STATISTICS

SETTING = setting(documents=4)

FINALS = {
    "duo": {"steps": 3, "validation/text/all_big": 2.0, "validation/text/all_small": 3.0},
    "dense": {"validation/text/all_big": 2.5},
}


@pytest.fixture(scope="module")
def tables() -> dict[str, pa.Table]:
    """ORACLE_CURVES, ORACLE_HEAT_MAPS, ORACLE_LAYERS and ORACLE_STATISTICS of two domains."""
    names = {
        "curves": ORACLE_CURVES,
        "cells": ORACLE_HEAT_MAPS,
        "shares": ORACLE_LAYERS,
        "statistics": ORACLE_STATISTICS,
    }
    pairs = evaluated(noise(documents=4)).values()
    return {name: tabled(table, *pairs) for name, table in names.items()}


def renamed(table: pa.Table, column: str, name: str) -> pa.Table:
    """The table with this name in every row of the column."""
    index = table.column_names.index(column)
    return table.set_column(index, table.schema.field(column), pa.array([name] * len(table)))


@pytest.fixture
def history() -> pa.Table:
    series = ["train", "gradient_norm", "learning_rate", "validation/text/all_big", "validation/text/all_small"]
    rows = [
        {"step": step, "tokens": step * 100, "series": name, "value": 1.0 + step}
        for step in range(3)
        for name in series
    ]
    return pa.Table.from_pylist(rows)


def pictures(tables: dict[str, pa.Table], history: pa.Table) -> dict[str, base.Picture]:
    return {
        "4b": oracle.budget_curves(tables["curves"], SETTING),
        "4a": oracle.oracle_against_random(tables["curves"], routing_curves(), SETTING),
        "2": oracle.heat_maps(tables["cells"], tables["shares"], [1, 2], SETTING),
        "training": oracle.training(history, FINALS, SETTING),
        "seeds": oracle.seeds(tables["statistics"], SETTING),
    }


def test_the_same_tables_give_the_same_bytes(tables, history, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    seen = []
    for _ in range(2):
        for name, picture in pictures(tables, history).items():
            base.save(picture, name, "figures", asdict(SETTING), [])
        seen.append({file.name: file.read_bytes() for file in (tmp_path / "artifacts/figures").iterdir()})
    assert len(seen[0]) == 10 and seen[0] == seen[1]


def test_curves_drawn_are_the_perplexities_and_below_the_paired_differences(tables):
    picture = oracle.budget_curves(tables["curves"], SETTING)
    axes = picture.figure.axes
    assert [panel.get_title() for panel in axes] == ["text", "code", "", ""]
    assert not any(panel.collections for panel in axes[:2]), "bands of single losses say nothing of differences"
    assert axes[2].get_ylim() == axes[3].get_ylim() and axes[0].get_ylim() != axes[1].get_ylim()
    drawn = {line.get_label(): line for line in axes[1].lines}
    rows = [row for row in tables["curves"].to_pylist() if row["domain"] == "code" and row["strategy"] == "oracle"]
    line = drawn["oracle: best route of each token"]
    assert line.get_xdata().tolist() == [row["budget"] for row in rows]
    assert line.get_ydata() == pytest.approx([row["perplexity"] for row in rows])
    assert drawn["all layers big"].get_ydata()[0] == pytest.approx(rows[-1]["perplexity"])
    below = {line.get_label(): line for line in axes[3].lines}
    differences = below["oracle: best route of each token"].get_ydata()
    assert differences == pytest.approx([row["loss"] - rows[-1]["loss"] for row in rows], abs=1e-6)
    assert below["all layers big"].get_ydata()[0] == 0
    bands = [band.get_paths()[0].vertices[:, 1] for band in axes[3].collections]
    ends = {row[f"from_all_big_{end}"] for row in rows for end in ("low", "high")}
    assert any(ends <= set(band) for band in bands)
    for words in ("0.500 of text", "3.4 M parameters, trained on 4.2 M tokens", "nats per token"):
        assert words in picture.caption


def test_the_oracle_and_random_routes_are_held_against_the_fixed_route_of_each_budget(tables):
    figure = oracle.oracle_against_random(tables["curves"], routing_curves(), SETTING).figure
    for axes, domain in zip(figure.axes, ("text", "code"), strict=True):
        drawn = {line.get_label(): line for line in axes.lines}
        rows = {
            row["budget"]: row
            for row in tables["curves"].to_pylist()
            if (row["domain"], row["strategy"]) == (domain, "oracle") and 0 < row["budget"] < LAYERS
        }
        line = drawn["oracle: best route of each token"]
        assert np.round(line.get_xdata()).tolist() == list(rows)
        assert line.get_ydata() == pytest.approx([row["from_fixed"] for row in rows.values()])
        assert drawn["fixed: best route for all tokens"].get_ydata()[0] == 0
    assert figure.axes[0].get_ylim() == figure.axes[1].get_ylim()


def test_strategies_differ_in_colour_and_in_print_without_it(tables):
    lines = base.lines(tables["curves"]["strategy"].unique().to_pylist()).values()
    assert len(lines) == 6
    assert len({to_hex(line.colour) for line in lines}) == len({line.marker for line in lines}) == len(lines)


def test_heat_map_has_the_first_layer_at_the_bottom(tables):
    axes = oracle.heat_maps(tables["cells"], tables["shares"], [1, 2], SETTING).figure.axes
    image = axes[2].images[0]
    rows = [row for row in tables["cells"].to_pylist() if (row["domain"], row["budget"]) == ("text", 2)]
    expected = np.zeros((LAYERS, 6))
    for row in rows:
        expected[row["layer"], row["position"]] = row["share"]
    assert image.origin == "lower" and image.get_clim() == (0, 1)
    assert np.array_equal(image.get_array(), expected)


def test_files_carry_caption_and_provenance(tables, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ORACLE_CURVES.write(tables["curves"])
    base.save(
        oracle.budget_curves(tables["curves"], SETTING), "figure-4b", "headline", asdict(SETTING), [ORACLE_CURVES]
    )
    with Image.open(FIGURE.path(name="figure-4b", format="png")) as image:
        words = image.text
    assert json.loads(words["Source"]) == {
        "stage": "headline",
        "params": asdict(SETTING),
        "md5": {"artifacts/oracle_curves/curves.parquet": ORACLE_CURVES.digest()},
    }
    for phrase in (
        "Model duo",
        "4 held-out documents",
        "a window of 6 tokens of each",
        "exactly its budget",
        "context shared",
        "90% percentile bootstrap",
        "clusters resampled",
    ):
        assert phrase in words["Description"]
    embedded = content.embed("figure-4b")
    assert (embedded.title, embedded.caption) == (words["Title"], words["Description"])
    assert embedded.provenance == json.loads(words["Source"])


@pytest.mark.parametrize("budgets", [[0], [2], [1, LAYERS]])
def test_few_budgets_can_be_drawn(tables, budgets, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    curves = tables["curves"].filter(pa.compute.is_in(tables["curves"]["budget"], pa.array(budgets, pa.int64())))
    base.save(oracle.budget_curves(curves, SETTING), "few", "headline", {}, [])
    base.save(oracle.oracle_against_random(curves, routing_curves(budgets), SETTING), "few", "figures", {}, [])
    assert FIGURE.path(name="few", format="png").stat().st_size > 1000


def test_a_strategy_that_nobody_listed_is_drawn_in_its_own_style(tables):
    part = tables["curves"].filter(pa.compute.equal(tables["curves"]["strategy"], "oracle"))
    own = renamed(renamed(part, "strategy", "plug_in"), "words", "a way of one's own")
    curves = pa.concat_tables([tables["curves"], own])
    for picture in (
        oracle.budget_curves(curves, SETTING),
        oracle.oracle_against_random(curves, routing_curves(), SETTING),
    ):
        for axes in picture.figure.axes:
            lines = {line.get_label(): line for line in axes.lines if not line.get_label().startswith("_")}
            drawn = [lines[label].get_ydata() for label in ("a way of one's own", "oracle: best route of each token")]
            assert np.array_equal(*drawn)
            looks = [(line.get_color(), line.get_marker(), line.get_linestyle()) for line in lines.values()]
            assert len(set(looks)) == len(looks)
        assert "a way of one's own" in [text.get_text() for text in picture.figure.legends[0].get_texts()]


def test_a_strategy_of_ones_own_takes_no_style_of_another_kind_of_thing(tables):
    """Whatever its name stands for elsewhere: here for a style that the routers have, too."""
    part = tables["curves"].filter(pa.compute.equal(tables["curves"]["strategy"], "oracle"))
    own = renamed(renamed(part, "strategy", "corrected"), "words", "mine")
    curves = pa.concat_tables([own, tables["curves"]])
    for axes in oracle.budget_curves(curves, SETTING, routing_curves()).figure.axes:
        lines = {line.get_label(): line for line in axes.lines if not line.get_label().startswith("_")}
        looks = {label: (line.get_color(), line.get_marker(), line.get_linestyle()) for label, line in lines.items()}
        assert len(set(looks.values())) == len(looks) and looks["router, exactly its budget"][:2] == ("#009E73", "P")
        assert "mine" in lines and "oracle, selection bias taken off" not in lines


def test_a_kind_of_scoring_that_nobody_listed_is_drawn_where_it_is(tables):
    routed = routing_curves()
    soft = routed.filter(pa.compute.equal(routed["kind"], "soft"))
    routed = pa.concat_tables([routed, renamed(soft, "kind", "sampled")])
    for axes in oracle.budget_curves(tables["curves"], SETTING, routed).figure.axes:
        (line,) = [line for line in axes.lines if line.get_label() == "sampled"]
        assert line.get_xdata().tolist() == [0.75, 2.75]


def test_seeds_stand_side_by_side_and_apart_from_their_intervals(tables):
    other = renamed(tables["statistics"], "model", "second")
    picture = oracle.seeds(pa.concat_tables([tables["statistics"], other]), SETTING)
    rows = [row for row in tables["statistics"].to_pylist() if row["domain"] == "code"]
    large = [row for row in rows if row["family"] in ("difference", "difference_at_best_budget")]
    small = [row for row in rows if row["family"] in ("slope", "difference_from_other_budgets")]
    shares = [row for row in rows if row["family"] in ("random_gap", "distance_from_lowest")]
    bias = [row for row in rows if row["family"] == "depth_bias"]
    relative = [row for row in rows if row["family"] in ("depth_preference", "depth_trend")]
    groups = (large, small, shares, bias, relative)
    assert sum(map(len, groups)) == len(rows) - 1  # but for the best budget
    # Those of the second domain, code.
    for axes, shown in zip(picture.figure.axes[1::2], groups, strict=True):
        marks = {line.get_label(): line for line in axes.lines if line.get_label() in ("duo", "second")}
        assert len({base.short(row) for row in shown}) == len(shown)
        for line in marks.values():
            assert sorted(line.get_xdata()) == sorted(row["value"] for row in shown)
        assert (marks["duo"].get_ydata() < marks["second"].get_ydata()).all()
        assert marks["duo"].get_marker() != marks["second"].get_marker()
    words = [text.get_text() for axes in picture.figure.axes[::2] for text in axes.get_yticklabels()]
    for axes in picture.figure.axes[1::2]:
        (line,) = [line for line in axes.lines if line.get_label() == "duo"]
        by_words = dict(zip(np.round(line.get_ydata()), line.get_xdata(), strict=True))
        names = words[: len(by_words)]
        words = words[len(by_words) :]
        values = {base.short(row): row["value"] for row in rows}
        assert [by_words[place] for place in range(len(names))] == [values[name] for name in names]
    assert "differ by their seed alone" in picture.caption
    assert "spread over seeds is not known" in oracle.seeds(tables["statistics"], SETTING).caption


def test_a_family_that_nobody_listed_has_panels_of_its_own(tables):
    part = tables["statistics"].filter(pa.compute.equal(tables["statistics"]["family"], "slope"))
    statistics = pa.concat_tables([tables["statistics"], renamed(part, "family", "early_bias")])
    picture = oracle.seeds(statistics, SETTING)
    assert len(picture.figure.axes) == 12
    axes = picture.figure.axes[-1]
    assert axes.get_xlabel() == "early bias"
    assert [text.get_text() for text in picture.figure.axes[-2].get_yticklabels()] == ["early bias of fixed"]


def test_figures_of_one_model_show_that_model_alone(tables):
    other = renamed(tables["curves"], "model", "second")
    both = oracle.budget_curves(pa.concat_tables([other, tables["curves"]]), SETTING).figure.axes[0].lines
    alone = oracle.budget_curves(tables["curves"], SETTING).figure.axes[0].lines
    assert [list(line.get_ydata()) for line in both] == [list(line.get_ydata()) for line in alone]


def test_last_losses_of_every_model_are_marked(history):
    axes = oracle.training(history, FINALS, SETTING).figure.axes[-1]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["duo", "dense"]
    assert [(line.get_xdata()[0], line.get_ydata()[0]) for line in axes.lines] == [(2.0, 0), (3.0, 0), (2.5, 1)]
