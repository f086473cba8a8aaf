"""How much of the oracle's gain anybody could foresee, and where it puts big layers for luck's sake."""

from collections.abc import Iterator, Sequence
from itertools import product

import numpy as np
import pyarrow as pa
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from duo.figures import base, maps
from duo.routes import route_name
from duo.settings import SampledLabels
from duo.studies.gain_statistics import best_chooser, chooser_words, route_words
from duo.tables.studies import GAIN_HEAT_MAPS, GAIN_LAYERS, GAIN_STATISTICS

_LABELS = {
    "true": base.Line("true labels", "#0072B2", "o", "-"),
    "matched": base.Line("matched labels", "#56B4E9", "D", "--"),
}
SHADES = ("#9ECAE1", "#08519C", "#CC79A7", "#009E73", "#E69F00", "#56B4E9")  # who knows most, then other choosers
VISIBLE = 0.03  # of the highest gain: an area that is named


def pictures(setting: base.Setting, null: SampledLabels, budgets: list[int]) -> Iterator[base.Drawn]:
    """The figures of the gain: who could foresee it, and where big layers go; budgets: of the heat maps."""
    used, statistics = setting.used("random_routes", sampled_labels=null.model_dump()), GAIN_STATISTICS.read()
    yield base.Drawn("gain-split", split(statistics, null, setting), used, [GAIN_STATISTICS])
    yield base.Drawn("choosers", choosers(statistics, null, setting), used, [GAIN_STATISTICS])

    inputs = [GAIN_HEAT_MAPS, GAIN_LAYERS]
    picture = heat_maps(*(table.read() for table in inputs), budgets, null, setting)
    yield base.Drawn("null-heat-maps", picture, used | {"heat_maps": budgets}, inputs)


def split(statistics: pa.Table, null: SampledLabels, setting: base.Setting) -> base.Picture:
    """The oracle's gain by budget, split by what can be foreseen, and by whom; statistics as GAIN_STATISTICS."""
    statistics = base.of(statistics, model=setting.model)
    domains = statistics["domain"].unique().to_pylist()
    with base.style():
        figure = Figure(figsize=(base.WIDTH, 3.6), layout="constrained")
        panels = figure.subplots(1, len(domains), squeeze=False, sharex=True, sharey=True)[0]
        for axes, domain in zip(panels, domains, strict=True):
            _split(axes, base.of(statistics, domain=domain))
            axes.set_title(domain)
            axes.set_xlabel("big layers per token")
            axes.xaxis.set_major_locator(MaxNLocator(min(13, setting.layers + 1), integer=True))
        panels[0].set_ylabel(f"gain over {route_words(route_name(null.reference))}, nats per token")
    best = _knows_most(statistics)
    caption = (
        f"Black: what the oracle gains. Blue area: what {chooser_words(best)} gains without the label (where it loses, "
        "the grey begins below 0); dashed: what other choosers do, by their names. Grey: luck, the oracle's further "
        "gain if labels came as that prediction says. Hatched: what is left up to the gain; where the gain runs inside "
        f"the grey, less is gained than luck alone would give. {_described(setting)} "
        f"{base.interval(setting, 'Dotted lines', '')}"
    )
    return base.Picture(figure, "The oracle's gain, by who could foresee it", caption)


def _split(axes: Axes, statistics: pa.Table) -> None:
    """One domain's areas, which add up to its gain, and what the other choosers foresee; each by its name."""
    axes.axhline(0, color="#000000", linewidth=0.8, linestyle=(0, (1, 2)))
    best = _knows_most(statistics)
    budgets, gained, low, high = _series(base.of(statistics, family="gain", labels="true"))
    rows = base.of(statistics, family="foreseeable", labels="true")
    foreseen = _series(base.of(rows, subject=best))[1]
    lucky = foreseen + _series(base.of(statistics, family="luck", subject=best))[1]
    axes.fill_between(budgets, 0, foreseen, color=SHADES[0], linewidth=0, label=f"foreseen by {best}")
    axes.fill_between(budgets, foreseen, lucky, color="#DDDDDD", linewidth=0, label="luck")
    look = {"facecolor": "none", "edgecolor": "#D55E00", "hatch": "////", "linewidth": 0}
    axes.fill_between(budgets, lucky, np.maximum(gained, lucky), **look, label="not explained")
    others = [chooser for chooser in rows["subject"].unique().to_pylist() if chooser != best]
    for index, (chooser, colour) in enumerate(zip(others, SHADES[1:], strict=False)):
        value = _series(base.of(rows, subject=chooser))[1]
        axes.plot(budgets, value, color=colour, linestyle="--", marker=".", label=chooser)
        at = max(len(budgets) - 3 - 3 * index, 0)
        above = value[at] > foreseen[at] / 2
        _name(axes, chooser, budgets[at], value[at], colour, 6 if above else -7)
    for end in (low, high):
        axes.plot(budgets, end, color="#000000", linewidth=0.6, linestyle=(0, (1, 2)))
    axes.plot(budgets, gained, color="#000000", marker="o", label="oracle's gain")
    half, peak = len(budgets) // 2, int(gained.argmax())
    _name(axes, f"foreseen by {best}", budgets[half], foreseen[half] / 2, "#000000")
    _name(axes, "luck", budgets[half], (foreseen[half] + lucky[half]) / 2, "#000000")
    _name(axes, "oracle's gain", budgets[peak], high[peak], "#000000", 8)
    unexplained = gained - lucky
    if unexplained.max() > VISIBLE * gained.max():
        at = min(peak + 2, len(budgets) - 1)
        _name(axes, "not explained", budgets[at], high[at], look["edgecolor"], 8, "left")


def _name(axes: Axes, words: str, x: float, y: float, colour: str, points: float = 0, side: str = "center") -> None:
    """The name of a line or an area, `points` above where it is."""
    axes.annotate(
        words, (x, y), (0, points), textcoords="offset points", color=colour, fontsize="small", ha=side, va="center"
    )


def choosers(statistics: pa.Table, null: SampledLabels, setting: base.Setting) -> base.Picture:
    """What each chooser foresees at half of the layers big, against how well it knows the labels.

    statistics as GAIN_STATISTICS.
    """
    statistics, budget = base.of(statistics, model=setting.model), setting.layers // 2
    domains = statistics["domain"].unique().to_pylist()
    with base.style():
        figure = Figure(figsize=(base.WIDTH, 3.2), layout="constrained")
        panels = figure.subplots(1, len(domains), squeeze=False, sharey=True)[0]
        for axes, domain in zip(panels, domains, strict=True):
            rows = base.of(statistics, domain=domain)
            _choosers(axes, rows, budget)
            bits = setting.bits_per_nat[domain]
            above = axes.secondary_xaxis("top", functions=(lambda x, c=bits: x * c, lambda x, c=bits: x / c))
            above.set_xlabel(f"{domain}: cross entropy, bits per byte")
            axes.set_xlabel("cross entropy of the chooser, nats per token")
        panels[0].set_ylabel(f"gain over {route_words(route_name(null.reference))}, nats per token")
        base.legend_below(figure, panels[0])
    caption = (
        f"What routes with {budget} big layers gain that a chooser takes without the label, against its cross entropy: "
        "who predicts better is further to the left. Nobody knows how far to the left a prediction can get, so the "
        f"points are lower bounds of what can be foreseen. {_described(setting)} {base.interval(setting, 'Bars', '')}"
    )
    return base.Picture(figure, "What can be foreseen, by how well the chooser predicts", caption)


def _choosers(axes: Axes, statistics: pa.Table, budget: int) -> None:
    """One domain's points, and the oracle's gain."""
    axes.axhline(0, color="#000000", linewidth=0.8, linestyle=(0, (1, 2)))
    _, (gained,), (low,), (high,) = _series(base.of(statistics, family="gain", labels="true", budget=budget))
    axes.axhspan(low, high, color=base.LINES["oracle"].colour, alpha=0.12, linewidth=0)
    axes.axhline(gained, color=base.LINES["oracle"].colour, label="oracle, which knows the label")
    rows = base.of(statistics, family="foreseeable", labels="true", budget=budget)
    for index, chooser in enumerate(rows["subject"].to_pylist()):
        _, (value,), (below,), (above,) = _series(base.of(rows, subject=chooser))
        (entropy,) = base.of(statistics, family="cross_entropy", subject=chooser)["value"].to_pylist()
        axes.errorbar(entropy, value, [[value - below], [above - value]], color="#000000", marker="o", capsize=2)
        axes.annotate(chooser, (entropy, value), (5, 6 + 9 * index), textcoords="offset points")
    axes.margins(x=0.3)
    axes.xaxis.set_major_locator(MaxNLocator(4))


def _knows_most(statistics: pa.Table) -> str:
    """The chooser that knows most, of rows of GAIN_STATISTICS."""
    return best_chooser(base.of(statistics, family="cross_entropy")["subject"].unique().to_pylist())


def _series(rows: pa.Table) -> list[np.ndarray]:
    """budget, value, low and high, by budget."""
    rows = rows.sort_by("budget")
    return [rows[name].to_numpy() for name in ("budget", "value", "low", "high")]


def heat_maps(
    cells: pa.Table, shares: pa.Table, budgets: Sequence[int], null: SampledLabels, setting: base.Setting
) -> base.Picture:
    """Figure 2 on true labels, on matched ones, and the difference; a row per domain and budget.

    cells as GAIN_HEAT_MAPS, shares as GAIN_LAYERS.
    """
    cells, shares = (base.of(table, model=setting.model) for table in (cells, shares))
    rows = list(product(cells["domain"].unique().to_pylist(), budgets))
    differences = [base.of(cells, labels="excess", budget=budget)["share"].to_numpy() for budget in budgets]
    reach = max(float(np.abs(each).max()) for each in differences) or 1.0
    titles = {"true": "true labels", "matched": "matched labels", "excess": "true less matched"}
    looks = {"true": ("cividis", (0, 1)), "matched": ("cividis", (0, 1)), "excess": ("PuOr", (-reach, reach))}
    with base.style():
        figure = Figure(figsize=(base.WIDTH, 0.9 + 1.35 * len(rows)), layout="constrained")
        panels = figure.subplots(len(rows), 4, squeeze=False, sharey=True, width_ratios=[3, 3, 3, 2])
        images = {}
        for row, (domain, budget) in zip(panels, rows, strict=True):
            for axes, labels in zip(row, titles, strict=False):
                images[labels] = maps.heat_map(
                    axes, base.of(cells, domain=domain, labels=labels, budget=budget), setting.layers, *looks[labels]
                )
            _both_shares(row[3], base.of(shares, domain=domain, budget=budget), budget / setting.layers)
            row[0].set_ylabel(f"{domain}, {budget} of {setting.layers}\nlayer")
        for axes, title in zip(panels[0], [*titles.values(), "by layer"], strict=True):
            axes.set_title(title)
        for axes in panels[-1]:
            axes.set_xlabel("share of big" if axes is panels[-1, 3] else "position")
        for labels, columns, words in (
            ("true", slice(0, 2), "share of big"),
            ("excess", slice(2, 3), "difference of shares"),
        ):
            bar = figure.colorbar(
                images[labels],
                ax=panels[:, columns].ravel().tolist(),
                location="bottom",
                shrink=0.6,
                aspect=25,
                pad=0.02,
            )
            bar.set_label(words)
        base.legend_below(figure, panels[0, 3])
    caption = (
        "How often the oracle takes the big FFN, by layer (1 is next to the input) and position, on the true labels, "
        "on others that surprise the model as much, and the difference; and by layer alone, where the dashed line is "
        "the share that a route without preference has. Matched labels are sampled from the model's own prediction "
        f"among the words in the true one's bin of surprisal, {null.within:g} nats wide. {_described(setting)} "
        f"{base.interval(setting, 'Horizontal lines', '')}"
    )
    return base.Picture(figure, "Where the oracle spends big layers, and where by selection bias", caption)


def _described(setting: base.Setting) -> str:
    return f"{base.studied(setting)} {base.constraint(setting)}"


def _both_shares(axes: Axes, shares: pa.Table, expected: float) -> None:
    """Share of big by layer alone, on true and on matched labels, with intervals."""
    axes.axvline(expected, color="#777777", linewidth=0.8, linestyle="--")
    for labels, line, offset in (("true", _LABELS["true"], 0.15), ("matched", _LABELS["matched"], -0.15)):
        rows = base.of(shares, labels=labels).sort_by("layer")
        layer, share, low, high = (rows[name].to_numpy() for name in ("layer", "share", "low", "high"))
        axes.hlines(layer + 1 + offset, low, high, color=line.colour, linewidth=0.8)
        axes.plot(share, layer + 1 + offset, line.marker, color=line.colour, markersize=2.5, label=line.label)
    axes.xaxis.set_major_locator(MaxNLocator(3))
