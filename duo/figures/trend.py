"""How the oracle's gain and its parts change with scale: a column a factor, a row a measure."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from math import log2

import numpy as np
import pyarrow as pa
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, MaxNLocator, NullLocator

from duo.figures import base
from duo.settings import Trend
from duo.tables.trend import TREND_POINTS
from duo.terms import LAYERS, OWN, RATIO, TOKENS, TREND_SHARE, VOCABULARY, WIDTH

# By row: the measure, and the words at its axis.
ROWS = {
    "luck": "luck,\nshare of the gain",
    "foreseeable": "foreseeable,\nshare of the gain",
    "excess": "matched excess,\nshare of the gain",
    "all_big": "all layers big,\nbits per byte",
}
_COLUMNS = {
    TOKENS: "training tokens, millions",
    WIDTH: "width",
    LAYERS: "layers",
    RATIO: "big FFN / small FFN",
    VOCABULARY: "vocabulary",
}
_APART = 0.04  # between the marks of two lines at a point, in widths of the axis


def pictures(name: str, factors: Sequence[str], trend: Trend, confidence: float) -> Iterator[base.Drawn]:
    """The figure of this name, with a column for each of these factors."""
    inputs = [TREND_POINTS.instance(factor=factor) for factor in factors]
    picture = multiples({factor: TREND_POINTS.read(factor=factor) for factor in factors}, trend, confidence)
    used = {"trend": trend.model_dump(exclude_none=True), "confidence": confidence}
    yield base.Drawn(name, picture, used, inputs)


def multiples(tables: Mapping[str, pa.Table], trend: Trend, confidence: float) -> base.Picture:
    """Small multiples, each row on one y axis. tables: TREND_POINTS by factor."""
    first = next(iter(tables.values()))
    lines = list(product(first["domain"].unique().to_pylist(), [OWN, trend.teacher]))
    with base.style():
        height = 1.25 * len(ROWS) + 0.9
        figure = Figure(figsize=(base.WIDTH, height), layout="constrained")
        panels = figure.subplots(len(ROWS), len(tables), squeeze=False, sharex="col", sharey="row")
        for (measure, words), row in zip(ROWS.items(), panels, strict=True):
            for (factor, table), axes in zip(tables.items(), row, strict=True):
                _panel(axes, base.of(table, measure=measure), lines)
                _log_axis(axes, table["x"].to_numpy(), 1e6 if factor == TOKENS else 1)
            row[0].set_ylabel(words)
        for factor, axes in zip(tables, panels[-1], strict=True):
            axes.set_xlabel(_COLUMNS[factor])
        base.legend_below(figure, *panels.ravel())
    return base.Picture(
        figure, "How the oracle's gain and its parts change with scale", _caption(first, trend, confidence)
    )


def _panel(axes: Axes, points: pa.Table, lines: Sequence[tuple[str, str]]) -> None:
    """One measure along one line of points, by domain and chooser; one that is of no chooser is drawn as `own` is."""
    domains = list(dict.fromkeys(domain for domain, _ in lines))
    for index, (domain, chooser) in enumerate(lines):
        rows = base.of(points, domain=domain)
        drawn = [
            row
            for row in rows.sort_by("x").to_pylist()
            if row["share"] in (None, TREND_SHARE)
            and row["chooser"] in ((chooser, "") if chooser == OWN else (chooser,))
        ]
        if not drawn:
            continue
        x, value, low, high = (np.array([row[name] for row in drawn]) for name in ("x", "value", "low", "high"))
        width = np.ptp(np.log2(points["x"].to_numpy()))
        x = x * 2 ** (
            width * _APART * (index - (len(lines) - 1) / 2)
        )  # side by side, so that no interval hides another's
        at = domains.index(domain)
        colour, own = base.COLOURS[at % len(base.COLOURS)], chooser == OWN
        axes.vlines(x, low, high, color=colour, linewidth=0.8)
        look = {"color": colour, "marker": base.MARKERS[at % len(base.MARKERS)], "linestyle": "-" if own else "--"}
        whose = "its own prediction" if own else f"the prediction of {chooser}"
        axes.plot(x, value, label=f"{domain}, by {whose}", markerfacecolor=colour if own else "white", **look)
    if points["unit"][0].as_py() == "share of the gain":
        axes.axhline(0, color="#999999", linewidth=0.6, zorder=0)
    axes.yaxis.set_major_locator(MaxNLocator(4))


def _log_axis(axes: Axes, x: np.ndarray, unit: float) -> None:
    """A logarithmic x axis that names the points' values, in so many units."""
    places = np.unique(x)
    margin = 2 ** (0.12 * max(log2(places[-1] / places[0]), 1))
    axes.set_xscale("log", base=2)
    axes.set_xlim(places[0] / margin, places[-1] * margin)
    axes.xaxis.set_major_locator(FixedLocator(places))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(
        lambda value, _: f"{value / unit:.2g}" if value < 100 * unit else f"{value / unit:.0f}"
    )


def _caption(points: pa.Table, trend: Trend, confidence: float) -> str:
    clusters = {row["domain"]: row["clusters"] for row in points.to_pylist()}
    counted = ", ".join(f"{count} of {domain}" for domain, count in clusters.items())
    return (
        "Parts of the oracle's gain over all layers big, with half of the layers big, along lines of models that "
        "differ in one factor alone. Luck: what the oracle is bound to gain beyond the chooser's route where labels "
        "follow the chooser's prediction, tempered on validation. Foreseeable: what the chooser's route gains on true "
        "labels. What these two leave is not explained. Matched excess: the gain on the true label above that on words "
        "as surprising in the same context, by the model's own prediction. Filled, by its own prediction; open, by "
        f"that of {trend.teacher}, for models of the same vocabulary. All models are scored on the same bytes, in at "
        f"most {trend.windows} windows per domain, in whole words; bits per byte, as tokens differ. Every token has "
        f"exactly its budget; {base.CONTEXT} Vertical lines: {base.intervals(confidence)} "
        f"({counted}), the same for all points, so that differences between points are known better than the "
        "points. One training for each point: how much another seed would change it is in no interval."
    )
