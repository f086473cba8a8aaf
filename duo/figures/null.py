"""How much of the oracle's gain is luck of the label: perplexities, where big layers go, and which claims are left."""

import re
from collections.abc import Sequence
from fnmatch import fnmatchcase
from itertools import product

import numpy as np
import pyarrow as pa
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from duo.figures import base, maps
from duo.report import glossary
from duo.settings import SampledLabels

_TRUE = base.Line("true labels", "#0072B2", "o", "-")
_SAMPLED = base.Line("sampled labels: all of it luck", "#56B4E9", "D", "--")
_DIFFERENCE = base.Line("true less sampled labels", "#000000", "x", ":")
_CORRECTED = base.Line("true labels, luck taken off", "#009E73", "P", "-")
_CEILINGS = (("#E69F00", "s", "--"), ("#999999", "X", ":"), ("#000000", "v", (0, (5, 1, 1, 1, 1, 1))))
# What statistics measure, by a pattern of their names; a row of panels for each pattern.
_UNITS = {
    "*-all_*": "difference of losses, nats a token",
    "*-best_other": "difference of losses, nats a token",
    "lean_*": "share of big, upper less lower half",
    "consistency": "variance between layers of the share kept",
    "high_loss_no_gain": "share without gain of the tokens of high loss",
}


def decomposition(curves: pa.Table, statistics: pa.Table, null: SampledLabels, setting: base.Setting) -> base.Picture:
    """Figure 4b taken apart: perplexity against budget, and below it gain over the route of the sampled labels; a
    column a domain.

    curves as gain_artifacts.GAIN_CURVES, statistics as gain_artifacts.GAIN_STATISTICS.
    """
    curves, statistics = (base.of(table, model=setting.model) for table in (curves, statistics))
    domains = curves["domain"].unique().to_pylist()
    with base.style():
        figure = Figure(figsize=(base.WIDTH, 6.4), layout="constrained")
        panels = figure.subplots(2, len(domains), squeeze=False, sharex=True, sharey="row")
        for (above, below), domain in zip(panels.T, domains, strict=True):
            _perplexities(above, base.of(curves, domain=domain), null)
            _gains(below, base.of(statistics, domain=domain), null)
            above.set_title(domain)
            below.set_xlabel("big layers a token")
            below.xaxis.set_major_locator(MaxNLocator(min(13, setting.layers + 1), integer=True))
        panels[0, 0].set_ylabel("perplexity")
        panels[1, 0].set_ylabel(f"gain over {glossary.route(null.route)}, nats a token")
        base.legend_below(figure, panels[0, 0], panels[1, 0])
    source = glossary.route(null.route)
    caption = (
        f"Above, perplexity (logarithmic) against the number of big layers a token; below, what each gains over {source} on "
        f"the same labels, token by token, so that the bands are narrower. {_null(null)} True less "
        "sampled labels: the difference of these gains, 0 in expectation if the true labels came from the same predictions. Luck of choosing "
        "alone is what the oracle gains on sampled labels over the routes of the budget that those predictions prefer; with it taken off the "
        "oracle's loss on true labels is that much higher, which is no bound for a router. Normalised: "
        "every word has the highest probability that any route of the budget gives it, divided by their sum. The routes that a model "
        "chooses by its predictions, without a label, are scored on the true ones: what a router that knows as much could get. "
        f"{_described(setting)} {base.interval(setting, 'Bands')}"
    )
    return base.Picture(figure, "The oracle's gain, taken apart", caption)


def heat_maps(
    cells: pa.Table, shares: pa.Table, budgets: Sequence[int], null: SampledLabels, setting: base.Setting
) -> base.Picture:
    """Figure 2 on true labels, on sampled ones, and the difference; a row a domain and budget.

    cells as gain_artifacts.GAIN_HEAT_MAPS, shares as gain_artifacts.GAIN_LAYERS.
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
        "How often the oracle takes the big FFN, by layer (1 is next to the input) and position, on the true labels, on sampled ones, and "
        f"the difference; and by layer alone, where the dashed line is the share that a route without preference has. {_null(null)} "
        f"{_described(setting)} {base.interval(setting, 'Horizontal lines')}"
    )
    return base.Picture(figure, "Where the oracle spends big layers, and where it does so by luck", caption)


def corrected_claims(rows: pa.Table, null: SampledLabels, setting: base.Setting) -> base.Picture:
    """The statistics of gain_artifacts.SURVIVAL on true labels, on sampled ones, and corrected; a column of panels a
    domain.
    """
    domains, listed = rows["domain"].unique().to_pylist(), rows.to_pylist()
    found = {(row["claim"], row["statistic"], row["model"], row["domain"]): row for row in listed}
    keys = list(dict.fromkeys(key[:3] for key in found))
    groups = [(unit, [key for key in keys if fnmatchcase(key[1], pattern)]) for pattern, unit in _UNITS.items()]
    groups = [(unit, group) for unit, group in groups if group]
    heights = [0.15 + 0.3 * len(group) for _, group in groups]
    with base.style():
        figure = Figure(figsize=(base.WIDTH, 0.8 + 0.45 * len(groups) + sum(heights)), layout="constrained")
        panels = figure.subplots(
            len(groups), len(domains), squeeze=False, sharex="row", sharey="row", height_ratios=heights
        )
        for across, (unit, group) in zip(panels, groups, strict=True):
            for axes, domain in zip(across, domains, strict=True):
                axes.axvline(0, color="#777777", linewidth=0.8, linestyle="--")
                _three_marks(axes, [found[*key, domain] for key in group])
                axes.set_yticks(range(len(group)), [_label(*key, setting.model) for key in group])
                axes.set_ylim(len(group) - 0.5, -0.5)
                axes.xaxis.set_major_locator(MaxNLocator(5))
                axes.set_xlabel(unit)
        for axes, domain in zip(panels[0], domains, strict=True):
            axes.set_title(domain)
        base.legend_below(figure, panels[0, 0])
    caption = (
        "What the paper's claims on the oracle rest on: on the true labels, as claimed; on sampled ones, where all is luck; and with luck "
        "taken off. C10 is of routes of big and skipped layers; all else of small and big. "
        f"{_null(null)} {_described(setting)} {base.interval(setting, 'Horizontal lines')}"
    )
    return base.Picture(figure, "Which claims on the oracle are more than luck", caption)


def _lines(teachers: Sequence[str]) -> dict[str, base.Line]:
    ceilings = {
        f"ceiling_{teacher}": base.Line(f"routes chosen by {_teacher(teacher)}", *_CEILINGS[index % len(_CEILINGS)])
        for index, teacher in enumerate(teachers)
    }
    return {
        "oracle": base.Line(f"oracle, {_TRUE.label}", _TRUE.colour, _TRUE.marker, _TRUE.dashes),
        "null": base.Line(f"oracle, {_SAMPLED.label}", _SAMPLED.colour, _SAMPLED.marker, _SAMPLED.dashes),
        "corrected": base.Line(f"oracle, {_CORRECTED.label}", _CORRECTED.colour, _CORRECTED.marker, _CORRECTED.dashes),
        "normalised": base.Line("oracle, normalised", "#CC79A7", "v", "-."),
        **ceilings,
        "fixed": base.Line("fixed: best route for all tokens", "#D55E00", "^", "-"),
    }


def _teacher(name: str) -> str:
    return "the other seeds" if name == "others" else f"model {name}"


def _perplexities(axes: Axes, curves: pa.Table, null: SampledLabels) -> None:
    """One domain's lines by strategy, and the route that labels are sampled from."""
    (reference,) = base.of(curves, strategy=null.route)["perplexity"].to_pylist()
    axes.axhline(reference, color="#000000", linewidth=0.8, linestyle=(0, (1, 2)), label=glossary.route(null.route))
    for strategy, line in _lines(null.teachers).items():
        budget, loss, low, high = base.series(curves, strategy)
        _band(axes, line, budget, np.exp(loss), np.exp(low), np.exp(high))
    base.logarithmic(axes)


def _gains(axes: Axes, statistics: pa.Table, null: SampledLabels) -> None:
    """One domain's gains over the route that labels are sampled from, with the paired intervals of the statistics."""
    rows = {row["name"]: row for row in statistics.to_pylist()}
    names = {"oracle": "gain", "null": "null_gain", "difference": "gain-null_gain"}
    axes.axhline(0, color="#000000", linewidth=0.8, linestyle=(0, (1, 2)))
    for strategy, line in {**_lines(null.teachers), "difference": _DIFFERENCE}.items():
        sign, name = (1, names[strategy]) if strategy in names else (-1, f"{strategy}-{null.route}")
        budgets = sorted(
            int(each.removeprefix(f"{name}_")) for each in rows if re.fullmatch(rf"{re.escape(name)}_\d+", each)
        )
        value, *ends = (
            sign * np.array([rows[f"{name}_{budget}"][column] for budget in budgets])
            for column in ("value", "low", "high")
        )
        _band(axes, line, budgets, value, *ends)


def _band(axes: Axes, line: base.Line, x: Sequence[int], value: np.ndarray, low: np.ndarray, high: np.ndarray) -> None:
    axes.fill_between(x, low, high, color=line.colour, alpha=0.12, linewidth=0)
    axes.plot(x, value, color=line.colour, marker=line.marker, linestyle=line.dashes, label=line.label)


def _null(null: SampledLabels) -> str:
    tempered = "" if null.temperature == 1 else f" at temperature {null.temperature:g}"
    return (
        f"Sampled labels, {null.samples} a token, come from the model's own predictions with {glossary.route(null.route)}{tempered}, so that "
        "no route is better than that one in expectation, and all that the oracle gains on them is luck."
    )


def _described(setting: base.Setting) -> str:
    return f"Model {setting.model}; {base.sample(setting)} {base.constraint(setting)}"


def _both_shares(axes: Axes, shares: pa.Table, expected: float) -> None:
    """Share of big by layer alone, on true and on sampled labels, with intervals."""
    axes.axvline(expected, color="#777777", linewidth=0.8, linestyle="--")
    for labels, line, offset in (("true", _TRUE, 0.15), ("sampled", _SAMPLED, -0.15)):
        rows = base.of(shares, labels=labels).sort_by("layer")
        layer, share, low, high = (rows[name].to_numpy() for name in ("layer", "share", "low", "high"))
        axes.hlines(layer + 1 + offset, low, high, color=line.colour, linewidth=0.8)
        axes.plot(share, layer + 1 + offset, line.marker, color=line.colour, markersize=2.5, label=line.label)
    axes.xaxis.set_major_locator(MaxNLocator(3))


def _three_marks(axes: Axes, rows: list[dict]) -> None:
    for kind, line, offset in (("true", _TRUE, -0.22), ("null", _SAMPLED, 0.0), ("corrected", _CORRECTED, 0.22)):
        at = np.arange(len(rows)) + offset
        axes.hlines(
            at,
            [row[f"{kind}_low"] for row in rows],
            [row[f"{kind}_high"] for row in rows],
            color=line.colour,
            linewidth=1,
        )
        axes.plot([row[kind] for row in rows], at, line.marker, color=line.colour, label=line.label)


def _label(claim: str, statistic: str, model: str, main: str) -> str:
    words = " − ".join(part.replace("_", " ") for part in statistic.split("-"))
    return f"{claim}: {words}" + ("" if model == main else f", model {model}")
