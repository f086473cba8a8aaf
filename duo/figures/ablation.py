"""Figure 8: Duo at a chance of the big FFN against dense models of equal FLOPs and frozen big FFNs, by loss and
multiple choice.
"""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
from matplotlib.axes import Axes
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
MEASURES = {"loss": "loss, nats per token", "accuracy": "share of right choices"}
COUNT = EngFormatter(places=1, sep="")  # 4.1M
SHIFT = 0.012  # between kinds along the axis, so that no interval hides another


def pictures(setting: base.Setting, settings: Ablation) -> Iterator[base.Drawn]:
    """The figure of the ablations."""
    picture = chances(ABLATION_CURVES.read(), setting, settings)
    yield base.Drawn("figure-8", picture, setting.used(**settings.model_dump()), [ABLATION_CURVES])


def chances(curves: pa.Table, setting: base.Setting, settings: Ablation) -> base.Picture:
    """Figure 8: loss and accuracy against the chance of the big FFN, a row per domain. curves as ABLATION_CURVES."""
    domains = curves["domain"].unique().to_pylist()
    shown = [
        (domain, measure)
        for domain in domains
        for measure in base.of(curves, domain=domain)["measure"].unique().to_pylist()
    ]
    lines = base.lines(curves["kind"].unique().to_pylist(), KINDS)
    with base.style():
        figure, panels = base.panels(len(shown), columns=2, height=2.6)
        for axes, (domain, measure) in zip(panels, shown, strict=True):
            _panel(axes, base.of(curves, domain=domain, measure=measure), lines)
            if measure == "accuracy" and (domain, "loss") in shown:
                # Our own items: other tasks may have more or fewer endings.
                axes.axhline(1 / ENDINGS, color="#999999", linestyle="-.", linewidth=0.8, label="guessing")
            axes.set_title(domain)
            axes.set_ylabel(MEASURES.get(measure, measure))
        base.legend_below(figure, *panels)
    routing = f"{settings.draws} random routings" if settings.draws > 1 else "one random routing"
    caption = (
        f"Left: held-out loss; {base.sample(setting)} Right: multiple choice, {settings.items} items per domain, each "
        f"a context of {settings.context} tokens and {ENDINGS} endings of {settings.continuation}, {ENDINGS - 1} of "
        "other documents; the choice is the ending of the highest log-likelihood per character. Every layer of every "
        "token is big with the given chance, so the number of big layers is right on average alone; losses are means "
        f"over {routing}. Under each chance the floating-point operations of a forward pass, per token; dense models "
        f"stand where Duo does theirs. Small, without line and bar: models of other seeds. "
        f"{base.interval(setting, 'Bars', '')}"
    )
    return base.Picture(figure, "Duo, dense models and frozen big FFNs (the paper's figure 8)", caption)


def _panel(axes: Axes, curves: pa.Table, lines: dict[str, base.Line]) -> None:
    """Means of every kind of model against the chance: a line of the first seed, and marks of the others."""
    first = curves["seed"][0].as_py()
    for index, (kind, line) in enumerate(lines.items()):
        shift, of_kind = SHIFT * (index - (len(lines) - 1) / 2), base.of(curves, kind=kind)
        for seed in of_kind["seed"].unique().to_pylist():
            rows = base.of(of_kind, seed=seed).sort_by("p_big")
            place, value, low, high = (rows[name].to_numpy() for name in ("p_big", "value", "low", "high"))
            style = {"color": line.colour, "marker": line.marker}
            if seed == first:
                style |= {"linestyle": line.dashes, "label": line.label, "capsize": 2, "elinewidth": 0.8}
                axes.errorbar(place + shift, value, yerr=[value - low, high - value], **style)
            else:
                axes.plot(place + shift, value, linestyle="none", markersize=3, alpha=0.6, **style)
    places, first = np.unique(curves["p_big"].to_numpy(), return_index=True)
    flops = curves["flops"].to_numpy()[first]
    axes.set_xticks(places, [f"{place:g}\n{COUNT(count)}" for place, count in zip(places, flops, strict=True)])
    axes.set_xlabel("chance of the big FFN, and operations per token")
