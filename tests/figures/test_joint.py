"""The picture of contexts shows every line that its table holds, and says what the contexts are."""

import pyarrow as pa
import pytest
from made_up import setting

from duo.figures import base, joint

SETTING = setting()


def curves(kinds: list[str], budgets=(0, 2, 4)) -> pa.Table:
    """JOINT_CURVES of two domains; every line has a height of its own."""
    rows = []
    for domain in ("text", "code"):
        for at, context in enumerate(kinds):
            for selection in ("oracle",) if context == "greedy" else ("oracle", "sequence", "fixed"):
                for kind in ("isolated", "joint"):
                    for budget in budgets:
                        height = 1 + at + 0.1 * (kind == "joint") + 0.3 * (selection == "fixed") + 0.01 * budget
                        row = {
                            "model": "duo",
                            "domain": domain,
                            "context": context,
                            "selection": selection,
                            "kind": kind,
                        }
                        rows.append(
                            row
                            | {
                                "budget": budget,
                                "loss": height,
                                "low": height - 1,
                                "high": height + 1,
                                "perplexity": height,
                            }
                        )
    return pa.Table.from_pylist(rows)


@pytest.mark.parametrize("kinds", [["shared", "reference", "greedy"], ["greedy"], ["reference"]])
def test_a_line_for_what_is_isolated_and_what_is_joint(kinds):
    picture = joint.isolated_and_joint(curves(kinds), "random", SETTING)
    assert [axes.get_title() for axes in picture.figure.axes] == ["text", "code"]
    for axes in picture.figure.axes:
        labels = [line.get_label() for line in axes.lines]
        fixed = [] if kinds == ["greedy"] else [base.LINES["fixed"].label]
        oracles = [f"oracle, {context}, {kind}" for context in kinds for kind in ("isolated", "joint")]
        assert sorted(labels) == sorted([*fixed, "all layers big", *oracles])
        heights = {line.get_label(): line.get_ydata()[0] for line in axes.lines}
        assert len({f"{height:.6f}" for height in heights.values()}) == len(heights)
    for words in (
        "5 held-out documents",
        "a window of 6 tokens of each",
        "90% percentile",
        "exactly its budget",
        "of 4",
    ):
        assert words in picture.caption
    assert ("a random route for every token" in picture.caption) == ("reference" in kinds)


def test_a_router_is_named_and_all_big_left_out_where_it_was_not_run():
    picture = joint.isolated_and_joint(curves(["reference"], budgets=(1, 2)), "both-2", SETTING)
    assert "on the routes of router both-2" in picture.caption
    assert "all layers big" not in [line.get_label() for line in picture.figure.axes[0].lines]


def test_a_context_that_nobody_listed_is_drawn_in_a_style_of_its_own():
    picture = joint.isolated_and_joint(curves(["shared", "nearby", "greedy"]), "all_big", SETTING)
    for axes in picture.figure.axes:
        lines = {line.get_label(): line for line in axes.lines}
        assert {"oracle, nearby, isolated", "oracle, nearby, joint"} <= set(lines)
        looks = [
            (line.get_color(), line.get_marker(), line.get_linestyle())
            for label, line in lines.items()
            if label.endswith("joint")
        ]
        assert len(set(looks)) == 3
    assert "; in nearby; in greedy, " in picture.caption
