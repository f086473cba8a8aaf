"""Figure 8: Duo at a chance of the big FFN against dense models of equal FLOPs and frozen big FFNs, by loss and
multiple choice.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter

from duo.data.tasks import ENDINGS
from duo.figures import base
from duo.settings import Ablation
from duo.tables.studies import ABLATION_CURVES

KINDS = {
    "duo": "Duo: both FFNs trained together",
    "dense": "dense, equal FLOPs",
    "frozen": "small FFNs added to a frozen model",
}
MEASURES = {"loss": ("loss", "nats per token"), "accuracy": ("right choices", "share of items")}  # with their unit
COUNT = EngFormatter(places=1, sep="")  # 4.1M
SHIFT = 0.012  # between kinds along the axis, so that no interval hides another


def pictures(setting: base.Setting, settings: Ablation, questions: Mapping[str, int]) -> Iterator[base.Drawn]:
    """The figure of the ablations; questions: how many, by other people's tasks."""
    picture = chances(ABLATION_CURVES.read(), setting, settings, questions)
    yield base.Drawn("figure-8", picture, setting.used(**settings.model_dump(), questions=questions), [ABLATION_CURVES])


def chances(curves: pa.Table, setting: base.Setting, settings: Ablation, questions: Mapping[str, int]) -> base.Picture:
    """Figure 8: loss and accuracy against the chance of the big FFN, and beside them their differences from Duo's.

    curves as ABLATION_CURVES; a row of panels per domain and measure. questions as in `pictures`.
    """
    domains = curves["domain"].unique().to_pylist()
    shown = [
        (domain, measure)
        for domain in domains
        for measure in base.of(curves, domain=domain)["measure"].unique().to_pylist()
    ]
    lines = base.lines(curves["kind"].unique().to_pylist(), KINDS)
    with base.style():
        figure = Figure(figsize=(base.WIDTH, 1.9 * len(shown) + 0.5), layout="constrained")
        grid = figure.subplots(len(shown), 2, squeeze=False, sharex=True)
        measures = [measure for _, measure in shown]
        for (left, right), (domain, measure) in zip(grid, shown, strict=True):
            first = grid[measures.index(measure), 1]
            if right is not first:
                right.sharey(first)
            part = base.of(curves, domain=domain, measure=measure)
            _values(left, part, lines)
            _differences(right, part, lines)
            if measure == "accuracy" and (domain, "loss") in shown:
                # Our own items: other tasks may have more or fewer endings.
                left.axhline(1 / ENDINGS, color="#999999", linestyle="-.", linewidth=0.8, label="guessing")
            words, unit = MEASURES.get(measure, (measure, ""))
            left.set_title(f"{domain}: {words}")
            right.set_title(f"{domain}: {words}, less Duo's")
            left.set_ylabel(unit)
        _chances(grid[-1], curves)
        base.legend_below(figure, *grid[:, 1], *grid[:, 0])
    routing = f"{settings.draws} random routings" if settings.draws > 1 else "one random routing"
    others = "".join(f", and {count} questions of {name}" for name, count in questions.items())
    caption = (
        f"Held-out loss; {base.sample(setting)} Multiple choice: {settings.items} items per domain, each "
        f"a context of {settings.context} tokens and {ENDINGS} endings of {settings.continuation}, {ENDINGS - 1} of "
        f"other documents{others}; the choice is the ending of the highest log-likelihood per character. "
        "Left, of every model; right, less that of Duo of the same seed at the same chance, on the same tokens or "
        "items. Every layer of "
        "every token is big with the given chance, so the number of big layers is right on average alone; losses are "
        f"means over {routing}. Duo has {base.size(setting)}; dense models have one FFN and "
        "the same training. Under each chance the floating-point operations of a forward pass, per token; dense "
        "models stand where Duo does theirs. Small, without line and bar: models of other seeds. "
        f"{base.interval(setting, 'Bars', '')}"
    )
    return base.Picture(figure, "Duo, dense models and frozen big FFNs (the paper's figure 8)", caption)


def _values(axes: Axes, curves: pa.Table, lines: Mapping[str, base.Line]) -> None:
    """Means of every kind of model against the chance: a line of the first seed, and marks of the others."""
    for line, of_kind, place, first in _by_seed(curves, lines):
        (value,) = base.columns(of_kind, "value")
        axes.plot(place, value, **_look(line, first))


def _differences(axes: Axes, curves: pa.Table, lines: Mapping[str, base.Line]) -> None:
    """What every kind of model but Duo is above Duo of its seed, with intervals where that is the first."""
    base.reference(axes, replace(base.LINES["duo"], label=KINDS["duo"]), 0)
    for line, of_kind, place, first in _by_seed(curves, {kind: line for kind, line in lines.items() if kind != "duo"}):
        value, low, high = base.columns(of_kind, *base.paired("duo"))
        if first:
            axes.errorbar(place, value, [value - low, high - value], capsize=2, elinewidth=0.8, **_look(line, first))
        else:
            axes.plot(place, value, **_look(line, first))


def _by_seed(
    curves: pa.Table, lines: Mapping[str, base.Line]
) -> Iterator[tuple[base.Line, pa.Table, np.ndarray, bool]]:
    """For every kind and seed its style, rows, places on the axis, side by side, and whether it is the first seed."""
    (first, *_) = curves["seed"].to_pylist()
    for index, (kind, line) in enumerate(lines.items()):
        of_kind = base.of(curves, kind=kind)
        for seed in of_kind["seed"].unique().to_pylist():
            rows = base.of(of_kind, seed=seed).sort_by("p_big")
            yield line, rows, rows["p_big"].to_numpy() + SHIFT * (index - (len(lines) - 1) / 2), seed == first


def _look(line: base.Line, first: bool) -> dict[str, Any]:
    """How the models of a kind look: those of the first seed as a line, those of others as small marks."""
    look = {"color": line.colour, "marker": line.marker}
    if first:
        return look | {"linestyle": line.dashes, "label": line.label}
    return look | {"linestyle": "none", "markersize": 3, "alpha": 0.6}


def _chances(row: Iterable[Axes], curves: pa.Table) -> None:
    """The x axes of a row of panels: chances, and the operations that each takes."""
    places, first = np.unique(curves["p_big"].to_numpy(), return_index=True)
    flops = curves["flops"].to_numpy()[first]
    for axes in row:
        axes.set_xticks(places, [f"{place:g}\n{COUNT(count)}" for place, count in zip(places, flops, strict=True)])
        axes.set_xlabel("chance of the big FFN, and operations per token")
