"""Searches that may try few routes of a token: how far their best is from the best there is."""

import pyarrow as pa
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, LogLocator, NullLocator

from duo.figures import base

LINEAR = 0.01  # nats below which the axis of regret is linear
# By method, as in params search.methods; lines and markers tell them apart in grey.
LINES = {
    "random": base.Line("random routes", "#000000", "x", ":"),
    "mcts": base.Line("Monte Carlo tree search", "#E69F00", "v", "-."),
    "beam": base.Line("beam by the logit lens", "#CC79A7", "D", "--"),
    "evolution": base.Line("evolution (1 + λ)", "#56B4E9", "P", "-."),
    "two_flip": base.Line("local search, two swaps", "#009E73", "^", "--"),
    "one_flip": base.Line("local search, one swap", "#D55E00", "s", "-"),
    "additive": base.Line("additive surrogate", "#0072B2", "o", "-"),
}


def regret(curves: pa.Table, setting: base.Setting) -> base.Picture:
    """Regret against evaluations, a column of panels a domain, a row a budget. curves:

    SEARCH_CURVES, of `setting.documents` a domain.
    """
    domains, budgets = curves["domain"].unique().to_pylist(), sorted(curves["budget"].unique().to_pylist())
    methods = [method for method in LINES if method in curves["method"].unique().to_pylist()]
    with base.style():
        figure = Figure(figsize=(base.WIDTH, 0.8 + 1.9 * len(budgets)), layout="constrained")
        panels = figure.subplots(len(budgets), len(domains), squeeze=False, sharex=True, sharey=True)
        for row, budget in zip(panels, budgets, strict=True):
            for axes, domain in zip(row, domains, strict=True):
                for method in methods:
                    part = base.of(curves, domain=domain, budget=budget, method=method).sort_by("evaluations")
                    line = LINES[method]
                    at, value, low, high = (
                        part[name].to_numpy() for name in ("evaluations", "regret", "regret_low", "regret_high")
                    )
                    axes.fill_between(at, low, high, color=line.colour, alpha=0.12, linewidth=0)
                    axes.plot(
                        at,
                        value,
                        color=line.colour,
                        marker=line.marker,
                        markevery=0.12,
                        linestyle=line.dashes,
                        label=line.label,
                    )
                axes.set_title(f"{domain}, {budget} of {setting.layers} big")
                axes.set_xscale("log")
                axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
                axes.xaxis.set_major_formatter("{x:g}")
                axes.xaxis.set_minor_locator(NullLocator())
                axes.set_yscale("symlog", linthresh=LINEAR)  # regrets end at 0
                axes.yaxis.set_major_locator(
                    FixedLocator([0, *(digit * LINEAR * 10**power for power in range(4) for digit in (1, 2, 5))])
                )
                axes.yaxis.set_major_formatter("{x:g}")
                axes.yaxis.set_minor_locator(NullLocator())
            row[0].set_ylabel("regret, nats a token")
        panels[0, 0].set_ylim(bottom=0)
        for axes in panels[-1]:
            axes.set_xlabel("evaluations of a token")
        base.legend_below(figure, panels[0, 0])
    caption = (
        "Mean over tokens of the lowest loss that a search has met, less the lowest among all routes of the budget, against the number of "
        "evaluations: routes tried, each run through all layers, nothing being kept from one run to the next. Beam search also looks at "
        "prefixes of routes, each at its share of the layers, so it begins late. All searches see the label. Both axes are "
        f"logarithmic, that of regret down to {LINEAR:g}. "
        f"Model {setting.model}; {base.sample(setting)} {base.constraint(setting)} Bands: {setting.confidence:.0%} percentile bootstrap "
        "intervals, documents resampled."
    )
    return base.Picture(figure, "Searches that try few routes, against the exact answer", caption)
