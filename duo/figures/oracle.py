"""Figures 2 a to c, 4a and 4b, training curves, and the seeds side by side."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import product
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from duo.figures import base, maps
from duo.tables.studies import ORACLE_CURVES, ORACLE_HEAT_MAPS, ORACLE_LAYERS, ORACLE_STATISTICS
from duo.tables.training import HISTORY, PRETRAIN_METRICS
from duo.terms import ALL_BIG, EXACT, FIXED, MEAN, ORACLE_AVERAGE, RANDOM_ALL, RANDOM_TOKEN, SEQUENCE, STRATEGIES

# Families of ORACLE_STATISTICS by the axis that they share: their numbers are of like size.
_AXES = {
    "difference_at_best_budget": "difference, nats per token",
    "difference": "difference, nats per token",
    "difference_from_other_budgets": "nats per token; slope per big layer",
    "slope": "nats per token; slope per big layer",
    "random_gap": "share of a difference of losses",
    "distance_from_lowest": "share of a difference of losses",
    "depth_bias": "depth bias, share of big",
    "depth_preference": "depth bias, share of the largest",
    "depth_trend": "depth bias, share of the largest",
}


def pictures(setting: base.Setting, budgets: list[int], models: list[str]) -> Iterator[base.Drawn]:
    """The figures of where the oracle spends big layers, at these budgets, and of the seeds side by side.

    models: those that differ by their seed.
    """
    inputs = [ORACLE_HEAT_MAPS, ORACLE_LAYERS]
    picture = heat_maps(*(table.read() for table in inputs), budgets, setting)
    yield base.Drawn("figure-2", picture, setting.used(heat_maps=budgets), inputs)
    statistics = ORACLE_STATISTICS.read()
    of_seeds = statistics.filter(pc.is_in(statistics["model"], pa.array(models)))
    yield base.Drawn("figure-seeds", seeds(of_seeds, setting), setting.used(models=models), [ORACLE_STATISTICS])


def headline(setting: base.Setting) -> Iterator[base.Drawn]:
    """Figure 4b without routers: the quickest way to the paper's main result."""
    yield base.Drawn("headline", budget_curves(ORACLE_CURVES.read(), setting), setting.used(), [ORACLE_CURVES])


def budget_curves(curves: pa.Table, setting: base.Setting, routed: pa.Table | None = None) -> base.Picture:
    """Figure 4b: perplexity against budget for every strategy in the table, and below, the differences from all big.

    curves as ORACLE_CURVES; a column of panels per domain. With `routed`, rows of ROUTER_CURVES, routers and the oracle
    on average stand beside them.
    """
    curves = base.of(curves, model=setting.model)
    domains = curves["domain"].unique().to_pylist()
    strategies = _strategies(curves)
    kinds = [] if routed is None else base.known_first(routed["kind"].to_pylist())
    lines = _lines(curves, [*strategies, *kinds], setting)
    with base.style():
        figure, *rows = base.pairs(len(domains), height=6.0)
        for (above, below), domain in zip(zip(*rows, strict=True), domains, strict=True):
            part = base.of(curves, domain=domain)
            _all_big(above, part, setting.layers)
            base.reference(below, base.LINES["all_big"], 0)
            for strategy in strategies:
                budget, loss = base.series(part, strategy, "loss")
                base.curve(above, lines[strategy], budget, np.exp(loss))
                base.curve(below, lines[strategy], *base.series(part, strategy, *base.paired(ALL_BIG)))
            for kind in kinds:
                of_kind = base.of(routed, domain=domain, kind=kind).sort_by("target")
                if len(of_kind):
                    _routed(above, below, lines[kind], of_kind)
            above.set_title(domain)
            base.logarithmic(above)
            base.budgets(below, setting.layers)
        rows[0][0].set_ylabel("perplexity")
        rows[1][0].set_ylabel("loss − all layers big, nats per token")
        base.legend_below(figure, *rows[0])
    routers = (
        ""
        if routed is None
        else "Routers, and the dotted oracle, hold their budget on average over a sequence, except the routers at "
        "exactly their budget; hard and soft ones stand at the layers (or weight) that they really use, all their "
        "tokens routed together. "
    )
    caption = (
        "For each way to choose the route, against the number of big layers per token: above, perplexity "
        "(logarithmic); below, the mean loss less that of all layers big on the same tokens, which is what intervals "
        f"are of. {base.perplexity(setting)} {base.studied(setting)} {base.constraint(setting)} {routers}"
        f"{base.interval(setting, 'Bands and vertical lines' if routers else 'Bands')}"
    )
    return base.Picture(figure, "Perplexity against budget (the paper's figure 4b)", caption)


def oracle_against_random(curves: pa.Table, routed: pa.Table, setting: base.Setting) -> base.Picture:
    """Figure 4a: oracle, best of n random and routers side by side at each budget, each less the fixed route there.

    curves as ORACLE_CURVES, routed: rows of ROUTER_CURVES. Strategies that choose for a document, or not at all, are
    left to figure 4b, and so are the budgets of none and of all layers, where there is nothing to choose.
    """
    curves = base.of(curves, model=setting.model)
    domains = curves["domain"].unique().to_pylist()
    strategies = [name for name in _strategies(curves) if name not in (MEAN, SEQUENCE, FIXED)]
    lines = _lines(curves, [*strategies, EXACT], setting)
    offsets = np.linspace(-0.3, 0.3, len(lines))
    with base.style():
        figure = Figure(figsize=(base.WIDTH, 2.3 * len(domains) + 0.4), layout="constrained")
        panels = figure.subplots(len(domains), 1, squeeze=False, sharex=True, sharey=True)[:, 0]
        for axes, domain in zip(panels, domains, strict=True):
            part = _with_a_choice(base.of(curves, domain=domain), "budget", setting.layers)
            exact = _with_a_choice(base.of(routed, domain=domain, kind=EXACT), "target", setting.layers)
            base.reference(axes, base.LINES[FIXED], 0)
            shown = [base.series(part, strategy, *base.paired(FIXED)) for strategy in strategies]
            shown.append(base.columns(exact.sort_by("target"), "target", *base.paired(FIXED)))
            for offset, line, (budget, *difference) in zip(offsets, lines.values(), shown, strict=True):
                base.marks(axes, line, budget + offset, *difference)
            for edge in np.arange(1, setting.layers - 1) + 0.5:
                axes.axvline(edge, color="#dddddd", linewidth=0.5, zorder=0)
            axes.set_title(domain)
            axes.set_ylabel("loss − fixed, nats per token")
        panels[-1].set_xlabel("big layers per token")
        panels[-1].set_xticks(range(1, setting.layers))
        base.legend_below(figure, *panels)
    caption = (
        "Mean loss less that of the best fixed route of the same budget, on the same tokens: of the oracle, of the "
        "best of random routes, tried for all tokens alike or for each token anew, and of routers that take the layers "
        f"of the highest P(big), all tokens routed together. Below 0 is better than fixed. {base.studied(setting)} "
        f"{base.constraint(setting)} {base.interval(setting, 'Vertical lines')}"
    )
    return base.Picture(figure, "Oracle against random routes (the paper's figure 4a)", caption)


def heat_maps(cells: pa.Table, shares: pa.Table, budgets: Sequence[int], setting: base.Setting) -> base.Picture:
    """Figure 2 a-c: share of big by layer and position, and by layer alone with intervals.

    cells as ORACLE_HEAT_MAPS, shares as ORACLE_LAYERS; a row of panels per domain, a pair of panels per budget.
    """
    cells, shares = (base.of(table, model=setting.model) for table in (cells, shares))
    columns = {
        f"{budget} of {setting.layers} big": (base.of(cells, budget=budget), base.of(shares, budget=budget))
        for budget in budgets
    }
    with base.style():
        figure = maps.grid(columns, setting.layers, "share of documents whose token takes the big FFN under the oracle")
    caption = (
        "How often the oracle takes the big FFN, by layer and position, and beside each map by layer alone; the dashed "
        f"line is the share that a route without preference has. {base.studied(setting)} {base.constraint(setting)} "
        f"{base.interval(setting, 'Horizontal lines')}"
    )
    return base.Picture(figure, "Where the oracle spends big layers (the paper's figure 2 a to c)", caption)


def of_training(setting: base.Setting, models: Iterable[str]) -> Iterator[base.Drawn]:
    """The figure of the training of these models."""
    finals = {name: PRETRAIN_METRICS.read(model=name) for name in models}
    picture = training(HISTORY.read(model=setting.model), finals, setting)
    inputs = [HISTORY.instance(model=setting.model), *(PRETRAIN_METRICS.instance(model=name) for name in finals)]
    yield base.Drawn("training", picture, {"model": setting.model}, inputs)


def training(history: pa.Table, finals: Mapping[str, dict[str, float]], setting: base.Setting) -> base.Picture:
    """The main model's loss, gradient norm and learning rate against tokens, and every model's last validation losses.

    history as HISTORY; finals: PRETRAIN_METRICS by model.
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
        panels["loss"].set_ylabel("loss, nats per token")
        panels["loss"].set_xlabel("training tokens, millions")
        panels["loss"].legend()
        for name in ("gradient_norm", "learning_rate"):
            panels[name].plot(*_history(history, name), color="#444444", linewidth=0.8)
            panels[name].set_ylabel(name.replace("_", " "))
        base.logarithmic(panels["gradient_norm"], ticks=4)
        panels["learning_rate"].set_xlabel("training tokens, millions")
        _final_losses(panels["finals"], finals, domains)
    caption = (
        f"Loss while model {setting.model} ({base.millions(setting.parameters)} parameters) trained, on its batches, "
        "where every token takes the big FFN by chance in each layer, and on the validation split with all layers "
        "big (each token, exactly) and all small; gradient norm (logarithmic) and learning rate. Below, the last "
        "losses of every model on the validation split; all-big is the only FFN of a dense one. No intervals: "
        "nothing is concluded from these."
    )
    return base.Picture(figure, "Training", caption)


def seeds(statistics: pa.Table, setting: base.Setting) -> base.Picture:
    """Every difference and bias of ORACLE_STATISTICS, a mark per model; a column of panels per domain."""
    models, domains = (statistics[name].unique().to_pylist() for name in ("model", "domain"))
    by_axis: dict[str, dict[str, None]] = {}  # short words by the label of their axis
    shown = [row | {"words": base.short(row)} for row in statistics.to_pylist() if row["family"] != "best_budget"]
    for row in sorted(shown, key=lambda row: [*_AXES, row["family"]].index(row["family"])):
        by_axis.setdefault(_axis(row), {})[row["words"]] = None
    heights = [len(words) * (0.10 + 0.08 * len(models)) for words in by_axis.values()]
    with base.style():
        figure = Figure(figsize=(base.WIDTH, 1.2 + 0.45 * len(by_axis) + sum(heights)), layout="constrained")
        shape = {"squeeze": False, "sharex": "row", "sharey": "row", "height_ratios": heights}
        grid = figure.subplots(len(by_axis), len(domains), **shape)
        for (upper, (label, words)), (column, domain) in product(enumerate(by_axis.items()), enumerate(domains)):
            axes = grid[upper, column]
            axes.axvline(0, color="#777777", linewidth=0.8, linestyle="--")
            for index, (model, line) in enumerate(base.lines(models, {model: model for model in models}).items()):
                rows = [row for row in shown if (row["model"], row["domain"], _axis(row)) == (model, domain, label)]
                _marks(axes, line, rows, list(words), 0.6 * ((index + 0.5) / len(models) - 0.5))
            axes.set_yticks(range(len(words)), list(words))
            axes.set_ylim(len(words) - 0.5, -0.5)
            axes.set_xlabel(label)
            if upper == 0:
                axes.set_title(domain)
        base.legend_below(figure, *grid.ravel())
    alike = (
        "One model was enumerated, so the spread over seeds is not known."
        if len(models) == 1
        else "The models differ by their seed alone."
    )
    caption = (
        "What the claims on the oracle compare, a mark per model. Above, differences of mean losses, small ones by "
        "themselves, and what claims make shares of; below, the oracle's depth bias at each budget k, its share of big "
        "in the upper half of the layers less that in the lower, and the same as a share of the largest that a budget "
        f"allows. Best budgets are in the tables. {alike} {base.several(setting)} "
        f"{base.constraint(setting)} {base.interval(setting, 'Horizontal lines')}"
    )
    return base.Picture(figure, "Headline statistics, seed by seed", caption)


def _axis(row: Mapping[str, Any]) -> str:
    """Label of the axis that a statistic has; that of a family without one is the family's name."""
    return _AXES.get(row["family"], row["family"].replace("_", " "))


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
    axes.set_xlabel("last validation loss, nats per token")


def _marks(axes: Axes, line: base.Line, rows: list[dict], words: list[str], offset: float) -> None:
    """One model's estimates and intervals, each beside its words."""
    places = np.array([words.index(row["words"]) for row in rows]) + offset
    value, low, high = (np.array([row[column] for row in rows]) for column in ("value", "low", "high"))
    axes.hlines(places, low, high, color=line.colour, linewidth=1)
    axes.plot(value, places, line.marker, color=line.colour, label=line.label)


def _strategies(curves: pa.Table) -> list[str]:
    return base.known_first(curves["strategy"].to_pylist(), _own(curves))


def _own(curves: pa.Table) -> dict[str, str]:
    """Strategies of the user's own, with the words that they give themselves."""
    words = dict(zip(*(curves[column].to_pylist() for column in ("strategy", "words")), strict=True))
    return {name: own for name, own in words.items() if name not in (*STRATEGIES, RANDOM_ALL, FIXED)}


def _lines(curves: pa.Table, names: Sequence[str], setting: base.Setting) -> dict[str, base.Line]:
    """The styles of strategies, and of how routers are scored, in a figure that shows all of them."""
    own, tried = _own(curves), f"best of {setting.random_routes} random"
    labels = own | {RANDOM_ALL: f"{tried}, one for all tokens", RANDOM_TOKEN: f"{tried}, each token"}
    return base.lines(names, labels, own)


def _routed(above: Axes, below: Axes, line: base.Line, rows: pa.Table) -> None:
    """One domain's routers, scored in one way, or oracle on average, from rows of ROUTER_CURVES by target.

    A line at the target where that is held, else marks at the layers used: the oracle holds its average, and exact
    routers every token's budget.
    """
    on_average = rows["kind"][0].as_py() == ORACLE_AVERAGE
    held = on_average or rows["constraint"][0].as_py() == EXACT
    budget, loss, *difference = base.columns(rows, "target" if held else "big", "loss", *base.paired(ALL_BIG))
    draw = partial(base.curve, hollow=on_average) if held else base.marks
    draw(above, line, budget, np.exp(loss))
    draw(below, line, budget, *difference)


def _all_big(axes: Axes, curves: pa.Table, layers: int) -> None:
    """A line at the perplexity of the model with all layers big, where that budget was run."""
    for loss in base.of(curves, strategy=MEAN, budget=layers)["loss"].to_pylist():
        base.reference(axes, base.LINES["all_big"], np.exp(loss))


def _with_a_choice(rows: pa.Table, budget: str, layers: int) -> pa.Table:
    """Rows at budgets, of this column, at which there is more than one route."""
    return rows.filter(pc.and_(pc.greater(rows[budget], 0), pc.less(rows[budget], layers)))


def _history(history: pa.Table, series: str) -> tuple[np.ndarray, np.ndarray]:
    """Millions of tokens and values of one series."""
    rows = history.filter(pc.equal(history["series"], series))
    return rows["tokens"].to_numpy() / 1e6, rows["value"].to_numpy()
