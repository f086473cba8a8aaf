"""What an oracle gains over a model of anybody's by leaving out parts of it, beside what luck would give."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from duo.figures import base

_BARS = {"gain": base.Line("the oracle's gain", "#0072B2", "o", "-")}
_BARS["null_gain"] = base.Line("its gain if next words came as predicted", "#E69F00", "s", "-")
_POINTS = {
    "foreseen": base.Line("foreseen without the next word", "#009E73", "P", ""),
    "fixed": replace(base.LINES["fixed"], label="one route for all tokens", dashes=""),
}
_LEFT = {
    "unexplained": base.Line("what is left", "#000000", "o", ""),
    "plain_unexplained": base.Line("what is left, prediction as it is", "#777777", "x", ""),
}
_WIDTH = 0.36
TICKS = 10  # at most


def gains(rows: Sequence[dict[str, Any]], bound: str, sample: str, confidence: float) -> base.Picture:
    """Gains by number of departures, and what is left of them; rows as AUDIT or AUDIT_SAMPLED.

    bound: what these numbers are of.
    """
    at = [row["departures"] for row in rows]
    with base.style():
        figure = Figure(figsize=(base.WIDTH, 3.2), layout="constrained")
        left, right = figure.subplots(1, 2, width_ratios=[3, 2])
        for offset, (name, line) in zip((-_WIDTH / 2, _WIDTH / 2), _BARS.items(), strict=True):
            _bars(left, line, [x + offset for x in at], rows, name)
        for axes, lines in ((left, _POINTS), (right, _LEFT)):
            present = {name: line for name, line in lines.items() if name in rows[0]}
            for index, (name, line) in enumerate(present.items()):
                _points(axes, line, [x + 0.1 * (2 * index - 1) for x in at], rows, name)
            axes.axhline(0, color="#000000", linewidth=0.8, linestyle=(0, (1, 2)))
            axes.set_xticks(at[:: -(-len(at) // TICKS)])
            axes.set_xlim(min(at) - 0.6, max(at) + 0.6)
        left.set_ylabel("gain, nats per token")
        right.set_ylabel("what is left, nats per token")
        left.set_xlabel(bound)
        right.set_xlabel("the same")
        base.legend_below(figure, left, right)
    caption = (
        "Left: what an oracle gains that knows the next word and takes the route that suits each token, beside what it "
        "would gain if next words came as the model itself predicts them. Right: the one less the other, 0 in "
        f"expectation where that prediction is right. {sample} Lines: {base.intervals(confidence, 'documents')}."
    )
    return base.Picture(figure, "The oracle's gain, and what luck would give", caption)


def _bars(axes: Axes, line: base.Line, at: Sequence[float], rows: Sequence[dict[str, Any]], name: str) -> None:
    values, low, high = _estimates(rows, name)
    axes.bar(at, values, width=_WIDTH, color=line.colour, alpha=0.75, label=line.label)
    axes.vlines(at, low, high, color="#000000", linewidth=0.9)


def _points(axes: Axes, line: base.Line, at: Sequence[float], rows: Sequence[dict[str, Any]], name: str) -> None:
    base.marks(axes, line, at, *_estimates(rows, name))


def _estimates(rows: Sequence[dict[str, Any]], name: str) -> list[list[float]]:
    return [[row[column] for row in rows] for column in base.estimate(name)]
