"""Figures 2 a to c, 4a and 4b, and the training curves."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from duo.figures import base


def _lines(random_routes: int) -> dict[str, base.Line]:
    return {
        "mean": base.Line("mean of all routes", "#999999", ".", ":"),
        "random_all": base.Line(f"best of {random_routes} random, one for all tokens", "#E69F00", "s", "--"),
        "fixed": base.Line("fixed: best route for all tokens", "#D55E00", "^", "-"),
        "sequence": base.Line("best route of each document", "#CC79A7", "v", "-."),
        "random_token": base.Line(f"best of {random_routes} random, each token", "#56B4E9", "D", "--"),
        "oracle": base.Line("oracle: best route of each token", "#0072B2", "o", "-"),
    }


def budget_curves(curves: pa.Table, setting: base.Setting) -> base.Picture:
    """Figure 4b: perplexity against budget for every strategy, a panel a domain. `curves` as artifacts.CURVES."""
    domains = curves["domain"].unique().to_pylist()
    with base.style():
        figure, panels = base.panels(len(domains), columns=2, height=3.0)
        for axes, domain in zip(panels, domains, strict=True):
            part = curves.filter(pc.equal(curves["domain"], domain))
            _reference(axes, part, setting.layers)
            for strategy, line in _lines(setting.random_routes).items():
                budget, loss, low, high = base.series(part, strategy)
                axes.fill_between(budget, np.exp(low), np.exp(high), color=line.colour, alpha=0.12, linewidth=0)
                axes.plot(budget, np.exp(loss), color=line.colour, marker=line.marker, linestyle=line.dashes, label=line.label)
            _perplexity_axis(axes, domain, setting.layers)
        base.legend_below(figure, panels[0])
    caption = (
        f"Perplexity (logarithmic) against the number of big layers a token, for each way to choose the route. {base.sample(setting)} "
        f"{base.constraint(setting)} {base.interval(setting, 'Bands')}"
    )
    return base.Picture(figure, "Perplexity against budget (the paper's figure 4b)", caption)


def oracle_against_random(curves: pa.Table, setting: base.Setting) -> base.Picture:
    """Figure 4a: oracle, best of n random and fixed side by side at each budget. `curves` as artifacts.CURVES."""
    domains = curves["domain"].unique().to_pylist()
    shown = {name: line for name, line in _lines(setting.random_routes).items() if name not in ("mean", "sequence")}
    offsets = np.linspace(-0.27, 0.27, len(shown))
    with base.style():
        figure, panels = base.panels(len(domains), columns=1, height=2.3)
        for axes, domain in zip(panels, domains, strict=True):
            part = curves.filter(pc.equal(curves["domain"], domain))
            _reference(axes, part, setting.layers)
            for offset, (strategy, line) in zip(offsets, shown.items(), strict=True):
                budget, loss, low, high = base.series(part, strategy)
                axes.vlines(budget + offset, np.exp(low), np.exp(high), color=line.colour, linewidth=1)
                axes.plot(budget + offset, np.exp(loss), line.marker, color=line.colour, label=line.label)
            for edge in budget[:-1] + 0.5:
                axes.axvline(edge, color="#dddddd", linewidth=0.5, zorder=0)
            _perplexity_axis(axes, domain, setting.layers)
        base.legend_below(figure, panels[0])
    caption = (
        "Perplexity (logarithmic) of the oracle, of the best of random routes, tried for all tokens alike or for each token anew, and of "
        f"the best fixed route. {base.sample(setting)} {base.constraint(setting)} {base.interval(setting, 'Vertical lines')}"
    )
    return base.Picture(figure, "Oracle against random routes (the paper's figure 4a)", caption)


def heat_maps(cells: pa.Table, shares: pa.Table, budgets: Sequence[int], setting: base.Setting) -> base.Picture:
    """Figure 2 a-c: share of big by layer and position, and by layer alone with intervals.

    cells as artifacts.HEAT_MAPS, shares as artifacts.LAYER_SHARES; a row of panels a domain, a pair of panels a budget.
    """
    domains = cells["domain"].unique().to_pylist()
    with base.style():
        figure = Figure(figsize=(base.WIDTH, 0.6 + 2.1 * len(domains)), layout="constrained")
        grid = figure.subplots(len(domains), 2 * len(budgets), squeeze=False, sharey=True, width_ratios=[3, 1] * len(budgets))
        reach = _reach(shares.filter(pc.is_in(shares["budget"], pa.array(budgets, pa.int32()))), setting.layers)
        for row, domain in enumerate(domains):
            for column, budget in enumerate(budgets):
                map_axes, share_axes = grid[row, 2 * column : 2 * column + 2]
                image = _heat_map(map_axes, _at(cells, domain, budget), setting.layers)
                _layer_shares(share_axes, _at(shares, domain, budget), budget / setting.layers, reach)
                map_axes.set_title(f"{domain}, {budget} of {setting.layers} big")
                if row == len(domains) - 1:
                    map_axes.set_xlabel("position")
                    share_axes.set_xlabel("share")
            grid[row, 0].set_ylabel("layer (1 is next to the input)")
        bar = figure.colorbar(image, ax=grid.ravel().tolist(), location="bottom", shrink=0.4, aspect=30, pad=0.03)
        bar.set_label("share of documents whose token takes the big FFN under the oracle")
    caption = (
        "How often the oracle takes the big FFN, by layer and position, and beside each map by layer alone; the dashed line is the "
        f"share that a route without preference has. {base.sample(setting)} {base.constraint(setting)} "
        f"{base.interval(setting, 'Horizontal lines')}"
    )
    return base.Picture(figure, "Where the oracle spends big layers (the paper's figure 2 a to c)", caption)


def training(history: pa.Table) -> base.Picture:
    """Loss, gradient norm and learning rate against tokens. `history` as artifacts.HISTORY."""
    names = history["series"].unique().to_pylist()
    validation = [name for name in names if name.startswith("validation/")]
    domains = list(dict.fromkeys(name.split("/")[1] for name in validation))
    colours = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
    with base.style():
        figure = Figure(figsize=(base.WIDTH, 3.0), layout="constrained")
        panels = figure.subplot_mosaic([["loss", "gradient_norm"], ["loss", "learning_rate"]], width_ratios=[2, 1])
        panels["loss"].plot(*_history(history, "train"), color="#999999", linewidth=0.8, label="training batch, random routes")
        for name in validation:
            _, domain, route = name.split("/")
            dashes, marker = ("-", "o") if route == "all_big" else ("--", "s")
            colour = colours[domains.index(domain) % len(colours)]
            label = f"validation, {domain}, {route.replace('_', '-')}"
            panels["loss"].plot(*_history(history, name), color=colour, linestyle=dashes, marker=marker, markersize=3, label=label)
        panels["loss"].set_ylabel("loss, nats a token")
        panels["loss"].set_xlabel("training tokens, millions")
        panels["loss"].legend()
        for name in ("gradient_norm", "learning_rate"):
            panels[name].plot(*_history(history, name), color="#444444", linewidth=0.8)
            panels[name].set_ylabel(name.replace("_", " "))
        base.logarithmic(panels["gradient_norm"], ticks=4)
        panels["learning_rate"].set_xlabel("training tokens, millions")
    caption = (
        "Loss while the model trained, on its batches, where every token takes the big FFN by chance in each layer, and on the validation "
        "split under two fixed routes; gradient norm (logarithmic) and learning rate."
    )
    return base.Picture(figure, "Training", caption)


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


def _at(table: pa.Table, domain: str, budget: int) -> pa.Table:
    return table.filter(pc.and_(pc.equal(table["domain"], domain), pc.equal(table["budget"], budget)))


def _heat_map(axes: Axes, cells: pa.Table, layers: int):
    """Draw layer x position, layer 1 at the bottom; the scale is 0 to 1 in every map."""
    ordered = cells.sort_by([("layer", "ascending"), ("position", "ascending")])
    shares = ordered["share"].to_numpy().reshape(layers, -1)
    extent = (0.5, shares.shape[1] + 0.5, 0.5, layers + 0.5)
    image = axes.imshow(shares, cmap="cividis", vmin=0, vmax=1, origin="lower", aspect="auto", interpolation="nearest", extent=extent)
    axes.set_yticks(range(1, layers + 1, max(1, layers // 6)))
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    return image


def _reach(shares: pa.Table, layers: int) -> float:
    """Farthest that an interval gets from the share without preference, rounded up to 0.05: one scale for all panels."""
    expected = shares["budget"].to_numpy() / layers
    farthest = max(np.abs(shares[end].to_numpy() - expected).max() for end in ("low", "high"))
    return max(0.05, np.ceil(farthest * 20) / 20)


def _layer_shares(axes: Axes, shares: pa.Table, expected: float, reach: float) -> None:
    rows = shares.sort_by("layer")
    layer, share, low, high = (rows[name].to_numpy() for name in ("layer", "share", "low", "high"))
    axes.axvline(expected, color="#777777", linewidth=0.8, linestyle="--")
    axes.hlines(layer + 1, low, high, color="#D55E00")
    axes.plot(share, layer + 1, ".", color="#D55E00")
    ends = [expected - reach, expected + reach]
    axes.set_xlim(*ends)
    axes.set_xticks(ends, [f"{end:.2f}" for end in ends])
    axes.tick_params(left=False)


def _history(history: pa.Table, series: str) -> tuple[np.ndarray, np.ndarray]:
    """Millions of tokens and values of one series."""
    rows = history.filter(pc.equal(history["series"], series))
    return rows["tokens"].to_numpy() / 1e6, rows["value"].to_numpy()
