"""Figures 4c and 5 and the classes: what is drawn is what the tables say."""

from dataclasses import asdict
from itertools import product

import numpy as np
import pyarrow as pa
import pytest
from made_up import setting

from duo.figures import base, tokens
from duo.studies.schedules import CONTRASTS, difference

SETTING = setting(documents=3, tokens=8)


def positions(domains: list[str], *new: str) -> pa.Table:
    names = ("falling", "rising", "constant", "shuffled", *new)
    rows = [
        {
            "model": "duo",
            "domain": domain,
            "schedule": name,
            "strategy": "oracle",
            "first": 2 * part,
            "last": 2 * part + 1,
            "loss": 1 + place + part / 10,
        }
        for domain in domains
        for place, name in enumerate(names)
        for part in range(4)
    ]
    return pa.Table.from_pylist(rows)


def statistics(domains: list[str]) -> pa.Table:
    """SCHEDULE_STATISTICS: 0.02 nats of the oracle, 0.01 of the mean."""
    rows = []
    for domain, pair, (strategy, value) in product(domains, CONTRASTS, {"oracle": 0.02, "mean": 0.01}.items()):
        row = {"model": "duo", "domain": domain, "value": value, "low": value / 2, "high": value * 2}
        rows.append(row | asdict(difference(strategy, *pair)))
    return pa.Table.from_pylist(rows)


def save(picture: base.Picture, tmp_path) -> None:
    with base.style():
        picture.figure.savefig(tmp_path / "picture.svg")


@pytest.mark.parametrize("domains", [["text"], ["text", "code"]])
def test_schedules(domains, tmp_path):
    picture = tokens.schedules(positions(domains), statistics(domains), [3, 1], SETTING)
    save(picture, tmp_path)
    along, whole = picture.figure.axes[:2]
    drawn = {line.get_label(): line for line in along.lines}
    assert drawn["rising budget"].get_ydata() == pytest.approx(np.exp([2, 2.1, 2.2, 2.3]))
    assert drawn["rising budget"].get_xdata().tolist() == [1.5, 3.5, 5.5, 7.5]
    assert len([line for line in along.lines if "budget" in line.get_label()]) == 3  # shuffled has no order to show
    labels = [label.get_text() for label in whole.get_yticklabels()]
    assert labels == [f"{schedule} less {reference}" for schedule, reference in CONTRASTS]
    assert whole.get_ylim()[0] > whole.get_ylim()[1]  # the first above
    marks = {line.get_label(): line for line in whole.lines}
    oracle, mean = (marks[label].get_xydata() for label in ("oracle", "mean of all routes"))
    assert oracle[:, 0].tolist() == [0.02] * 4 and mean[:, 0].tolist() == [0.01] * 4
    assert oracle[:, 1].round().tolist() == mean[:, 1].round().tolist() == [0, 1, 2, 3]
    assert (oracle[:, 1] < mean[:, 1]).all()
    bars = [segment[:, 0].tolist() for bar in whole.collections for segment in bar.get_segments()]
    assert bars == [[0.01, 0.04]] * 4 + [[0.005, 0.02]] * 4
    for phrase in (
        "same total",
        "exactly the budget of its position",
        "3 held-out documents",
        "90% percentile",
        "context shared",
        "Model duo",
    ):
        assert phrase in picture.caption


def test_a_schedule_and_a_comparison_that_nobody_listed_are_drawn():
    table = statistics(["text"])
    row = table.to_pylist()[0] | {"family": "router_difference", "subject": "zigzag", "value": 0.03}
    table = pa.concat_tables([table, pa.Table.from_pylist([row], schema=table.schema)])
    along, whole = tokens.schedules(positions(["text"], "zigzag"), table, [3, 1], SETTING).figure.axes[:2]
    (new,) = (line for line in along.lines if line.get_label() == "zigzag")
    known = [line for line in along.lines if line is not new]
    looks = {(line.get_color(), line.get_marker(), line.get_linestyle()) for line in known}
    assert (new.get_color(), new.get_marker(), new.get_linestyle()) not in looks
    assert new.get_ydata() == pytest.approx(np.exp([5, 5.1, 5.2, 5.3]))
    assert whole.get_yticklabels()[-1].get_text() == "zigzag less constant"
    (mark,) = (line for line in whole.lines if line.get_label() == "router_difference")
    assert mark.get_xydata().round(2).tolist() == [[0.03, pytest.approx(4, abs=0.2)]]


@pytest.mark.parametrize("domains", [["text"], ["text", "code"]])
def test_losses_and_gaps(domains, tmp_path):
    rng = np.random.default_rng(0)
    rows = [
        {"domain": domain, "document": document, "position": position}
        | dict(zip(tokens.LOSSES, rng.gamma(2, 2, 3), strict=True))
        for domain in domains
        for document in ("a", "b")
        for position in range(8)
    ]
    table = pa.Table.from_pylist(rows)
    cells = [(0.0, 0.0, 5), (0.5, -0.5, 1), (3.0, 1.5, 2)]
    histogram = pa.Table.from_pylist(
        [
            {"domain": domain, "loss": loss, "gap": gap, "width": 0.5, "tokens": n}
            for domain in domains
            for loss, gap, n in cells
        ]
    )
    picture = tokens.losses_and_gaps(table, histogram, dict.fromkeys(domains, "b"), 2, SETTING)
    save(picture, tmp_path)
    along, joint = picture.figure.axes[:2]
    oracle = next(line for line in along.lines if line.get_label().startswith("oracle"))
    expected = [row["oracle"] for row in rows if (row["domain"], row["document"]) == ("text", "b")]
    assert oracle.get_ydata().tolist() == expected
    mesh = joint.collections[0].get_array()
    assert mesh.compressed().sum() == 8 and mesh.max() == 5 and mesh.shape == (5, 7)
    assert mesh[1, 0] == 5 and mesh[0, 1] == 1 and mesh[4, 6] == 2
    assert "2 of 4 big" in picture.caption and "exactly its budget" in picture.caption


def test_classes_and_a_domain_without_any(tmp_path):
    row = {
        "domain": "code",
        "tokens": 9,
        "loss_low": 2.0,
        "loss_high": 4.0,
        "gap": 0.5,
        "gap_low": -0.1,
        "gap_high": 1.0,
    }
    means = pa.Table.from_pylist([row | {"class": "name", "loss": 3.0}, row | {"class": "keyword", "loss": 2.5}])
    picture = tokens.classes(means, ["text", "code"], 2, SETTING)
    save(picture, tmp_path)
    labels = [label.get_text() for label in picture.figure.axes[2].get_yticklabels()]
    assert labels == ["keyword (9)", "name (9)"]
    assert picture.figure.axes[2].lines[0].get_xdata().tolist() == [2.5, 3.0]
    assert all(axes.get_xlim()[0] < 0 for axes in picture.figure.axes)
