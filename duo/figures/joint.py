"""What the oracle's choices promise in isolation, and what they give when all tokens run jointly, in every context."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np
import pyarrow as pa
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from duo.figures import base
from duo.settings import Joint
from duo.tables.studies import JOINT_CURVES
from duo.terms import ALL_BIG, ALL_SMALL, FIXED, GREEDY, ISOLATED, JOINT, ORACLE, RANDOM, REFERENCE, SHARED

_RUNS = {
    ALL_BIG: "with all layers big",
    ALL_SMALL: "with all layers small",
    RANDOM: "with a random route for every token",
}


def pictures(setting: base.Setting, joint: Joint) -> Iterator[base.Drawn]:
    """The figure of isolated and joint losses."""
    setting = replace(setting, documents=joint.documents)
    picture = isolated_and_joint(JOINT_CURVES.read(), joint.reference, setting)
    used = setting.used("random_routes", contexts=joint.contexts, reference=joint.reference)
    yield base.Drawn("joint", picture, used, [JOINT_CURVES])


def isolated_and_joint(curves: pa.Table, reference: str, setting: base.Setting) -> base.Picture:
    """Perplexity against budget, a panel per domain: the oracle in every context, and fixed.

    curves: JOINT_CURVES; reference: the run whose routes the other tokens keep in context reference: all_big,
    all_small, random, or a router's name.
    """
    domains, contexts = (curves[name].unique().to_pylist() for name in ("domain", "context"))
    lines = base.lines(contexts, {context: f"oracle, {context}" for context in contexts})
    with base.style():
        figure, panels = base.panels(len(domains), columns=2, height=3.4)
        for axes, domain in zip(panels, domains, strict=True):
            part = base.of(curves, domain=domain)
            _fixed(axes, part, setting.layers)
            for (context, line), shift in zip(lines.items(), np.linspace(-0.1, 0.1, len(lines)), strict=True):
                _oracle(axes, base.of(part, context=context), line, shift)
            axes.set_title(domain)
            axes.set_xlabel("big layers per token")
            axes.set_ylabel("perplexity")
            axes.xaxis.set_major_locator(MaxNLocator(min(13, setting.layers + 1), integer=True))
            base.logarithmic(axes)
        base.legend_below(figure, *panels)
    caption = (
        "Perplexity (logarithmic) of each token's best route, against the number of big layers per token: isolated, in "
        "the context in which the route was found best, and joint, when all tokens run together, once, on their chosen "
        "routes. Contexts say what the other tokens of the sequence do while one token's routes are tried: "
        f"{_meanings(contexts, reference)}. Fixed is one route for all tokens of a domain, joint. Model "
        f"{setting.model}; {base.sample(setting)} Every token has exactly its budget of big layers, of "
        f"{setting.layers}. Vertical lines and the band: {setting.confidence:.0%} percentile bootstrap intervals, "
        "clusters resampled, routes as they were chosen."
    )
    return base.Picture(figure, "Isolated and joint: what the oracle's choices give together", caption)


def _oracle(axes: Axes, curves: pa.Table, line: base.Line, shift: float) -> None:
    """The oracle of one context: isolated hollow and dashed, joint filled."""
    for kind, dashes, fill in ((ISOLATED, "--", "none"), (JOINT, line.dashes, line.colour)):
        budget, loss, low, high = _series(curves, ORACLE, kind)
        at = budget + shift  # side by side, so that no interval hides another's
        axes.vlines(at, np.exp(low), np.exp(high), color=line.colour, linewidth=0.8)
        look = {"color": line.colour, "marker": line.marker, "linestyle": dashes, "markerfacecolor": fill}
        axes.plot(at, np.exp(loss), label=f"{line.label}, {kind}", **look)


def _fixed(axes: Axes, curves: pa.Table, layers: int) -> None:
    """The fixed route of the first context that has one, and all layers big, where there is such a budget."""
    fixed = base.of(curves, selection=FIXED, kind=JOINT)
    for context in fixed["context"].unique().to_pylist()[:1]:
        line = base.LINES["fixed"]
        budget, loss, low, high = _series(base.of(fixed, context=context), FIXED, JOINT)
        axes.fill_between(budget, np.exp(low), np.exp(high), color=line.colour, alpha=0.12, linewidth=0)
        look = {"color": line.colour, "marker": line.marker, "linestyle": line.dashes}
        axes.plot(budget, np.exp(loss), label=line.label, **look)
    for perplexity in base.of(curves, selection=ORACLE, kind=JOINT, budget=layers)["perplexity"].to_pylist()[:1]:
        line = base.LINES["all_big"]
        axes.axhline(perplexity, color=line.colour, linewidth=0.8, linestyle=line.dashes, label=line.label)


def _series(curves: pa.Table, selection: str, kind: str) -> list[np.ndarray]:
    """budget, loss, low and high of one line of one context, by budget."""
    rows = base.of(curves, selection=selection, kind=kind).sort_by("budget")
    return [rows[name].to_numpy() for name in ("budget", "loss", "low", "high")]


def _meanings(contexts: Iterable[str], reference: str) -> str:
    """What the contexts mean; one that is not known here goes by its name alone."""
    run = _RUNS.get(reference, f"on the routes of router {reference}")
    known = {
        SHARED: "they take the route on trial too",
        REFERENCE: f"they keep the routes of one run {run}",
        GREEDY: "those before keep the routes that won, so that isolated and joint loss are one but for rounding",
    }
    return "; ".join(f"in {context}, {known[context]}" if context in known else f"in {context}" for context in contexts)
