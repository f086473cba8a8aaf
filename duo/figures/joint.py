"""What the oracle gains in every context, isolated and together, beside luck and what is foreseen."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np
import pyarrow as pa
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from duo.figures import base
from duo.routes import route_name
from duo.settings import Joint
from duo.studies.gain_statistics import best_chooser, chooser_words, route_words
from duo.tables.studies import JOINT_STATISTICS
from duo.terms import ALL_BIG, ALL_SMALL, FIXED, GREEDY, ORACLE, RANDOM, REFERENCE, SHARED

_RUNS = {
    ALL_BIG: "with all layers big",
    ALL_SMALL: "with all layers small",
    RANDOM: "with a random route for every token",
}
_ISOLATED, _JOINT, _NULL = "isolated_gain", "joint_gain", "null_gain"  # families of statistics
_SHADES = ("#666666", "#CC79A7")  # of the nulls


def pictures(setting: base.Setting, joint: Joint, reference: str | int) -> Iterator[base.Drawn]:
    """The figure of gains in every context; reference: the route that gains are over, as params give it."""
    setting = replace(setting, documents=joint.documents)
    picture = gains(JOINT_STATISTICS.read(), joint.reference, route_words(route_name(reference)), setting)
    used = setting.used("random_routes", contexts=joint.contexts, reference=joint.reference, over=reference)
    yield base.Drawn("joint", picture, used, [JOINT_STATISTICS])


def gains(statistics: pa.Table, run: str, over: str, setting: base.Setting) -> base.Picture:
    """Gains against budget, a row per domain, a column per context.

    statistics: JOINT_STATISTICS; run: whose routes the other tokens keep in context reference: all_big, all_small,
    random, or a router's name; over: the reference route, in words.
    """
    rows = base.of(statistics, family=_ISOLATED, subject=ORACLE)
    domains, contexts = (rows[name].unique().to_pylist() for name in ("domain", "reference"))
    with base.style():
        figure = Figure(figsize=(base.WIDTH, 0.9 + 2.3 * len(domains)), layout="constrained")
        panels = figure.subplots(len(domains), len(contexts), squeeze=False, sharex=True, sharey=True)
        for line, domain in zip(panels, domains, strict=True):
            for axes, context in zip(line, contexts, strict=True):
                _context(axes, base.of(statistics, domain=domain, reference=context))
                axes.xaxis.set_major_locator(MaxNLocator(min(7, setting.layers + 1), integer=True))
            line[0].set_ylabel(f"{domain}\ngain, nats per token")
        for axes, context in zip(panels[0], contexts, strict=True):
            axes.set_title(f"context {context}")
        for axes in panels[-1]:
            axes.set_xlabel("big layers per token")
        base.legend_below(figure, *panels.ravel())
    choosers = _choosers(statistics)
    caption = (
        f"What is gained over {over}, token by token. The oracle takes each token's best route: isolated, as it was "
        "tried for this token alone; joint, when all tokens run together, once, on these routes. What the oracle would "
        "gain in isolation if labels came as a chooser predicts, which is luck but for what that chooser foresees ("
        f"{', '.join(f'{name}: {chooser_words(name)}' for name in choosers)}). Foreseen: the routes that "
        f"{choosers[-1]} expects to be best without the label, joint. Fixed is one route for all tokens of a domain, "
        "joint. Contexts say what the other tokens of the sequence do while one token's routes are tried: "
        f"{_meanings(contexts, run)}. {base.studied(setting)} Every token has exactly its budget of big layers, of "
        f"{setting.layers}. {base.interval(setting, 'Vertical lines and bands', 'routes as they were chosen')}"
    )
    return base.Picture(figure, "What the oracle's choices gain, isolated and together, and what luck would", caption)


def _context(axes: Axes, statistics: pa.Table) -> None:
    """One domain's gains in one context."""
    axes.axhline(0, color=base.LINES["all_big"].colour, linewidth=0.8, linestyle=base.LINES["all_big"].dashes)
    choosers = _choosers(statistics)
    for chooser, colour, dashes in zip(choosers, _SHADES[-len(choosers) :], ("-.", ":")[-len(choosers) :], strict=True):
        budget, gain, low, high = _series(statistics, _NULL, chooser)
        axes.fill_between(budget, low, high, color=colour, alpha=0.2, linewidth=0)
        label = f"oracle, if labels came as {chooser} says"
        axes.plot(budget, gain, color=colour, linestyle=dashes, label=label)
    oracle, fixed, foreseen = (base.LINES[name] for name in (ORACLE, FIXED, "exact"))
    hollow = {"markerfacecolor": "white", "linestyle": "--"}
    lines = (
        (_JOINT, FIXED, fixed, "fixed, joint", {"linestyle": fixed.dashes}),
        (_JOINT, choosers[-1], foreseen, f"foreseen by {choosers[-1]}, joint", {"linestyle": foreseen.dashes}),
        (_ISOLATED, ORACLE, oracle, "oracle, isolated", hollow),
        (_JOINT, ORACLE, oracle, "oracle, joint", {"linestyle": oracle.dashes}),
    )
    for (family, subject, line, label, look), shift in zip(lines, np.linspace(-0.12, 0.12, len(lines)), strict=True):
        budget, gain, low, high = _series(statistics, family, subject)
        if len(budget):  # there is no fixed route in context greedy
            at = budget + shift  # side by side, so that no interval hides another's
            axes.vlines(at, low, high, color=line.colour, linewidth=0.8)
            axes.plot(at, gain, color=line.colour, marker=line.marker, label=label, **look)


def _choosers(statistics: pa.Table) -> list[str]:
    """The chooser that the model is to itself, and the one that knows most, where that is another."""
    names = base.of(statistics, family=_NULL)["subject"].unique().to_pylist()
    return list(dict.fromkeys([names[0], best_chooser(names)]))


def _series(statistics: pa.Table, family: str, subject: str) -> list[np.ndarray]:
    """budget, value, low and high, by budget."""
    rows = base.of(statistics, family=family, subject=subject).sort_by("budget")
    return [rows[name].to_numpy() for name in ("budget", "value", "low", "high")]


def _meanings(contexts: Iterable[str], run: str) -> str:
    """What the contexts mean; one that is not known here goes by its name alone."""
    words = _RUNS.get(run, f"on the routes of router {run}")
    known = {
        SHARED: "they take the route on trial too",
        REFERENCE: f"they keep the routes of one run {words}",
        GREEDY: "those before keep the routes that won, so that isolated and joint loss are one but for rounding",
    }
    return "; ".join(f"in {context}, {known[context]}" if context in known else f"in {context}" for context in contexts)
