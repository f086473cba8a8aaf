"""Searches that may try few routes of a token: how far their best is from the best there is."""

from collections.abc import Iterator
from dataclasses import replace

import pyarrow as pa
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, LogLocator, NullLocator

from duo.figures import base
from duo.tables.studies import SEARCH_CURVES

LINEAR = 0.01  # nats below which the axis of regret is linear


def pictures(setting: base.Setting, documents: int) -> Iterator[base.Drawn]:
    """The figure of the searches, on so many documents per domain."""
    setting = replace(setting, documents=documents)
    picture = regret(SEARCH_CURVES.read(), setting)
    yield base.Drawn("search", picture, setting.used("random_routes"), [SEARCH_CURVES])


def regret(curves: pa.Table, setting: base.Setting) -> base.Picture:
    """Regret against evaluations, a column of panels per domain, a row per budget.

    curves: SEARCH_CURVES, of `setting.documents` documents per domain.
    """
    domains, budgets = curves["domain"].unique().to_pylist(), sorted(curves["budget"].unique().to_pylist())
    lines = base.lines(curves["method"].unique().to_pylist())
    with base.style():
        figure = Figure(figsize=(base.WIDTH, 0.8 + 1.9 * len(budgets)), layout="constrained")
        panels = figure.subplots(len(budgets), len(domains), squeeze=False, sharex=True, sharey=True)
        for row, budget in zip(panels, budgets, strict=True):
            for axes, domain in zip(row, domains, strict=True):
                for method, line in lines.items():
                    _curve(axes, base.of(curves, domain=domain, budget=budget, method=method), line)
                axes.set_title(f"{domain}, {budget} of {setting.layers} big")
                _scales(axes)
            row[0].set_ylabel("regret, nats per token")
        panels[0, 0].set_ylim(bottom=0)
        for axes in panels[-1]:
            axes.set_xlabel("evaluations per token")
        base.legend_below(figure, *panels.ravel())
    caption = (
        "Lowest loss that a search has met, less the lowest among all routes of the budget, mean over tokens, against "
        "the number of evaluations: routes tried, each run through all layers, nothing being kept from one run to the "
        "next. Beam search also looks at prefixes of routes, each at its share of the layers, so it begins late. All "
        f"searches see the label. Both axes are logarithmic, that of regret down to {LINEAR:g}. "
        f"{base.studied(setting)} {base.constraint(setting)} {base.interval(setting, 'Bands', '')}"
    )
    return base.Picture(figure, "Searches that try few routes, against the exact answer", caption)


def _curve(axes: Axes, curve: pa.Table, line: base.Line) -> None:
    curve = curve.sort_by("evaluations")
    columns = ("evaluations", "regret", "regret_low", "regret_high")
    evaluations, value, low, high = (curve[name].to_numpy() for name in columns)
    axes.fill_between(evaluations, low, high, color=line.colour, alpha=0.12, linewidth=0)
    look = {"color": line.colour, "marker": line.marker, "linestyle": line.dashes}
    axes.plot(evaluations, value, markevery=0.12, label=line.label, **look)


def _scales(axes: Axes) -> None:
    """Both axes logarithmic, that of regret linear near 0, where regrets end."""
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.set_yscale("symlog", linthresh=LINEAR)
    ticks = [digit * LINEAR * 10**power for power in range(4) for digit in (1, 2, 5)]
    axes.yaxis.set_major_locator(FixedLocator([0, *ticks]))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter("{x:g}")
        axis.set_minor_locator(NullLocator())
