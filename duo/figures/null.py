"""How much of the oracle's gain is selection bias: perplexities, and where big layers go."""

from collections.abc import Iterator, Sequence
from itertools import product

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from duo.figures import base, maps
from duo.routes import route_name
from duo.settings import SampledLabels
from duo.studies.gain import route_words
from duo.tables.studies import GAIN_CURVES, GAIN_HEAT_MAPS, GAIN_LAYERS, GAIN_STATISTICS
from duo.terms import OTHERS

_LABELS = {
    "true": base.Line("true labels", "#0072B2", "o", "-"),
    "null": base.Line("sampled labels", "#56B4E9", "D", "--"),
}
_DIFFERENCE = base.Line("true less sampled labels", "#000000", "x", ":")


def pictures(setting: base.Setting, null: SampledLabels, budgets: list[int]) -> Iterator[base.Drawn]:
    """The figures of selection bias: the gain taken apart, and where big layers go; budgets: of the heat maps."""
    used = setting.used("random_routes", sampled_labels=null.model_dump())
    picture = decomposition(GAIN_CURVES.read(), GAIN_STATISTICS.read(), null, setting)
    yield base.Drawn("null", picture, used, [GAIN_CURVES, GAIN_STATISTICS])

    inputs = [GAIN_HEAT_MAPS, GAIN_LAYERS]
    picture = heat_maps(*(table.read() for table in inputs), budgets, null, setting)
    yield base.Drawn("null-heat-maps", picture, used | {"heat_maps": budgets}, inputs)


def decomposition(curves: pa.Table, statistics: pa.Table, null: SampledLabels, setting: base.Setting) -> base.Picture:
    """Figure 4b taken apart: perplexity against budget, and below it the gain over the reference route, by domain.

    curves as GAIN_CURVES, statistics as GAIN_STATISTICS.
    """
    curves, statistics = (base.of(table, model=setting.model) for table in (curves, statistics))
    domains = curves["domain"].unique().to_pylist()
    with base.style():
        figure = Figure(figsize=(base.WIDTH, 6.4), layout="constrained")
        panels = figure.subplots(2, len(domains), squeeze=False, sharex=True, sharey="row")
        for (above, below), domain in zip(panels.T, domains, strict=True):
            lines = _lines(base.of(curves, domain=domain))
            _perplexities(above, base.of(curves, domain=domain), lines, route_name(null.reference))
            _gains(below, base.of(statistics, domain=domain), lines, route_name(null.reference))
            above.set_title(domain)
            below.set_xlabel("big layers per token")
            below.xaxis.set_major_locator(MaxNLocator(min(13, setting.layers + 1), integer=True))
        panels[0, 0].set_ylabel("perplexity")
        panels[1, 0].set_ylabel(f"gain over {route_words(route_name(null.reference))}, nats per token")
        base.legend_below(figure, panels[0, 0], panels[1, 0])
    reference = route_words(route_name(null.reference))
    caption = (
        "Above, perplexity (logarithmic) against the number of big layers per token; below, what each gains over "
        f"{reference} on the same labels, token by token, so that the bands are narrower. {_null(null)} "
        "True less sampled labels: the difference of these gains, 0 in expectation if the true labels came from the "
        "same predictions. Selection bias is what the oracle gains on sampled labels over the routes of lowest "
        "expected loss; with it taken off the oracle's loss on true labels is that much higher, which is no bound for "
        "a router. Normalised: every word has the highest probability that any route of the budget gives it, divided "
        "by their sum. Routes that a teacher chooses by its predictions, without the label, are scored on the true "
        f"ones: what a router that knows as much could get. {_described(setting)} {base.interval(setting, 'Bands')}"
    )
    return base.Picture(figure, "The oracle's gain, taken apart", caption)


def heat_maps(
    cells: pa.Table, shares: pa.Table, budgets: Sequence[int], null: SampledLabels, setting: base.Setting
) -> base.Picture:
    """Figure 2 on true labels, on sampled ones, and the difference; a row per domain and budget.

    cells as GAIN_HEAT_MAPS, shares as GAIN_LAYERS.
    """
    cells, shares = (base.of(table, model=setting.model) for table in (cells, shares))
    rows = list(product(cells["domain"].unique().to_pylist(), budgets))
    differences = [base.of(cells, labels="difference", budget=budget)["share"].to_numpy() for budget in budgets]
    reach = max(float(np.abs(each).max()) for each in differences) or 1.0
    titles = {"true": "true labels", "sampled": "sampled labels", "difference": "true less sampled"}
    looks = {"true": ("cividis", (0, 1)), "sampled": ("cividis", (0, 1)), "difference": ("PuOr", (-reach, reach))}
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
            ("difference", slice(2, 3), "difference of shares"),
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
        "on sampled ones, and the difference; and by layer alone, where the dashed line is the share that a route "
        f"without preference has. {_null(null)} {_described(setting)} {base.interval(setting, 'Horizontal lines')}"
    )
    return base.Picture(figure, "Where the oracle spends big layers, and where by selection bias", caption)


def _lines(curves: pa.Table) -> dict[tuple[str, str], base.Line]:
    """The style of every strategy and teacher in the curves."""
    pairs = dict.fromkeys(zip(curves["strategy"].to_pylist(), curves["teacher"].to_pylist(), strict=True))
    words = {teacher: f"routes chosen by {_teacher(teacher)}" for _, teacher in pairs if teacher}
    words |= {"oracle": "oracle, true labels", "null": "oracle, sampled labels"}
    shared = base.lines([teacher or strategy for strategy, teacher in pairs], words)
    return {(strategy, teacher): shared[teacher or strategy] for strategy, teacher in pairs}


def _teacher(name: str) -> str:
    return "the other seeds" if name == OTHERS else f"model {name}"


def _perplexities(axes: Axes, curves: pa.Table, lines: dict, route: str) -> None:
    """One domain's lines by strategy, and the reference route."""
    (reference,) = base.of(curves, strategy=route)["perplexity"].to_pylist()
    axes.axhline(reference, color="#000000", linewidth=0.8, linestyle=(0, (1, 2)), label=route_words(route))
    for (strategy, teacher), line in lines.items():
        if strategy != route:
            rows = base.of(curves, strategy=strategy, teacher=teacher).sort_by("budget")
            _band(axes, line, *(rows["budget"].to_numpy(), *(np.exp(rows[end]) for end in ("loss", "low", "high"))))
    base.logarithmic(axes)


def _gains(axes: Axes, statistics: pa.Table, lines: dict, route: str) -> None:
    """One domain's gains over the reference route, with the paired intervals of the statistics."""
    axes.axhline(0, color="#000000", linewidth=0.8, linestyle=(0, (1, 2)))
    for (strategy, teacher), line in lines.items():
        if strategy == route:
            continue
        labels = {"oracle": "true", "null": "sampled"}.get(strategy)
        if labels:
            rows = base.of(statistics, family="gain", labels=labels)
        elif teacher:
            rows = base.of(statistics, family="ceiling_difference", subject=teacher, reference=route)
        else:
            rows = base.of(statistics, family="difference", subject=strategy, reference=route)
            rows = rows.filter(pc.equal(rows["labels"], "true"))
        _gain_band(axes, line, rows, 1 if labels else -1)
    _gain_band(axes, _DIFFERENCE, base.of(statistics, family="gain", labels="difference"), 1)


def _gain_band(axes: Axes, line: base.Line, rows: pa.Table, sign: int) -> None:
    rows = rows.sort_by("budget")
    _band(axes, line, rows["budget"].to_numpy(), *(sign * rows[end].to_numpy() for end in ("value", "low", "high")))


def _band(axes: Axes, line: base.Line, x: np.ndarray, value: np.ndarray, low: np.ndarray, high: np.ndarray) -> None:
    axes.fill_between(x, low, high, color=line.colour, alpha=0.12, linewidth=0)
    axes.plot(x, value, color=line.colour, marker=line.marker, linestyle=line.dashes, label=line.label)


def _null(null: SampledLabels) -> str:
    reference = route_words(route_name(null.reference))
    tempered = "" if null.temperature == 1 else f" at temperature {null.temperature:g}"
    return (
        f"Sampled labels, {null.samples} per token, come from the model's own predictions with "
        f"{reference}{tempered}, so that no route is better than that one in expectation, and all "
        "that the oracle gains on them is selection bias."
    )


def _described(setting: base.Setting) -> str:
    return f"Model {setting.model}; {base.sample(setting)} {base.constraint(setting)}"


def _both_shares(axes: Axes, shares: pa.Table, expected: float) -> None:
    """Share of big by layer alone, on true and on sampled labels, with intervals."""
    axes.axvline(expected, color="#777777", linewidth=0.8, linestyle="--")
    for labels, line, offset in (("true", _LABELS["true"], 0.15), ("sampled", _LABELS["null"], -0.15)):
        rows = base.of(shares, labels=labels).sort_by("layer")
        layer, share, low, high = (rows[name].to_numpy() for name in ("layer", "share", "low", "high"))
        axes.hlines(layer + 1 + offset, low, high, color=line.colour, linewidth=0.8)
        axes.plot(share, layer + 1 + offset, line.marker, color=line.colour, markersize=2.5, label=line.label)
    axes.xaxis.set_major_locator(MaxNLocator(3))
