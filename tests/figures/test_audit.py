"""The picture of an audit shows its table."""

import numpy as np
import pytest

from duo.figures import audit

NAMES = ("gain", "null_gain", "unexplained", "share", "fixed", "foreseen", "plain_null_gain", "plain_unexplained")


def rows(departures: int, names=NAMES) -> list[dict]:
    rng = np.random.default_rng(0)
    made = []
    for most in range(1, departures + 1):
        values = {name: rng.random() for name in names}
        ends = {f"{name}_{end}": value + step for name, value in values.items() for end, step in ENDS.items()}
        made.append({"departures": most, "routes": 10**most} | values | ends)
    return made


ENDS = {"low": -0.1, "high": 0.2}


@pytest.mark.parametrize("departures", [1, 2, 30])
@pytest.mark.parametrize("names", [NAMES, NAMES[:5]], ids=["of a model", "of losses"])
def test_bars_and_marks_stand_where_the_numbers_are(departures, names):
    given = rows(departures, names)
    left, right = audit.gains(given, "at most so many", "Sample.", 0.9).figure.axes
    heights = [bar.get_height() for bar in left.patches]
    assert heights == [row[name] for name in ("gain", "null_gain") for row in given]
    for axes, shown in ((left, ("foreseen", "fixed")), (right, ("unexplained", "plain_unexplained"))):
        marks = [line.get_ydata() for line in axes.lines if line.get_marker() not in ("None", "")]
        assert [each.tolist() for each in marks] == [[row[name] for row in given] for name in shown if name in names]
        assert len(axes.get_xticks()) <= 10 and set(axes.get_xticks()) <= {row["departures"] for row in given}
    assert left.get_xlabel() == "at most so many"


def test_intervals_are_drawn_from_end_to_end():
    (row,) = rows(1)
    _, right = audit.gains([row], "at most so many", "", 0.9).figure.axes
    ends = [segment[:, 1].tolist() for each in right.collections for segment in each.get_segments()]
    assert ends == [[row[f"{name}_low"], row[f"{name}_high"]] for name in ("unexplained", "plain_unexplained")]
