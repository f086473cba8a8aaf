"""What became of the paper's claims: every estimate, scaled by what its claim calls the smallest effect of interest."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from duo.figures import base
from duo.tables.report import CLAIMS
from duo.verdicts import BEYOND, CLAIMED, HOLDS, LOOKS, regions

_REACH = 8.0  # of the axis, in smallest effects of interest: what lies further out stands at its end
_MARKS = {CLAIMED: ("o", -0.18), BEYOND: ("D", 0.2)}  # marker, and place in a claim's row
# Colours of the classes of verdicts, and which verdicts these are.
_COLOURS = {"holds": "#009E73", "fails": "#D55E00", "nothing": "#0072B2", "undecided": "#777777"}
_WORDS = {
    "holds": "holds, more than luck",
    "fails": "fails, less than luck",
    "nothing": "no such effect, like luck, too little foreseen",
    "undecided": "undecided, not judged",
}


def pictures(setting: base.Setting) -> Iterator[base.Drawn]:
    """The figure of all claims."""
    yield base.Drawn("verdicts", scaled(CLAIMS.read(), setting), setting.used("random_routes"), [CLAIMS])


def scaled(claims: pa.Table, setting: base.Setting) -> base.Picture:
    """Every claim's estimates with intervals, as claimed and beyond luck, a column of panels per domain; CLAIMS."""
    rows = [row for row in claims.to_pylist() if row["role"] in _MARKS and not np.isnan(row["estimate"])]
    names = list(dict.fromkeys(claims["claim"].to_pylist()))
    domains = claims["domain"].unique().to_pylist()
    with base.style():
        figure = Figure(figsize=(base.WIDTH, 1.2 + 0.3 * len(names)), layout="constrained")
        panels = figure.subplots(1, len(domains), squeeze=False, sharey=True)[0]
        for axes, domain in zip(panels, domains, strict=True):
            _panel(axes, [row for row in rows if row["domain"] == domain], names)
            axes.set_title(domain)
        panels[0].set_yticks(range(len(names)), names)
        panels[0].set_ylim(len(names) - 0.5, -0.5)
        figure.legend(handles=_legend(), loc="outside lower center", ncols=2)
    caption = (
        "Each estimate divided by the smallest effect of interest, the bound or the margin that docs/claims.md fixes "
        "for its claim, so that 1 is where the verdict turns. Shaded: where the statistic must lie for the claim to "
        "hold. Circles: as claimed. Diamonds: what the true labels show more than labels that the model could have "
        "drawn, or what a chooser that doesn't see the label shows. The colour is the verdict, after adjustment for "
        f"the number of tests; horizontal lines are {setting.confidence:.0%} intervals of one statistic at a time, "
        f"over clusters and seeds of training. What lies beyond {_REACH:g} stands at the edge. Model {setting.model} "
        f"and those that differ by their seed alone, and likewise one that saw skips. {base.several(setting)}"
    )
    return base.Picture(figure, "The paper's claims, and what of them is more than luck", caption)


def _panel(axes: Axes, rows: list[dict], names: list[str]) -> None:
    """One domain's claims from top to bottom."""
    axes.axvline(0, color="#777777", linewidth=0.8)
    for row in rows:
        marker, offset = _MARKS[row["role"]]
        place = names.index(row["claim"]) + offset
        value, low, high = (np.clip(row[name] / row["delta"], -_REACH, _REACH) for name in ("estimate", "low", "high"))
        left, right = _holds(row["kind"])
        axes.fill_between([left, right], place - 0.19, place + 0.19, color="#000000", alpha=0.07, linewidth=0)
        look = LOOKS[row["verdict"]]
        colour = _COLOURS[look]
        axes.hlines(place, low, high, color=colour, linewidth=1)
        axes.plot(value, place, marker, color=colour, markerfacecolor="white" if look == "undecided" else colour)
    axes.set_xlim(-1.05 * _REACH, 1.05 * _REACH)
    axes.set_xlabel("estimate, in smallest effects of interest")


def _holds(kind: str) -> tuple[float, float]:
    """The ends of where a claim of this kind holds, in its deltas."""
    ((low, high),) = ((low, high) for verdict, low, high in regions(kind, 1.0) if verdict == HOLDS)
    return max(low, -1.05 * _REACH), min(high, 1.05 * _REACH)


def _legend() -> list[Line2D]:
    words = {CLAIMED: "as claimed", BEYOND: "beyond luck"}
    marks = [
        Line2D([], [], color="#000000", marker=marker, linestyle="", label=words[role])
        for role, (marker, _) in _MARKS.items()
    ]
    return marks + [Line2D([], [], color=colour, label=_WORDS[look]) for look, colour in _COLOURS.items()]
