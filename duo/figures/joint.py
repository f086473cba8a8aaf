"""What the oracle claims and what comes of its choices, in every context."""

import numpy as np
import pyarrow as pa
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from duo.figures import base

_CONTEXTS = {  # colour and marker; isolated is hollow and dashed, joint filled
    "shared": ("#0072B2", "o"),
    "reference": ("#D55E00", "s"),
    "greedy": ("#009E73", "D"),
}
_RUNS = {
    "all_big": "with all layers big",
    "all_small": "with all layers small",
    "random": "with a random route for every token",
}


def isolated_and_joint(curves: pa.Table, reference: str, setting: base.Setting) -> base.Picture:
    """Perplexity against budget, a panel a domain: the oracle in every context, and fixed. curves as
    gain_artifacts.CONTEXT_CURVES.

    reference: as params joint.reference.
    """
    domains, contexts = (curves[name].unique().to_pylist() for name in ("domain", "context"))
    with base.style():
        figure, panels = base.panels(len(domains), columns=2, height=3.4)
        for axes, domain in zip(panels, domains, strict=True):
            part = base.of(curves, domain=domain)
            _fixed(axes, part, setting.layers)
            for context, shift in zip(contexts, np.linspace(-0.1, 0.1, len(contexts)), strict=True):
                colour, marker = _CONTEXTS[context]
                for kind, dashes, fill in (("isolated", "--", "none"), ("joint", "-", colour)):
                    budget, loss, low, high = _series(part, context, "oracle", kind)
                    at = budget + shift  # side by side, so that no interval hides another's
                    axes.vlines(at, np.exp(low), np.exp(high), color=colour, linewidth=0.8)
                    look = {"color": colour, "marker": marker, "linestyle": dashes, "markerfacecolor": fill}
                    axes.plot(at, np.exp(loss), label=f"oracle, {context}, {kind}", **look)
            axes.set_title(domain)
            axes.set_xlabel("big layers a token")
            axes.set_ylabel("perplexity")
            axes.xaxis.set_major_locator(MaxNLocator(min(13, setting.layers + 1), integer=True))
            base.logarithmic(axes)
        base.legend_below(figure, panels[0])
    run = _RUNS.get(reference, f"on the routes of router {reference}")
    meanings = {
        "shared": "they take the route on trial too",
        "reference": f"they keep the routes of one run {run}",
        "greedy": "those before keep the routes that won, so that isolated and joint are one but for rounding",
    }
    told = "; in ".join(f"{context}, {meanings[context]}" for context in contexts)
    caption = (
        "Perplexity (logarithmic) of each token's best route, against the number of big layers a token: as isolated in the context in "
        "which it was found best, and as joint when all tokens run jointly, once, on their chosen routes. Contexts say what the "
        f"other tokens of the sequence do: in {told}. Fixed is one route for all tokens of a domain, joint. Model {setting.model}; "
        f"{base.sample(setting)} Every token has exactly its budget of big layers, of {setting.layers}. "
        f"Vertical lines and the grey band: {setting.confidence:.0%} percentile bootstrap intervals, documents resampled, routes as chosen "
        "on all of them."
    )
    return base.Picture(figure, "Isolated and joint: what the oracle's choices give together", caption)


def _fixed(axes: Axes, curves: pa.Table, layers: int) -> None:
    """The fixed route of the first context that has one, and all layers big, where there is such a budget."""
    fixed = base.of(curves, selection="fixed", kind="joint")
    for context in fixed["context"].unique().to_pylist()[:1]:
        budget, loss, low, high = _series(fixed, context, "fixed", "joint")
        axes.fill_between(budget, np.exp(low), np.exp(high), color="#000000", alpha=0.08, linewidth=0)
        axes.plot(budget, np.exp(loss), color="#000000", marker="^", linestyle="-.", label="fixed")
    for all_big in base.of(curves, selection="oracle", kind="joint", budget=layers)["perplexity"].to_pylist()[:1]:
        axes.axhline(all_big, color="#000000", linewidth=0.8, linestyle=(0, (1, 2)), label="all layers big")


def _series(curves: pa.Table, context: str, selection: str, kind: str) -> list[np.ndarray]:
    """budget, loss, low and high of one line, by budget."""
    rows = base.of(curves, context=context, selection=selection, kind=kind).sort_by("budget")
    return [rows[name].to_numpy() for name in ("budget", "loss", "low", "high")]
