"""Figure 2d, the statistics of skipping, and the oracle over small, big and skip."""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from duo.figures import base, maps

LEFT_OUT = {
    "ffn": "a skipped layer keeps its attention and has no FFN",
    "layer": "a skipped layer is left out with its attention",
}
# Statistics shown, a row of panels for each group.
GROUPS = {
    "variance between layers of the share kept": {"consistency": "layers (C10)"},
    "share of pairs kept below skipped, less 0.75": {"early_exit": "order (C10)"},
    "correlation of skipping in the first and second half": {
        "halves": "halves (C19)",
        "halves-shuffled": "less shuffled",
        "within_layer_halves-shuffled": "less shuffled,\nwithin layers",
    },
    "correlation of skipping at consecutive tokens": {
        "consecutive": "neighbours (C19)",
        "consecutive-shuffled": "less shuffled",
        "within_layer_consecutive-shuffled": "less shuffled,\nwithin layers",
    },
}


def heat_maps(
    tables: Mapping[str, tuple[pa.Table, pa.Table]], big: int, skip: str, setting: base.Setting
) -> base.Picture:
    """Figure 2d: SKIP_HEAT_MAPS and SKIP_LAYERS of every model, side by side, a row a domain."""
    with base.style():
        columns = {f"model {model}": pair for model, pair in tables.items()}
        figure = maps.grid(
            columns, setting.layers, "share of documents whose token keeps the layer's big FFN under the oracle"
        )
    caption = (
        "How often the oracle keeps a layer's big FFN where every layer has it or is skipped, by layer and position, and beside each map "
        "by layer alone; the dashed line is the share that a route without preference has. "
        f"Exactly {big} of {setting.layers} layers a token are kept; {LEFT_OUT[skip]}; {base.CONTEXT} "
        f"{base.sample(setting)} {base.interval(setting, 'Horizontal lines')}"
    )
    return base.Picture(figure, "Where the oracle skips (the paper's figure 2d)", caption)


def statistics(rows: pa.Table, big: int, skip: str, setting: base.Setting) -> base.Picture:
    """The statistics of C10 and C19 with their intervals; a column of panels a domain, a mark a model. rows:

    SKIP_STATISTICS of all.
    """
    domains, models = (rows[name].unique().to_pylist() for name in ("domain", "model"))
    heights = [len(labels) * (0.2 + 0.1 * len(models)) for labels in GROUPS.values()]
    with base.style():
        figure = Figure(figsize=(base.WIDTH, 0.6 + 0.45 * len(GROUPS) + sum(heights)), layout="constrained")
        panels = figure.subplots(
            len(GROUPS), len(domains), squeeze=False, sharex="row", sharey="row", height_ratios=heights
        )
        for row, (meaning, labels) in zip(panels, GROUPS.items(), strict=True):
            for axes, domain in zip(row, domains, strict=True):
                axes.axvline(0, color="#777777", linewidth=0.8, linestyle="--")
                for index, model in enumerate(models):
                    offset = 0.5 * ((index + 0.5) / len(models) - 0.5)
                    _marks(
                        axes, base.of(rows, domain=domain, model=model), list(labels), offset, index, f"model {model}"
                    )
                axes.set_yticks(range(len(labels)), list(labels.values()))
                axes.set_ylim(len(labels) - 0.5, -0.5)
                axes.xaxis.set_major_locator(MaxNLocator(5))
                axes.set_xlabel(meaning)
        for axes, domain in zip(panels[0], domains, strict=True):
            axes.set_title(domain)
        base.legend_below(figure, panels[0, 0])
    caption = (
        "Above, whether all documents keep the same layers (variance between layers of the share of tokens that keep them, freed of what "
        "chance adds: 0 without preference), and whether these lie below the skipped ones (0.25: all of them, an early exit; -0.25: no "
        "order). Below, correlation of skipping a layer in the first and in the second half of a sequence, and at consecutive tokens; less "
        "the same where second halves change documents, or positions are shuffled in their document, layer by layer; and the latter for "
        f"deviations from each layer's mean. Exactly {big} of {setting.layers} layers a token are kept; {LEFT_OUT[skip]}; "
        f"{base.CONTEXT} {base.sample(setting)} {base.interval(setting, 'Horizontal lines')}"
    )
    return base.Picture(figure, "Does skipping follow layers, an order, or itself?", caption)


def three_way(curves: pa.Table, documents: int, tokens: int, skip: str, setting: base.Setting) -> base.Picture:
    """Oracle over the numbers of big and skipped layers: perplexities as a map, differences from all-big as lines.
    THREE_WAY_CURVES.

    documents and tokens are the sample's, of every domain.
    """
    curves = base.of(curves, strategy="oracle")
    domains, model = curves["domain"].unique().to_pylist(), curves["model"][0].as_py()
    with base.style():
        figure = Figure(figsize=(base.WIDTH, 6.4), layout="constrained")
        panels = figure.subplots(2, len(domains), squeeze=False)
        for (above, below), domain in zip(panels.T, domains, strict=True):
            part = base.of(curves, domain=domain)
            _triangle(above, part, setting.layers)
            _by_skip(below, part, setting.layers)
            above.set_title(domain)
        base.legend_below(figure, panels[1, 0])
    caption = (
        "The oracle where every layer is small, big or skipped, over the numbers of big and of skipped layers of a token; the others are "
        "small. Above, its perplexity (dark is low, the lowest is framed; the scale ends at the highest without skips); "
        "below, its mean loss less that of all layers big, on the same "
        f"tokens, for some numbers of skipped layers. All routes of model {model} were tried; {LEFT_OUT[skip]}. Both numbers are exact for "
        f"every token; {base.CONTEXT} {documents} held-out documents a domain, their first {tokens} tokens. "
        f"{base.interval(setting, 'Bands')}"
    )
    return base.Picture(figure, "The oracle over small, big and skip", caption)


def _marks(axes: Axes, rows: pa.Table, names: list[str], offset: float, index: int, label: str) -> None:
    """One model's estimates and intervals, in the order of names."""
    found = {row["name"]: row for row in rows.to_pylist()}
    at = np.arange(len(names)) + offset
    value, low, high = (np.array([found[name][column] for name in names]) for column in ("value", "low", "high"))
    colour, marker = base.COLOURS[index % len(base.COLOURS)], base.MARKERS[index % len(base.MARKERS)]
    axes.hlines(at, low, high, color=colour, linewidth=1)
    axes.plot(value, at, marker, color=colour, label=label)


def _triangle(axes: Axes, part: pa.Table, layers: int) -> None:
    big, skip, perplexity = (part[name].to_numpy() for name in ("big", "skip", "perplexity"))
    cells = np.full((layers + 1, layers + 1), np.nan)
    cells[skip, big] = np.log(perplexity)
    ends = np.log(
        [perplexity.min(), perplexity[skip == 0].max()]
    )  # routes that skip nearly all would take up the whole scale
    axes.imshow(
        cells, cmap="cividis", vmin=ends[0], vmax=ends[1], origin="lower", aspect="auto", interpolation="nearest"
    )
    for x, y, value in zip(big, skip, perplexity, strict=True):
        ink = "black" if np.log(value) > ends.mean() else "white"
        axes.text(
            x,
            y,
            f"{value:.3g}" if value < 999.5 else f"{value / 1000:.2g}k",
            ha="center",
            va="center",
            fontsize=5,
            color=ink,
        )
    best = perplexity.argmin()
    axes.add_patch(Rectangle((big[best] - 0.5, skip[best] - 0.5), 1, 1, fill=False, edgecolor="#D55E00", linewidth=1.5))
    axes.set_xlabel("big layers a token")
    axes.set_ylabel("skipped layers a token")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(min(13, layers + 1), integer=True))


def _by_skip(axes: Axes, part: pa.Table, layers: int) -> None:
    """A line for each of up to five numbers of skipped layers, against the number of big ones."""
    shown = range(0, layers, max(1, -(-layers // 6)))
    for index, skip in enumerate(list(shown)[:5]):
        rows = base.of(part, skip=skip).sort_by("big")
        big, *numbers = (
            rows[name].to_numpy() for name in ("big", "from_all_big", "from_all_big_low", "from_all_big_high")
        )
        value, low, high = numbers
        colour, marker = base.COLOURS[index], base.MARKERS[index]
        axes.fill_between(big, low, high, color=colour, alpha=0.10, linewidth=0)
        dashes = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)))[index]
        axes.plot(big, value, color=colour, marker=marker, linestyle=dashes, label=f"{skip} skipped")
    axes.axhline(0, color="#777777", linewidth=0.8, linestyle=(0, (1, 2)))
    axes.set_xlabel("big layers a token")
    axes.set_ylabel("oracle − all big, nats a token")
    axes.xaxis.set_major_locator(MaxNLocator(min(13, layers + 1), integer=True))
