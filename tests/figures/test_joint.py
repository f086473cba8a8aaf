"""The picture of contexts shows every line that its table holds, and says what the contexts are."""

from dataclasses import asdict

import numpy as np
import pyarrow as pa
import pytest
from made_up import setting

from duo.figures import joint
from duo.studies.joint_statistics import gain, null_gain
from duo.terms import ISOLATED, JOINT

SETTING = setting()
CHOOSERS = ("own", "teacher", "stack")


def statistics(contexts: list[str], choosers=CHOOSERS, budgets=(0, 2, 4)) -> pa.Table:
    """JOINT_STATISTICS of two domains; every line has a height of its own, and rises with the budget."""
    rows = []
    for domain in ("text", "code"):
        for at, context in enumerate(contexts):
            for budget in budgets:
                values = {
                    gain(context, "oracle", ISOLATED, budget): 1.0,
                    gain(context, "oracle", JOINT, budget): 0.8,
                } | ({gain(context, "fixed", JOINT, budget): 0.1} if context != "greedy" else {})
                for index, chooser in enumerate(choosers):
                    values |= {
                        null_gain(context, chooser, budget): 0.5 + index / 10,
                        gain(context, chooser, JOINT, budget): 0.3 - index / 10,
                        gain(context, chooser, ISOLATED, budget): 0.25 - index / 10,
                    }
                for statistic, value in values.items():
                    value += at / 100 + budget / 8
                    ends = {"value": value, "low": value - 0.05, "high": value + 0.05}
                    rows.append({"model": "duo", "domain": domain} | asdict(statistic) | ends)
    return pa.Table.from_pylist(rows)


def shown(axes) -> dict[str, np.ndarray]:
    """Heights of the lines that a panel labels."""
    return {line.get_label(): line.get_ydata() for line in axes.lines if not line.get_label().startswith("_")}


@pytest.mark.parametrize("contexts", [["shared", "reference", "greedy"], ["greedy"], ["reference"]])
def test_every_context_has_its_gains_and_what_luck_would_give(contexts):
    picture = joint.gains(statistics(contexts), "random", "all layers big", SETTING)
    panels = picture.figure.axes
    assert len(panels) == 2 * len(contexts)
    assert [axes.get_title() for axes in panels[: len(contexts)]] == [f"context {context}" for context in contexts]
    for index, axes in enumerate(panels):
        at = index % len(contexts)
        heights = {
            "oracle, isolated": 1.0,
            "oracle, joint": 0.8,
            "oracle, if labels came as own says": 0.5,
            "oracle, if labels came as stack says": 0.7,
            "foreseen by stack, joint": 0.1,
        } | ({"fixed, joint": 0.1} if contexts[at] != "greedy" else {})
        found = shown(axes)
        assert found.keys() == heights.keys()
        for label, height in heights.items():
            np.testing.assert_allclose(found[label], height + at / 100 + np.array([0, 2, 4]) / 8, err_msg=label)
    for words in ("gained over all layers big", "a window of 6 tokens of each", "90% percentile", "its budget", "of 4"):
        assert words in picture.caption
    assert ("a random route for every token" in picture.caption) == ("reference" in contexts)


def test_a_model_that_nobody_else_judges_has_one_null():
    picture = joint.gains(statistics(["shared"], choosers=("own",)), "both-2", "all layers big", SETTING)
    labels = list(shown(picture.figure.axes[0]))
    assert [label for label in labels if "labels came" in label] == ["oracle, if labels came as own says"]
    assert "foreseen by own, joint" in labels


def test_a_router_is_named_and_so_is_a_context_that_nobody_listed():
    picture = joint.gains(statistics(["reference", "nearby", "greedy"]), "both-2", "all layers big", SETTING)
    assert "on the routes of router both-2" in picture.caption and "; in nearby; in greedy, " in picture.caption
    assert picture.figure.axes[1].get_title() == "context nearby"


def test_what_is_shown_does_not_lean_on_colour_alone():
    (axes, *_) = joint.gains(statistics(["shared"]), "all_big", "all layers big", SETTING).figure.axes
    lines = [line for line in axes.lines if line.get_label() in shown(axes)]
    looks = [(line.get_marker(), line.get_linestyle(), line.get_markerfacecolor() == "white") for line in lines]
    assert len(set(looks)) == len(lines) == 6
