"""Figures 2 a to c, 4a and 4b, training curves, and the seeds side by side."""

from collections.abc import Mapping, Sequence
from itertools import product

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from duo.figures import base, maps


def _lines(random_routes: int) -> dict[str, base.Line]:
    return {
        "mean": base.Line("mean of all routes", "#999999", ".", ":"),
        "random_all": base.Line(f"best of {random_routes} random, one for all tokens", "#E69F00", "s", "--"),
        "fixed": base.Line("fixed: best route for all tokens", "#D55E00", "^", "-"),
        "sequence": base.Line("best route of each document", "#CC79A7", "v", "-."),
        "random_token": base.Line(f"best of {random_routes} random, each token", "#56B4E9", "D", "--"),
        "oracle": base.Line("oracle: best route of each token", "#0072B2", "o", "-"),
    }


_ROUTED = {  # by kind in artifacts.ROUTING_CURVES
    "oracle_average": base.Line("oracle, budget on average", "#0072B2", "o", ":"),
    "exact": base.Line("router, exactly its budget", "#009E73", "P", "-"),
    "hard": base.Line("router, hard, at the layers used", "#000000", "*", ""),
    "soft": base.Line("router, soft mix", "#009E73", "x", ""),
}


def budget_curves(curves: pa.Table, setting: base.Setting, routed: pa.Table | None = None) -> base.Picture:
    """Figure 4b: perplexity against budget for every strategy, a panel a domain. `curves` as artifacts.CURVES.

    With `routed`, rows of artifacts.ROUTING_CURVES, routers and the oracle on average stand beside them.
    """
    curves = base.of(curves, model=setting.model)
    domains = curves["domain"].unique().to_pylist()
    with base.style():
        figure, panels = base.panels(len(domains), columns=2, height=3.0)
        for axes, domain in zip(panels, domains, strict=True):
            part = base.of(curves, domain=domain)
            _reference(axes, part, setting.layers)
            for strategy, line in _lines(setting.random_routes).items():
                budget, loss, low, high = base.series(part, strategy)
                axes.fill_between(budget, np.exp(low), np.exp(high), color=line.colour, alpha=0.12, linewidth=0)
                axes.plot(
                    budget, np.exp(loss), color=line.colour, marker=line.marker, linestyle=line.dashes, label=line.label
                )
            if routed is not None:
                _routed_curves(axes, base.of(routed, domain=domain))
            _perplexity_axis(axes, domain, setting.layers)
        base.legend_below(figure, panels[0])
    routers = (
        ""
        if routed is None
        else "Routers, and the dotted oracle, hold their budget on average over a sequence, except the routers at exactly their budget; "
        "hard and soft ones stand at the layers (or weight) that they really use, all their tokens routed together. "
    )
    caption = (
        f"Perplexity (logarithmic) against the number of big layers a token, for each way to choose the route. {_sample(setting)} "
        f"{base.constraint(setting)} {routers}{base.interval(setting, 'Bands and vertical lines' if routers else 'Bands')}"
    )
    return base.Picture(figure, "Perplexity against budget (the paper's figure 4b)", caption)


def oracle_against_random(curves: pa.Table, routed: pa.Table, setting: base.Setting) -> base.Picture:
    """Figure 4a: oracle, best of n random, fixed and routers side by side at each budget.

    `curves` as artifacts.CURVES, `routed` rows of artifacts.ROUTING_CURVES.
    """
    curves = base.of(curves, model=setting.model)
    domains = curves["domain"].unique().to_pylist()
    shown = {name: line for name, line in _lines(setting.random_routes).items() if name not in ("mean", "sequence")}
    offsets = np.linspace(-0.3, 0.3, len(shown) + 1)
    with base.style():
        figure, panels = base.panels(len(domains), columns=1, height=2.3)
        for axes, domain in zip(panels, domains, strict=True):
            part = base.of(curves, domain=domain)
            _reference(axes, part, setting.layers)
            lines = [(line, base.series(part, strategy)) for strategy, line in shown.items()]
            exact = base.of(routed, domain=domain, kind="exact").sort_by("target")
            lines.append((_ROUTED["exact"], [exact[name].to_numpy() for name in ("target", "loss", "low", "high")]))
            for offset, (line, (at, loss, low, high)) in zip(offsets, lines, strict=True):
                axes.vlines(at + offset, np.exp(low), np.exp(high), color=line.colour, linewidth=1)
                axes.plot(at + offset, np.exp(loss), line.marker, color=line.colour, label=line.label)
            budget, *_ = base.series(part, "oracle")
            for edge in budget[:-1] + 0.5:
                axes.axvline(edge, color="#dddddd", linewidth=0.5, zorder=0)
            _perplexity_axis(axes, domain, setting.layers)
        base.legend_below(figure, panels[0])
    caption = (
        "Perplexity (logarithmic) of the oracle, of the best of random routes, tried for all tokens alike or for each token anew, of "
        "the best fixed route, and of routers that take the layers of the highest P(big), all tokens routed together. "
        f"{_sample(setting)} {base.constraint(setting)} {base.interval(setting, 'Vertical lines')}"
    )
    return base.Picture(figure, "Oracle against random routes (the paper's figure 4a)", caption)


def heat_maps(cells: pa.Table, shares: pa.Table, budgets: Sequence[int], setting: base.Setting) -> base.Picture:
    """Figure 2 a-c: share of big by layer and position, and by layer alone with intervals.

    cells as artifacts.HEAT_MAPS, shares as artifacts.LAYER_SHARES; a row of panels a domain, a pair of panels a budget.
    """
    cells, shares = (base.of(table, model=setting.model) for table in (cells, shares))
    columns = {
        f"{budget} of {setting.layers} big": (base.of(cells, budget=budget), base.of(shares, budget=budget))
        for budget in budgets
    }
    with base.style():
        figure = maps.grid(columns, setting.layers, "share of documents whose token takes the big FFN under the oracle")
    caption = (
        "How often the oracle takes the big FFN, by layer and position, and beside each map by layer alone; the dashed line is the "
        f"share that a route without preference has. {_sample(setting)} {base.constraint(setting)} "
        f"{base.interval(setting, 'Horizontal lines')}"
    )
    return base.Picture(figure, "Where the oracle spends big layers (the paper's figure 2 a to c)", caption)


def training(history: pa.Table, finals: Mapping[str, dict[str, float]], setting: base.Setting) -> base.Picture:
    """The main model's loss, gradient norm and learning rate against tokens, and every model's last validation losses.

    history as artifacts.HISTORY; finals: PRETRAIN_METRICS by model.
    """
    names = [name for name in history["series"].unique().to_pylist() if name.startswith("validation/")]
    domains = list(dict.fromkeys(name.split("/")[1] for name in names))
    with base.style():
        figure = Figure(figsize=(base.WIDTH, 3.6 + 0.17 * len(finals)), layout="constrained")
        mosaic = [["loss", "gradient_norm"], ["loss", "learning_rate"], ["finals", "finals"]]
        heights = [1.4, 1.4, 0.8 + 0.17 * len(finals)]
        panels = figure.subplot_mosaic(mosaic, width_ratios=[2, 1], height_ratios=heights)
        panels["loss"].plot(
            *_history(history, "train"), color="#999999", linewidth=0.8, label="training batch, random routes"
        )
        for name in names:
            look = _validation_look(name, domains)
            panels["loss"].plot(*_history(history, name), markersize=3, **look)
        panels["loss"].set_title(f"model {setting.model}")
        panels["loss"].set_ylabel("loss, nats a token")
        panels["loss"].set_xlabel("training tokens, millions")
        panels["loss"].legend()
        for name in ("gradient_norm", "learning_rate"):
            panels[name].plot(*_history(history, name), color="#444444", linewidth=0.8)
            panels[name].set_ylabel(name.replace("_", " "))
        base.logarithmic(panels["gradient_norm"], ticks=4)
        panels["learning_rate"].set_xlabel("training tokens, millions")
        _final_losses(panels["finals"], finals, domains)
    caption = (
        f"Loss while model {setting.model} trained, on its batches, where every token takes the big FFN by chance in each layer, and on "
        "the validation split with all layers big (each token, exactly) and all small; gradient norm (logarithmic) and learning rate. "
        "Below, the last losses of every model on the validation split; all-big is the only FFN of a dense one. No intervals: nothing is "
        "concluded from these."
    )
    return base.Picture(figure, "Training", caption)


def seeds(contrasts: pa.Table, setting: base.Setting) -> base.Picture:
    """Every difference and lean of artifacts.CONTRASTS, a mark and an interval for each model; a column of panels a
    domain.
    """
    models, domains = (contrasts[name].unique().to_pylist() for name in ("model", "domain"))
    kinds = _kinds(contrasts["name"].unique().to_pylist())
    rows = [len(kind) * (0.10 + 0.08 * len(models)) for kind in kinds.values()]
    with base.style():
        figure = Figure(figsize=(base.WIDTH, 1.2 + 0.45 * len(kinds) + sum(rows)), layout="constrained")
        grid = figure.subplots(len(kinds), len(domains), squeeze=False, sharex="row", sharey="row", height_ratios=rows)
        for (row, kind), (column, domain) in product(enumerate(kinds.values()), enumerate(domains)):
            axes = grid[row, column]
            axes.axvline(0, color="#777777", linewidth=0.8, linestyle="--")
            for index, model in enumerate(models):
                _marks(axes, base.of(contrasts, model=model, domain=domain), kind, index, len(models), model)
            axes.set_yticks(range(len(kind)), [_short(name) for name in kind])
            axes.set_ylim(len(kind) - 0.5, -0.5)
            axes.set_xlabel(list(kinds)[row])
            if row == 0:
                axes.set_title(domain)
        base.legend_below(figure, grid[0, 0])
    one = (
        "One model was enumerated, so the spread over seeds is not known."
        if len(models) == 1
        else "The models differ by their seed alone."
    )
    caption = (
        "What the claims on the oracle compare, a mark a model. Above, differences of mean losses, small ones by themselves; below, "
        f"how far the oracle leans to the upper half of the layers at each budget. {one} {base.sample(setting)} {base.constraint(setting)} "
        f"{base.interval(setting, 'Horizontal lines')}"
    )
    return base.Picture(figure, "Headline contrasts, seed by seed", caption)


def _sample(setting: base.Setting) -> str:
    return f"Model {setting.model}; {base.sample(setting)}"


def _validation_look(series: str, domains: list[str]) -> dict[str, str]:
    """Colour by domain, line and marker by route, of a series validation/DOMAIN/ROUTE."""
    _, domain, route = series.split("/")
    dashes, marker = ("-", "o") if route == "all_big" else ("--", "s")
    colour = base.COLOURS[domains.index(domain) % len(base.COLOURS)]
    return {
        "color": colour,
        "linestyle": dashes,
        "marker": marker,
        "label": f"validation, {domain}, {route.replace('_', '-')}",
    }


def _final_losses(axes: Axes, finals: Mapping[str, dict[str, float]], domains: list[str]) -> None:
    for row, values in enumerate(finals.values()):
        for series, value in values.items():
            if series.startswith("validation/"):
                look = _validation_look(series, domains) | {"linestyle": "none", "label": None}
                hollow = {} if series.endswith("all_big") else {"markerfacecolor": "none"}
                axes.plot(value, row, **look, **hollow)
    axes.set_yticks(range(len(finals)), list(finals))
    axes.set_ylim(len(finals) - 0.5, -0.5)
    axes.grid(axis="y", color="#dddddd", linewidth=0.5)
    axes.set_xlabel("last validation loss, nats a token")


def _marks(axes: Axes, contrasts: pa.Table, names: list[str], index: int, count: int, label: str) -> None:
    """One model's estimates and intervals, below the other models' at each name."""
    rows = {row["name"]: row for row in contrasts.to_pylist()}
    at = np.arange(len(names)) + 0.6 * ((index + 0.5) / count - 0.5)
    value, low, high = (np.array([rows[name][column] for name in names]) for column in ("value", "low", "high"))
    colour, marker = base.COLOURS[index % len(base.COLOURS)], base.MARKERS[index % len(base.MARKERS)]
    axes.hlines(at, low, high, color=colour, linewidth=1)
    axes.plot(value, at, marker, color=colour, label=label)


def _kinds(names: list[str]) -> dict[str, list[str]]:
    """Names of contrasts of like size, by the label of the axis that they share."""
    leans = [name for name in names if name.startswith("lean_")]
    small = [name for name in names if name.endswith(("best_other", "slope"))]
    large = [name for name in names if name not in (*leans, *small, "oracle_budget")]
    found = {
        "difference, nats a token": large,
        "difference, nats a token; slope, nats a big layer": small,
        "upper less lower half of the layers, share of big": leans,
    }
    return {label: kind for label, kind in found.items() if kind}


def _short(name: str) -> str:
    """A contrast's name as a label: first less second, or a lean at its budget."""
    if name.startswith("lean_"):
        return f"budget {name.removeprefix('lean_')}"
    return " − ".join(part.replace("_", " ") for part in name.split("-"))


def _routed_curves(axes: Axes, routed: pa.Table) -> None:
    """One domain's routers and oracle on average: a line at the target where the budget is exact or the oracle's,
    else marks.
    """
    for kind, line in _ROUTED.items():
        rows = base.of(routed, kind=kind).sort_by("target")
        x = "target" if line.dashes else "big"
        at, loss, low, high = (rows[name].to_numpy() for name in (x, "loss", "low", "high"))
        hollow = {"markerfacecolor": "none"} if kind == "oracle_average" else {}
        if line.dashes:
            axes.fill_between(at, np.exp(low), np.exp(high), color=line.colour, alpha=0.12, linewidth=0)
        else:
            axes.vlines(at, np.exp(low), np.exp(high), color=line.colour, linewidth=0.8)
        axes.plot(
            at, np.exp(loss), color=line.colour, marker=line.marker, linestyle=line.dashes, label=line.label, **hollow
        )


def _reference(axes: Axes, curves: pa.Table, layers: int) -> None:
    """A line at the perplexity of the model with all layers big, where that budget was run."""
    budget, loss, *_ = base.series(curves, "mean")
    for all_big in np.exp(loss[budget == layers]):
        axes.axhline(all_big, color="#000000", linewidth=0.8, linestyle=(0, (1, 2)), label="all layers big")


def _perplexity_axis(axes: Axes, domain: str, layers: int) -> None:
    axes.set_title(domain)
    axes.set_xlabel("big layers a token")
    axes.set_ylabel("perplexity")
    axes.set_xticks(range(0, layers + 1, max(1, layers // 12)))
    base.logarithmic(axes)


def _history(history: pa.Table, series: str) -> tuple[np.ndarray, np.ndarray]:
    """Millions of tokens and values of one series."""
    rows = history.filter(pc.equal(history["series"], series))
    return rows["tokens"].to_numpy() / 1e6, rows["value"].to_numpy()
