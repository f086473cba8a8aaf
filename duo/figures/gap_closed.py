"""How much of the teacher-informed gap routers close, whatever they were trained for."""

from collections.abc import Iterator, Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from matplotlib.axes import Axes

from duo.figures import base
from duo.settings import Policies
from duo.tables.studies import GAP_CLOSED_CURVES
from duo.terms import (
    BASELINES,
    CEILING,
    CHOOSER,
    CHOOSERS,
    EXACT,
    FIXED,
    ISOLATED,
    JOINT,
    LEARNED,
    NONE,
    OTHERS,
    OWN,
    PAPER,
    RANDOM,
    ROUTERS,
    STACK,
)

_LINES_ACROSS = (FIXED, CEILING)  # 0 and 1 of the share
_LEFT_OUT = RANDOM  # so far below 0 that nothing else would be told apart; the caption says so
_REFERENCES = {  # no policy is a line without marks
    OWN: base.Line("chooser: the model itself", "#000000", "", "-"),
    OTHERS: base.Line("chooser: other seeds", "#000000", "", ":"),
    STACK: base.Line("chooser: all pooled", "#000000", "", "-."),
}
_GAP = 0.1  # between the marks of two policies at a budget


def pictures(setting: base.Setting, teacher: str, policies: Policies) -> Iterator[base.Drawn]:
    """The figure of the gap closed; teacher: the first one, whose label-free choice is the ceiling."""
    used = setting.used("random_routes", teacher=teacher, policies=policies.model_dump())
    yield base.Drawn("gap-closed", shares(GAP_CLOSED_CURVES.read(), teacher, setting), used, [GAP_CLOSED_CURVES])


def shares(curves: pa.Table, teacher: str, setting: base.Setting) -> base.Picture:
    """Share of the teacher-informed gap closed by every policy in the table, a column of panels per domain.

    Isolated losses above, joint ones below, all on one scale. curves as GAP_CLOSED_CURVES; teacher: whose label-free
    choice is the ceiling.
    """
    exact = base.of(curves, constraint=EXACT, chosen=True)
    domains = exact["domain"].unique().to_pylist()
    with_gap = {domain: _with_gap(base.of(exact, domain=domain)) for domain in domains}
    lines = _lines(exact)
    with base.style():
        figure, panels = base.panels(2 * len(domains), columns=len(domains), height=2.5)
        drawn = [0.0, 1.0]
        for index, axes in enumerate(panels):
            kind, domain = (ISOLATED, JOINT)[index // len(domains)], domains[index % len(domains)]
            drawn += _panel(axes, base.of(exact, domain=domain, kind=kind), lines, with_gap[domain])
            axes.set_title(f"{domain}, {kind}")
        margin = 0.05 * (max(drawn) - min(drawn))
        for axes in panels:
            axes.set_ylim(min(drawn) - margin, max(drawn) + margin)
        base.legend_below(figure, *panels)
    judge = "the other models" if teacher == OTHERS else f"model {teacher}"
    caption = (
        "Share of the teacher-informed gap that a policy closes, (fixed - policy) / (fixed - ceiling), by big layers "
        "per token: 0 is the best single route of the domain, chosen on training documents; 1 the ceiling, the routes "
        f"that the predictions of {judge} prefer without the label. Of each policy the input and network with the "
        f"lowest validation loss{_chosen(exact, lines)}. Above, isolated losses, where all tokens of the sequence "
        "share each route; below, joint losses, of all tokens on their own routes at once, which the paper's router "
        "always has. "
        f"{_of_references(exact)}Random routes are in the tables. {_without_gap(with_gap, exact)}"
        f"{base.studied(setting)} Every token has exactly its budget of big layers, of "
        f"{setting.layers}; context shared. Vertical lines, which the axis may cut: "
        f"{base.intervals(setting.confidence)}, every router as it was trained and chosen."
    )
    return base.Picture(figure, "How much of the teacher-informed gap routers close", caption)


def _lines(curves: pa.Table) -> dict[str, base.Line]:
    """The style of every policy that is drawn as marks."""
    own = set(curves["policy"].to_pylist()) - {*ROUTERS, *BASELINES, *CHOOSERS, PAPER, CEILING}
    listed = base.known_first(curves["policy"].to_pylist(), own)
    left_out = (*_LINES_ACROSS, _LEFT_OUT, *CHOOSERS)
    return base.lines((policy for policy in listed if policy not in left_out), own=own)


def _chosen(curves: pa.Table, lines: Mapping[str, base.Line]) -> str:
    """Input and network of every policy that has learned with a network, in brackets."""
    learned = {row["policy"]: row for row in base.of(curves, role=LEARNED).to_pylist() if row["network"] != NONE}
    words = [
        f"{line.label}: {learned[policy]['input']}, {learned[policy]['network']}"
        for policy, line in lines.items()
        if policy in learned
    ]
    return f" ({'; '.join(words)})" if words else ""


def _of_references(curves: pa.Table) -> str:
    """What the curves are, where there are any."""
    if not base.of(curves, role=CHOOSER).num_rows:
        return ""
    return (
        "Curves: isolated losses of the routes that other predictions prefer without the label, the model's own under "
        "the reference route, the mean of other seeds' where there are any, and all choosers' pooled; bands are "
        "intervals. "
    )


def _with_gap(curves: pa.Table) -> list[int]:
    """Budgets at which the ceiling's interval lies below fixed, so that there is a gap to close."""
    ceiling = base.of(curves, policy=CEILING).sort_by("budget")
    return [row["budget"] for row in ceiling.to_pylist() if row["from_fixed_high"] < 0]


def _panel(axes: Axes, curves: pa.Table, lines: Mapping[str, base.Line], budgets: list[int]) -> list[float]:
    """Draw one domain and kind of loss at these budgets; returns the shares that are drawn."""
    curves = curves.filter(pc.is_in(curves["budget"], pa.array(budgets, pa.int32())))
    step = min(_GAP, 0.9 / max(1, len(lines)))
    offsets = (np.arange(len(lines)) - (len(lines) - 1) / 2) * step
    drawn = []
    for offset, (policy, line) in zip(offsets, lines.items(), strict=True):
        rows = base.of(curves, policy=policy)
        places = np.array([budgets.index(budget) for budget in rows["budget"].to_pylist()]) + offset
        share, low, high = (rows[name].to_numpy() for name in ("share", "share_low", "share_high"))
        drawn += share.tolist()
        if len(rows):
            axes.vlines(places, low, high, color=line.colour, linewidth=1)
            hollow = {"markerfacecolor": "white"} if line.dashes == ":" else {}
            axes.plot(places, share, line.marker, color=line.colour, label=line.label, **hollow)
    drawn += _references(axes, curves, budgets)
    for level, dashes in ((0.0, "-"), (1.0, "--")):
        axes.axhline(level, color="#777777", linewidth=0.8, linestyle=dashes, zorder=0)
    for edge in range(1, len(budgets)):
        axes.axvline(edge - 0.5, color="#dddddd", linewidth=0.5, zorder=0)
    if not budgets:
        axes.text(0.5, 0.5, "no budget leaves a gap\nthat is sure", transform=axes.transAxes, ha="center", va="center")
    axes.set_xticks(range(len(budgets)), [str(budget) for budget in budgets])
    axes.set_xlim(-0.5, max(0.5, len(budgets) - 0.5))
    axes.set_xlabel("big layers per token")
    axes.set_ylabel("share of the gap")
    return drawn


def _references(axes: Axes, curves: pa.Table, budgets: list[int]) -> list[float]:
    """Draw the choosers as curves with their intervals; returns the shares that are drawn."""
    drawn = []
    for name, line in _REFERENCES.items():
        rows = base.of(curves, policy=name, role=CHOOSER).sort_by("budget")
        places = [budgets.index(budget) for budget in rows["budget"].to_pylist()]
        share, low, high = (rows[column].to_numpy() for column in ("share", "share_low", "share_high"))
        if len(rows):
            axes.plot(places, share, linestyle=line.dashes, color=line.colour, label=line.label)
            axes.fill_between(places, low, high, color=line.colour, alpha=0.12, linewidth=0)
            drawn += share.tolist()
    return drawn


def _without_gap(with_gap: Mapping[str, list[int]], curves: pa.Table) -> str:
    """Which budgets are left out, and why."""
    budgets = sorted(set(curves["budget"].to_pylist()))
    missing = {domain: [budget for budget in budgets if budget not in kept] for domain, kept in with_gap.items()}
    words = [f"{domain} at {', '.join(map(str, left_out))}" for domain, left_out in missing.items() if left_out]
    return f"Left out, as the interval of the gap is not all above 0: {'; '.join(words)}. " if words else ""
