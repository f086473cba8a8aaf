"""The picture of routers with exact supervision shows what its table holds, and concludes nothing."""

import numpy as np
import pyarrow as pa
import pytest
from made_up import setting

from duo.figures import gap_closed

SETTING = setting()
SHARES = {
    "expected_loss": 0.6,
    "value": 0.5,
    "neighbours": 0.1,
    "plug_in": 0.3,  # listed nowhere
    "paper": -0.2,
    "ceiling": 1.0,
    "fixed": 0.0,
    "random": -50.0,
    "own": 1.4,
    "stack": 1.2,
}
ROLES = {"paper": "paper", "ceiling": "ceiling", "fixed": "baseline", "random": "baseline"}
ROLES |= {"own": "chooser", "stack": "chooser"}
ONE_KIND, UNLEARNED = ("paper", "ceiling", "chooser"), ("baseline", "ceiling", "chooser")


def curves(domains: list[str], sure=(1, 2)) -> pa.Table:
    """GAP_CLOSED_CURVES with budgets 1 to 3; the ceiling is surely below fixed at the budgets `sure`."""
    rows = []
    for domain in domains:
        for policy, share in SHARES.items():
            for budget in (1, 2, 3):
                for kind in ("isolated", "joint"):
                    if kind == ("isolated" if policy == "paper" else "joint") and ROLES.get(policy) in ONE_KIND:
                        continue
                    row = {
                        "domain": domain,
                        "policy": policy,
                        "constraint": "exact",
                        "budget": budget,
                        "kind": kind,
                        "chosen": True,
                    }
                    row |= {
                        "input": "layers",
                        "network": "none" if policy == "neighbours" or ROLES.get(policy) in UNLEARNED else "mlp",
                        "role": ROLES.get(policy, "learned"),
                    }
                    row |= {"share": share + budget / 100, "share_low": share - 0.1, "share_high": share + 0.1}
                    rows.append(row | {"from_fixed_high": -0.01 if budget in sure else 0.01})
    rows.append(rows[0] | {"chosen": False, "share": 77.0})
    rows.append(rows[0] | {"constraint": "average", "share": 78.0})
    return pa.Table.from_pylist(rows)


@pytest.mark.parametrize("domains", [["text"], ["text", "code"]])
def test_every_share_is_drawn_in_its_row(domains):
    picture = gap_closed.shares(curves(domains), "teacher", SETTING)
    panels = picture.figure.axes
    titles = [f"{domain}, {kind}" for kind in ("isolated", "joint") for domain in domains]
    assert [axes.get_title() for axes in panels] == titles
    for axes in panels:
        drawn = {line.get_label(): line.get_ydata() for line in axes.lines if not line.get_label().startswith("_")}
        np.testing.assert_allclose(drawn["expected loss"], [0.61, 0.62])  # not at budget 3
        np.testing.assert_allclose(drawn["plug_in"], [0.31, 0.32])
        assert not {"fixed", "ceiling", "random"} & set(drawn)
        isolated = axes.get_title().endswith("isolated")
        assert ("chooser: the model itself" in drawn) == ("chooser: all pooled" in drawn) == isolated
        if isolated:
            np.testing.assert_allclose(drawn["chooser: the model itself"], [1.41, 1.42])
        assert "chooser: other seeds" not in drawn
        assert ("the paper's router" in drawn) == axes.get_title().endswith("joint")
        assert [label.get_text() for label in axes.get_xticklabels()] == ["1", "2"]
    chosen = "(expected loss: layers, mlp; value regression: layers, mlp; plug_in: layers, mlp)"
    for words in (
        "context shared",
        "5 held-out documents",
        "90% percentile bootstrap",
        "model teacher",
        "Random routes are in the tables",
        f"{domains[0]} at 3",
        chosen,
    ):
        assert words in picture.caption


def test_all_panels_have_one_scale_that_holds_every_mark():
    panels = gap_closed.shares(curves(["text", "code"]), "others", SETTING).figure.axes
    (scale,) = {axes.get_ylim() for axes in panels}
    assert scale[0] < -0.2 and 1.42 < scale[1] < 1.6


def test_policies_differ_in_colour_or_marker():
    axes = gap_closed.shares(curves(["text"]), "others", SETTING).figure.axes[1]
    looks = [(line.get_color(), line.get_marker()) for line in axes.lines if not line.get_label().startswith("_")]
    assert len(looks) == 5 and len(set(looks)) == 5


def test_caption_says_what_is_drawn_and_concludes_nothing():
    caption = gap_closed.shares(curves(["text"]), "others", SETTING).caption
    assert "the other models prefer" in caption
    assert not any(word in caption for word in ("agree", "information", "better than fixed"))


def test_no_gap_that_is_sure_leaves_a_panel_that_says_so():
    picture = gap_closed.shares(curves(["text"], sure=()), "teacher", SETTING)
    assert all("no budget" in axes.texts[0].get_text() for axes in picture.figure.axes)
    assert "text at 1, 2, 3" in picture.caption
