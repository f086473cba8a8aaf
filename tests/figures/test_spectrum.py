"""Pictures of the oracle against noise, of the spectrum and of other seeds' choices show their tables, and say what
is missing.
"""

from dataclasses import asdict

import numpy as np
import pyarrow as pa
import pytest
from made_up import setting

from duo.figures import base, spectrum

LAYERS = 4
SETTING = setting()
ENDS = {"low": 0.1, "high": 0.9}


def line(axes, label: str) -> np.ndarray:
    (drawn,) = [drawn for drawn in axes.lines if drawn.get_label() == label]
    return drawn.get_ydata()


def order_statistics(domains: list[str]) -> pa.Table:
    rows = []
    for model in ("duo", "seed-2"):
        for domain in domains:
            for budget, routes in enumerate((1, 4, 6, 4, 1)):
                row = {
                    "model": model,
                    "domain": domain,
                    "budget": budget,
                    "routes": routes,
                    "mean": 3.0 + (model == "seed-2"),
                }
                for name, value in {
                    "oracle_from_mean": -routes / 10,
                    "predicted_from_mean": -routes / 5,
                    "effective": routes**0.5,
                }.items():
                    row |= {name: value, f"{name}_low": value - 0.1, f"{name}_high": value + 0.1}
                rows.append(row)
    return pa.Table.from_pylist(rows)


@pytest.mark.parametrize("domains", [["text"], ["text", "code", "more"]])
def test_oracle_prediction_and_effective_number_are_drawn(domains):
    picture = spectrum.order_statistics(order_statistics(domains), SETTING)
    above, below = picture.figure.axes[: len(domains)], picture.figure.axes[len(domains) :]
    assert [axes.get_title() for axes in above] == domains and len(below) == len(domains)
    assert line(above[-1], "oracle: best route of each token") == pytest.approx([-0.1, -0.4, -0.6, -0.4, -0.1])
    assert line(above[-1], "as many independent normal losses") == pytest.approx([-0.2, -0.8, -1.2, -0.8, -0.2])
    assert len({axes.get_ylim() for axes in above}) == len({axes.get_ylim() for axes in below}) == 1
    assert line(below[0], "independent routes, effectively") == pytest.approx([1, 2, 6**0.5, 2, 1])
    for words in ("exactly its budget", "context shared", "5 held-out documents", "90% percentile bootstrap"):
        assert words in picture.caption


def test_spectrum_has_a_line_a_domain_and_layers_from_one():
    def table(key: str, values: range) -> pa.Table:
        return pa.Table.from_pylist(
            [
                {"model": "duo", "domain": domain, key: at, "value": 0.2 + at / 10 + index} | ENDS
                for index, domain in enumerate(("text", "code"))
                for at in values
            ]
        )

    tables = table("order", range(1, 5)), table("distance", range(1, 4)), table("layer", range(4))
    picture = spectrum.spectrum(*tables, SETTING)
    left, middle, right = picture.figure.axes
    assert line(left, "code") == pytest.approx([1.3, 1.4, 1.5, 1.6])
    assert line(middle, "text") == pytest.approx([0.3, 0.4, 0.5])
    assert right.lines[0].get_xdata().tolist() == [1, 2, 3, 4]
    for words in ("Walsh-Hadamard", "context shared", "90% percentile bootstrap"):
        assert words in picture.caption


def means(strategies: list[str]) -> pa.Table:
    return pa.Table.from_pylist(
        [
            {
                "domain": domain,
                "strategy": strategy,
                "budget": budget,
                "from_fixed": at / 10 + budget / 100,
                "from_fixed_low": -0.1,
                "from_fixed_high": 0.1,
            }
            for domain in ("text", "code")
            for at, strategy in enumerate(strategies)
            for budget in range(LAYERS + 1)
        ]
    )


def test_other_seeds_choices_are_drawn_beside_the_models_own():
    picture = spectrum.cross_seed(means(["own", "other", "fixed", "held_out"]), 3, SETTING)
    drawn = line(picture.figure.axes[1], "chosen by another seed's oracle")
    assert drawn == pytest.approx(0.1 + np.arange(LAYERS + 1) / 100)
    assert "3 models" in picture.caption and "missing" not in picture.caption


def test_one_model_is_drawn_alone_and_the_caption_says_what_is_missing():
    picture = spectrum.cross_seed(means(["own", "fixed", "held_out"]), 1, SETTING)
    labels = [each.get_label() for each in picture.figure.axes[0].lines]
    assert "chosen by another seed's oracle" not in labels
    assert "they need two models or more" in picture.caption


def test_a_strategy_that_nobody_listed_is_drawn_in_its_own_style():
    axes = spectrum.cross_seed(means(["own", "fixed", "plug_in"]), 1, SETTING).figure.axes[0]
    assert line(axes, "plug_in") == pytest.approx(0.2 + np.arange(LAYERS + 1) / 100)
    looks = {(drawn.get_color(), drawn.get_marker(), drawn.get_linestyle()) for drawn in axes.lines}
    assert len(looks) == len(axes.lines) == 3


def test_the_same_tables_give_the_same_bytes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    seen = []
    for _ in range(2):
        picture = spectrum.order_statistics(order_statistics(["text"]), SETTING)
        base.save(picture, "order-statistics", "figures_spectrum", asdict(SETTING), [])
        seen.append([file.read_bytes() for file in sorted((tmp_path / "artifacts/figures").iterdir())])
    assert seen[0] == seen[1]
