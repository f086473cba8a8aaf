"""Figure 2d, the statistics of skipping, and the oracle over small, big and skip."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from duo.figures import base, maps
from duo.settings import Skips, ThreeWay
from duo.stats import Statistic
from duo.studies import skips
from duo.tables.studies import SKIP_HEAT_MAPS, SKIP_LAYERS, SKIP_STATISTICS, THREE_WAY_CURVES

LEFT_OUT = {
    "ffn": "a skipped layer keeps its attention and has no FFN",
    "layer": "a skipped layer is left out with its attention",
}
LOSSES = (skips.loss("oracle").family, skips.ORACLE_LESS_FIXED.family)  # not drawn: the report has them in a table
# Axes of the other families of SKIP_STATISTICS; one that is not here has an axis of its own name.
AXES = {
    skips.CONSISTENT_LAYERS.family: "share of tokens",
    skips.CONSISTENCY.family: "variance between layers of the share kept",
    skips.EARLY_EXIT.family: "share of pairs kept below skipped, less 0.75",
    skips.HALVES.family: "correlation of skipping in the first and second half",
    skips.CONSECUTIVE.family: "correlation of skipping at consecutive tokens",
}
# Short for the words of the statistics on them; one that is not here has its words.
SHORT = {
    skips.CONSISTENT_LAYERS: "same layer (C10)",
    skips.CONSISTENCY: "layers",
    skips.EARLY_EXIT: "order",
    skips.HALVES: "halves",
    skips.PERSISTENCE: "less shuffled (C19)",
    skips.HALVES_WITHIN_LAYERS: "less shuffled,\nwithin layers",
    skips.CONSECUTIVE: "neighbours",
    skips.CONSECUTIVE_LESS_SHUFFLED: "less shuffled",
    skips.CONSECUTIVE_WITHIN_LAYERS: "less shuffled,\nwithin layers",
}


def pictures(setting: base.Setting, settings: Skips, three: ThreeWay) -> Iterator[base.Drawn]:
    """The figures of skipping: heat maps, statistics, and the oracle over small, big and skip."""
    models, big, skip = settings.models, settings.big, settings.scope
    beside = setting.used("model", "random_routes", skip=skip)
    used = beside | {"models": models, "big": big}
    tables = {model: (SKIP_HEAT_MAPS.read(model=model), SKIP_LAYERS.read(model=model)) for model in models}
    inputs = [table.instance(model=model) for model in models for table in (SKIP_HEAT_MAPS, SKIP_LAYERS)]
    yield base.Drawn("figure-2d", heat_maps(tables, big, skip, setting), used, inputs)

    rows = pa.concat_tables([SKIP_STATISTICS.read(model=model) for model in models])
    inputs = [SKIP_STATISTICS.instance(model=model) for model in models]
    yield base.Drawn("skips", statistics(rows, big, skip, setting), used, inputs)

    picture = three_way(THREE_WAY_CURVES.read(), three.documents, three.tokens, skip, setting)
    used = beside | {"model": three.model, "documents": three.documents, "tokens": three.tokens}
    yield base.Drawn("figure-three-way", picture, used, [THREE_WAY_CURVES])


def heat_maps(
    tables: Mapping[str, tuple[pa.Table, pa.Table]], big: int, skip: str, setting: base.Setting
) -> base.Picture:
    """Figure 2d: SKIP_HEAT_MAPS and SKIP_LAYERS of every model, side by side, a row per domain."""
    with base.style():
        columns = {f"model {model}": pair for model, pair in tables.items()}
        figure = maps.grid(
            columns, setting.layers, "share of documents whose token keeps the layer's big FFN under the oracle"
        )
    caption = (
        "How often the oracle keeps a layer's big FFN where every layer has it or is skipped, by layer and position, "
        "and beside each map by layer alone; the dashed line is the share that a route without preference has. "
        f"Exactly {big} of {setting.layers} layers per token are kept; {LEFT_OUT[skip]}; {base.CONTEXT} "
        f"{base.several(setting)} {base.interval(setting, 'Horizontal lines')}"
    )
    return base.Picture(figure, "Where the oracle skips (the paper's figure 2d)", caption)


def statistics(rows: pa.Table, big: int, skip: str, setting: base.Setting) -> base.Picture:
    """The statistics of C10 and C19, of the true labels: a row of panels per family, a column per domain.

    rows: SKIP_STATISTICS of all models.
    """
    rows = base.of(rows, labels="true")
    domains, models = (rows[name].unique().to_pylist() for name in ("domain", "model"))
    families = [family for family in rows["family"].unique().to_pylist() if family not in LOSSES]
    shown = [list(dict.fromkeys(map(_statistic, base.of(rows, family=family).to_pylist()))) for family in families]
    lines = base.lines(models, {model: f"model {model}" for model in models})
    heights = [len(names) * (0.2 + 0.1 * len(models)) for names in shown]
    with base.style():
        figure = Figure(figsize=(base.WIDTH, 0.6 + 0.45 * len(families) + sum(heights)), layout="constrained")
        panels = figure.subplots(
            len(families), len(domains), squeeze=False, sharex="row", sharey="row", height_ratios=heights
        )
        for row, family, names in zip(panels, families, shown, strict=True):
            for axes, domain in zip(row, domains, strict=True):
                axes.axvline(0, color="#777777", linewidth=0.8, linestyle="--")
                for index, (model, line) in enumerate(lines.items()):
                    offset = 0.5 * ((index + 0.5) / len(models) - 0.5)
                    _marks(axes, base.of(rows, family=family, domain=domain, model=model), names, offset, line)
                axes.set_yticks(range(len(names)), [SHORT.get(name, name.words) for name in names])
                axes.set_ylim(len(names) - 0.5, -0.5)
                axes.xaxis.set_major_locator(MaxNLocator(5))
                axes.set_xlabel(AXES.get(family, family))
        for axes, domain in zip(panels[0], domains, strict=True):
            axes.set_title(domain)
        base.legend_below(figure, panels[0, 0])
    caption = (
        "Above, whether documents keep the same layers: the share of tokens that keep the layer which is kept most, "
        "or skip the one which is skipped most, the lower of the two, each chosen on other documents; and the variance "
        "between layers of the share of tokens that keep them, freed of what chance adds (0 without preference). Then "
        "whether these layers lie below the skipped ones (0.25: "
        "all of them, an early exit; -0.25: no order). Below, correlation of skipping a layer in the first and in the "
        "second half of a sequence, and at consecutive tokens; less the same where second halves change documents, or "
        "positions are shuffled in their document, layer by layer; and the latter for deviations from each layer's "
        f"mean. Exactly {big} of {setting.layers} layers per token are kept; {LEFT_OUT[skip]}; {base.CONTEXT} "
        f"{base.several(setting)} {base.interval(setting, 'Horizontal lines')}"
    )
    return base.Picture(figure, "Does skipping follow layers, an order, or itself?", caption)


def three_way(curves: pa.Table, documents: int, tokens: int, skip: str, setting: base.Setting) -> base.Picture:
    """Oracle over the numbers of big and skipped layers: perplexities as a map, differences from all-big as lines.

    curves as THREE_WAY_CURVES; documents and tokens: how many were tried of every domain.
    """
    curves = base.of(curves, strategy="oracle")
    domains, model = curves["domain"].unique().to_pylist(), curves["model"][0].as_py()
    with base.style():
        figure = Figure(figsize=(base.WIDTH, 6.4), layout="constrained")
        panels = figure.subplots(2, len(domains), squeeze=False)
        for axes in panels[1, 1:]:
            axes.sharey(panels[1, 0])
        for (above, below), domain in zip(panels.T, domains, strict=True):
            part = base.of(curves, domain=domain)
            _triangle(above, part, setting.layers)
            _by_skip(below, part, setting.layers)
            above.set_title(domain)
        base.legend_below(figure, panels[1, 0])
    caption = (
        "The oracle where every layer is small, big or skipped, over the numbers of big and of skipped layers of a "
        "token; the others are small. Above, its perplexity (dark is low, the lowest is framed; the scale ends at the "
        "highest without skips); below, its mean loss less that of all layers big, on the same tokens, for some "
        f"numbers of skipped layers. {base.perplexity(setting)} All routes of model {model} "
        f"({base.size(setting)}) were tried; {LEFT_OUT[skip]}. Both numbers are exact for every token; "
        f"{base.CONTEXT} {base.windows(documents, tokens)} {base.interval(setting, 'Bands')}"
    )
    return base.Picture(figure, "The oracle over small, big and skip", caption)


def _statistic(row: Mapping[str, Any]) -> Statistic:
    """What a row of SKIP_STATISTICS is an estimate of."""
    return Statistic(*(row[name] for name in ("family", "subject", "reference", "budget", "labels", "words")))


def _marks(axes: Axes, rows: pa.Table, names: list[Statistic], offset: float, line: base.Line) -> None:
    """One model's estimates and intervals, each at the place of its name."""
    listed = rows.to_pylist()
    at = [names.index(_statistic(row)) + offset for row in listed]
    value, low, high = ([row[name] for row in listed] for name in ("value", "low", "high"))
    axes.hlines(at, low, high, color=line.colour, linewidth=1)
    axes.plot(value, at, color=line.colour, marker=line.marker, linestyle="none", label=line.label)


def _triangle(axes: Axes, part: pa.Table, layers: int) -> None:
    big, skip, perplexity = (part[name].to_numpy() for name in ("big", "skip", "perplexity"))
    cells = np.full((layers + 1, layers + 1), np.nan)
    cells[skip, big] = np.log(perplexity)
    # Routes that skip nearly all layers would take up the whole scale.
    ends = np.log([perplexity.min(), perplexity[skip == 0].max()])
    axes.imshow(
        cells, cmap="cividis", vmin=ends[0], vmax=ends[1], origin="lower", aspect="auto", interpolation="nearest"
    )
    for x, y, value in zip(big, skip, perplexity, strict=True):
        ink = "black" if np.log(value) > ends.mean() else "white"
        words = f"{value:.3g}" if value < 999.5 else f"{value / 1000:.2g}k"
        axes.text(x, y, words, ha="center", va="center", fontsize=5, color=ink)
    best = perplexity.argmin()
    axes.add_patch(Rectangle((big[best] - 0.5, skip[best] - 0.5), 1, 1, fill=False, edgecolor="#D55E00", linewidth=1.5))
    axes.set_xlabel("big layers per token")
    axes.set_ylabel("skipped layers per token")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(min(13, layers + 1), integer=True))


def _by_skip(axes: Axes, part: pa.Table, layers: int) -> None:
    """A line for each of up to five numbers of skipped layers, against the number of big ones."""
    shown = range(0, layers, max(1, -(-layers // 6)))
    for index, skip in enumerate(list(shown)[:5]):
        rows = base.of(part, skip=skip).sort_by("big")
        big, value, low, high = (
            rows[name].to_numpy() for name in ("big", "from_all_big", "from_all_big_low", "from_all_big_high")
        )
        colour, marker = base.COLOURS[index], base.MARKERS[index]
        axes.fill_between(big, low, high, color=colour, alpha=0.10, linewidth=0)
        dashes = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)))[index]
        axes.plot(big, value, color=colour, marker=marker, linestyle=dashes, label=f"{skip} skipped")
    axes.axhline(0, color="#777777", linewidth=0.8, linestyle=(0, (1, 2)))
    axes.set_xlabel("big layers per token")
    axes.set_ylabel("oracle − all big, nats per token")
    axes.xaxis.set_major_locator(MaxNLocator(min(13, layers + 1), integer=True))
