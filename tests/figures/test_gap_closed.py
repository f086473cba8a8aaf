"""The picture of routers with exact supervision shows what its table holds, and says whether objectives agree."""

import numpy as np
import pyarrow as pa
import pytest

from duo.figures import base, gap_closed

SETTING = base.Setting(model="duo", layers=4, documents=5, tokens=6, random_routes=7, confidence=0.9)
SHARES = {"expected_loss": 0.6, "value": 0.5, "neighbours": 0.1, "paper": -0.2, "ceiling": 1.0, "fixed": 0.0}


def curves(domains: list[str], sure=(1, 2)) -> pa.Table:
    """GAP_CLOSED_CURVES with budgets 1 to 3; the ceiling is surely below fixed at the budgets `sure`."""
    rows = []
    for domain in domains:
        for policy, share in SHARES.items():
            for budget in (1, 2, 3):
                for kind in ("isolated", "joint"):
                    if (policy, kind) in (("paper", "isolated"), ("ceiling", "joint")):
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
                        "network": "none" if policy in ("neighbours", "ceiling", "fixed") else "mlp",
                    }
                    row |= {"share": share + budget / 100, "share_low": share - 0.1, "share_high": share + 0.1}
                    rows.append(row | {"from_fixed_high": -0.01 if budget in sure else 0.01})
    rows.append(rows[0] | {"chosen": False, "share": 77.0})
    rows.append(rows[0] | {"constraint": "average", "share": 78.0})
    return pa.Table.from_pylist(rows)


def statistics(*intervals: tuple[float, float]) -> pa.Table:
    """Differences of value and neighbours at budgets 1, 2, ...: both are surely better than fixed; expected_loss is
    not.
    """
    rows = []
    for budget, (low, high) in enumerate(intervals, 1):
        rows += [
            {"name": f"value_{budget}-{other}_{budget}", "low": low, "high": high}
            for other in ("neighbours", "expected_loss")
        ]
        rows += [
            {"name": f"{policy}_{budget}-fixed_{budget}", "low": -1.0, "high": -0.1}
            for policy in ("value", "neighbours")
        ]
        rows += [{"name": f"expected_loss_{budget}-fixed_{budget}", "low": -1.0, "high": 0.1}]
        rows += [{"name": f"spread_{budget}", "low": 0.9, "high": 1.1}]
    rows = rows or [{"name": "spread_1", "low": 0.9, "high": 1.1}]
    return pa.Table.from_pylist([row | {"domain": "text", "value": (row["low"] + row["high"]) / 2} for row in rows])


@pytest.mark.parametrize("domains", [["text"], ["text", "code"]])
def test_every_share_is_drawn_in_its_row(domains):
    picture = gap_closed.shares(curves(domains), statistics((-0.1, 0.1)), "teacher", SETTING)
    panels = picture.figure.axes
    titles = [f"{domain}, as {kind}" for kind in ("isolated", "joint") for domain in domains]
    assert [axes.get_title() for axes in panels] == titles
    for axes in panels:
        drawn = {line.get_label(): line.get_ydata() for line in axes.lines if not line.get_label().startswith("_")}
        np.testing.assert_allclose(drawn["expected loss"], [0.61, 0.62])  # not at budget 3
        assert ("the paper's router" in drawn) == axes.get_title().endswith("joint")
        assert [label.get_text() for label in axes.get_xticklabels()] == ["1", "2"]
    chosen = "(expected loss: layers, mlp; value regression: layers, mlp)"
    for words in (
        "context shared",
        "5 held-out documents",
        "90% percentile bootstrap",
        "model teacher",
        f"{domains[0]} at 3",
        chosen,
    ):
        assert words in picture.caption


def test_caption_says_whether_objectives_agree():
    agree = gap_closed.shares(curves(["text"]), statistics((-0.1, 0.1), (-0.2, 0.3)), "others", SETTING).caption
    assert (
        "Of the 2 differences" in agree
        and "2 have intervals that hold 0" in agree
        and "information, not training" in agree
    )
    assert "the other models prefer" in agree
    apart = gap_closed.shares(curves(["text"]), statistics((-0.1, 0.1), (0.2, 0.3)), "others", SETTING).caption
    assert (
        "1 have intervals that hold 0" in apart
        and "0.250 nats" in apart
        and "part of what is missed is training" in apart
    )
    assert "At no budget are two" in gap_closed.shares(curves(["text"]), statistics(), "others", SETTING).caption


def test_no_gap_that_is_sure_leaves_a_panel_that_says_so():
    picture = gap_closed.shares(curves(["text"], sure=()), statistics(), "teacher", SETTING)
    assert all("no budget" in axes.texts[0].get_text() for axes in picture.figure.axes)
    assert "text at 1, 2, 3" in picture.caption
