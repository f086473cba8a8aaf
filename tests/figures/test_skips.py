"""Pictures of skipping show what their tables hold, and say under which constraint."""

from dataclasses import asdict

import numpy as np
import pyarrow as pa
import pytest
from made_up import setting

from duo.figures import skips
from duo.stats import Statistic
from duo.studies.skips import CONSISTENCY, ORACLE_LESS_FIXED, loss

LAYERS = 4
SETTING = setting()
INTERVAL = {"low": 0.1, "high": 0.9}


def shares(domains: list[str], share: float) -> tuple[pa.Table, pa.Table]:
    """SKIP_HEAT_MAPS and SKIP_LAYERS of a model, the share growing by layer."""
    cells = [
        {"domain": domain, "budget": 2, "layer": layer, "position": position, "share": share + layer / 10}
        for domain in domains
        for layer in range(LAYERS)
        for position in range(6)
    ]
    return pa.Table.from_pylist(cells), pa.Table.from_pylist([row | INTERVAL for row in cells if row["position"] == 0])


@pytest.mark.parametrize("domains", [["text"], ["text", "code"]])
def test_models_stand_side_by_side(domains):
    picture = skips.heat_maps({"duo": shares(domains, 0.2), "skip": shares(domains, 0.4)}, 2, "ffn", SETTING)
    maps = [axes for axes in picture.figure.axes if axes.images]
    assert [axes.get_title() for axes in maps] == [
        f"{domain}, model {model}" for domain in domains for model in ("duo", "skip")
    ]
    np.testing.assert_allclose(maps[1].images[0].get_array()[:, 0], 0.4 + np.arange(LAYERS) / 10)
    for words in (
        "Exactly 2 of 4 layers",
        "no FFN",
        "context shared",
        "5 held-out documents",
        "90% percentile bootstrap",
    ):
        assert words in picture.caption


def statistics(names: list[Statistic], models: tuple[str, ...] = ("duo", "skip")) -> pa.Table:
    """SKIP_STATISTICS: 0, 1, 2 ... in the order of the names, and 0.1 more for every next model."""
    rows = [
        {"model": model, "domain": "text", "value": index + at / 10} | asdict(name) | INTERVAL
        for at, model in enumerate(models)
        for index, name in enumerate(names)
    ]
    return pa.Table.from_pylist(rows)


def test_every_statistic_is_drawn_for_every_model():
    others = [loss("oracle"), ORACLE_LESS_FIXED, CONSISTENCY.of("sampled"), CONSISTENCY.of("excess")]  # shown elsewhere
    figure = skips.statistics(statistics([*skips.SHORT, *others]), 2, "layer", SETTING).figure
    for label, at in (("model duo", 0), ("model skip", 1)):
        drawn = [
            x for axes in figure.axes for line in axes.lines if line.get_label() == label for x in line.get_xdata()
        ]
        assert drawn == pytest.approx([index + at / 10 for index in range(len(skips.SHORT))])
    labels = [label.get_text() for axes in figure.axes for label in axes.get_yticklabels()]
    assert labels == list(skips.SHORT.values())
    assert [axes.get_xlabel() for axes in figure.axes] == list(skips.AXES.values())


def test_models_and_statistics_that_nobody_listed_are_drawn():
    new = [
        Statistic("consistency", "router", words="consistency of a router"),
        Statistic("late_exit", "oracle", words="how late tokens exit"),
    ]
    models = tuple(f"seed-{seed}" for seed in range(9))
    figure = skips.statistics(statistics([CONSISTENCY, *new], models), 2, "ffn", SETTING).figure
    labels = [[label.get_text() for label in axes.get_yticklabels()] for axes in figure.axes]
    assert labels == [["layers", "consistency of a router"], ["how late tokens exit"]]
    assert figure.axes[1].get_xlabel() == "late_exit"
    marks = [line for line in figure.axes[1].lines if line.get_label().startswith("model seed")]
    assert [line.get_xdata()[0] for line in marks] == pytest.approx([2 + at / 10 for at in range(9)])
    assert len({(line.get_color(), line.get_marker()) for line in marks}) == len(models)


def test_three_way_frames_the_lowest_and_draws_differences():
    rows = [
        {"model": "skip", "domain": "text", "strategy": strategy, "big": big, "skip": skip, "loss": 1.0, **INTERVAL}
        | {"perplexity": 10.0 + (big - 1) ** 2 + (skip - 2) ** 2, "from_all_big": -big - skip / 10}
        | {"from_all_big_low": -9.0, "from_all_big_high": 1.0}
        for strategy in ("oracle", "mean")
        for big in range(LAYERS + 1)
        for skip in range(LAYERS + 1 - big)
    ]
    picture = skips.three_way(pa.Table.from_pylist(rows), 3, 2, "ffn", SETTING)
    above, below = picture.figure.axes
    (frame,) = above.patches
    assert frame.get_xy() == (0.5, 1.5)
    assert len(above.texts) == 15
    lines = {line.get_label(): line for line in below.lines}
    assert lines["1 skipped"].get_ydata() == pytest.approx([-0.1, -1.1, -2.1, -3.1])
    for words in (
        "model skip",
        "exact for every token",
        "3 held-out documents per domain, a window of 2 tokens of each",
        "90% percentile bootstrap",
    ):
        assert words in picture.caption
