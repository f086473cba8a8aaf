"""Figure 8: Duo at a chance of the big FFN against dense models of equal FLOPs and frozen big FFNs, by loss and
multiple choice.
"""

import numpy as np
import pyarrow as pa
from matplotlib.axes import Axes
from matplotlib.ticker import EngFormatter

from duo.data.tasks import ENDINGS
from duo.figures import base
from duo.settings import Ablation

LINES = {
    "duo": base.Line("Duo: both FFNs trained together", "#0072B2", "o", "-"),
    "dense": base.Line("dense, equal FLOPs", "#D55E00", "s", "--"),
    "frozen": base.Line("small FFNs added to a frozen model", "#009E73", "^", ":"),
}
NAMES = {"loss": "loss (nats a token)", "accuracy": "right choices"}
COUNT = EngFormatter(places=1, sep="")  # 4.1M
SHIFT = 0.012  # between kinds along the axis, so that no interval hides another


def chances(curves: pa.Table, setting: base.Setting, settings: Ablation) -> base.Picture:
    """Figure 8: loss and accuracy against the chance of the big FFN, a row a domain. curves as
    artifacts.ABLATION_CURVES.
    """
    domains = curves["domain"].unique().to_pylist()
    shown = [
        (domain, measure)
        for domain in domains
        for measure in NAMES
        if len(base.of(curves, domain=domain, measure=measure))
    ]
    with base.style():
        figure, panels = base.panels(len(shown), columns=2, height=2.6)
        for axes, (domain, measure) in zip(panels, shown, strict=True):
            _panel(axes, base.of(curves, domain=domain, measure=measure))
            if (
                measure == "accuracy" and (domain, "loss") in shown
            ):  # our own items: other tasks may have more or fewer endings
                axes.axhline(1 / ENDINGS, color="#999999", linestyle="-.", linewidth=0.8, label="guessing")
            axes.set_title(domain)
            axes.set_ylabel(NAMES[measure])
        base.legend_below(figure, next(axes for axes in panels if axes.get_ylabel() == NAMES["accuracy"]))
    routing = f"{settings.draws} random routings" if settings.draws > 1 else "one random routing"
    caption = (
        f"Left: held-out loss; {base.sample(setting)} Right: multiple choice, {settings.items} items a domain, each a context of "
        f"{settings.context} tokens and {ENDINGS} endings of {settings.continuation}, {ENDINGS - 1} of other documents; the choice is the "
        "ending of the highest log-likelihood a character. Every layer of every token is big with the given chance, so the number of big "
        f"layers is right on average alone; losses are means over {routing}. Under each chance the floating-point operations of a forward "
        f"pass, a token; dense models stand where Duo does theirs. Bars: {setting.confidence:.0%} percentile bootstrap intervals, "
        "documents resampled."
    )
    return base.Picture(figure, "Duo, dense models and frozen big FFNs (the paper's figure 8)", caption)


def _panel(axes: Axes, curves: pa.Table) -> None:
    """Every kind of model's means against the chance."""
    for index, (kind, line) in enumerate(LINES.items()):
        rows = base.of(curves, kind=kind).sort_by("p_big")
        if not len(rows):
            continue
        place, value, low, high = (rows[name].to_numpy() for name in ("p_big", "value", "low", "high"))
        style = {"color": line.colour, "marker": line.marker, "linestyle": line.dashes, "label": line.label}
        axes.errorbar(
            place + SHIFT * (index - 1), value, yerr=[value - low, high - value], capsize=2, elinewidth=0.8, **style
        )
    places, first = np.unique(curves["p_big"].to_numpy(), return_index=True)
    flops = curves["flops"].to_numpy()[first]
    axes.set_xticks(places, [f"{place:g}\n{COUNT(count)}" for place, count in zip(places, flops, strict=True)])
    axes.set_xlabel("chance of the big FFN, and operations a token")
