"""The oracle against independent noise, the spectrum of a token's losses over its routes, and choices made for
another model.
"""

from collections.abc import Iterator
from dataclasses import replace

import pyarrow as pa
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from scipy.special import comb

from duo.figures import base
from duo.tables.studies import CROSS_SEED_MEANS, ORDER_STATISTICS, SHAPLEY, SPECTRUM, SPECTRUM_DISTANCES
from duo.terms import FIXED


def pictures(setting: base.Setting, models: list[str]) -> Iterator[base.Drawn]:
    """The figures of independent noise, of the spectrum, and of choices for another seed's model.

    models: those that differ by their seed.
    """
    used = setting.used("random_routes")
    picture = order_statistics(ORDER_STATISTICS.read(), setting)
    yield base.Drawn("order-statistics", picture, used, [ORDER_STATISTICS])
    tables = [SPECTRUM, SPECTRUM_DISTANCES, SHAPLEY]
    yield base.Drawn("spectrum", spectrum(*(table.read() for table in tables), setting), used, tables)
    picture = cross_seed(CROSS_SEED_MEANS.read(), len(models), setting)
    yield base.Drawn("cross-seed", picture, used | {"models": models}, [CROSS_SEED_MEANS])


def order_statistics(table: pa.Table, setting: base.Setting) -> base.Picture:
    """Above, oracle and prediction less the mean route, against budget; below, effective and true number of routes.

    table as ORDER_STATISTICS.
    """
    table = base.of(table, model=setting.model)
    domains = table["domain"].unique().to_pylist()
    with base.style():
        figure = Figure(figsize=(base.WIDTH, 5.0), layout="constrained")
        rows = figure.subplots(2, len(domains), squeeze=False, sharex=True, sharey="row")
        for (above, below), domain in zip(zip(*rows, strict=True), domains, strict=True):
            part = base.of(table, domain=domain).sort_by("budget")
            budget, routes = base.columns(part, "budget", "routes")
            base.reference(above, base.LINES["mean"], 0)
            for name, line in base.lines(["oracle", "predicted"]).items():
                base.curve(above, line, budget, *base.columns(part, *base.estimate(f"{name}_from_mean")))
            base.curve(below, base.LINES["routes"], budget, routes)
            base.curve(below, base.LINES["effective"], budget, *base.columns(part, *base.estimate("effective")))
            below.set_yscale("log")
            above.set_title(domain)
            base.budgets(below, setting.layers)
        rows[0][0].set_ylabel("loss − mean of all routes,\nnats per token")
        rows[1][0].set_ylabel("routes")
        base.legend_below(figure, rows[0][0], rows[1][0])
    caption = (
        "Above, what is below the mean loss of all routes of a budget, on the same tokens: the oracle, and what it "
        "would be if the losses of a token's routes were independent and normal, with the token's own mean and "
        "standard deviation over the routes of the budget: mean less c times the deviation, c the expected maximum of "
        "as many standard normals. Below (logarithmic), how many routes the budget has, and how many independent ones "
        f"would give the gain over the mean that the oracle shows: routes share layers. {base.studied(setting)} "
        f"{base.constraint(setting)} {base.interval(setting, 'Bands', '')}"
    )
    return base.Picture(figure, "The oracle against independent noise", caption)


def spectrum(orders: pa.Table, distances: pa.Table, shapley: pa.Table, setting: base.Setting) -> base.Picture:
    """Variance by order of interaction, by distance of pairs, and each layer's worth; a line per domain.

    Tables as SPECTRUM, SPECTRUM_DISTANCES and SHAPLEY.
    """
    tables = {"order": orders, "distance": distances, "layer": shapley}
    labels = {
        "order": ("layers that interact", "share of variance"),
        "distance": ("layers apart", "share of variance, each pair"),
        "layer": ("layer (1 is next to the input)", "worth of the big FFN, nats per token"),
    }
    with base.style():
        figure, panels = base.panels(3, columns=3, height=2.6)
        for axes, (key, table) in zip(panels, tables.items(), strict=True):
            table = base.of(table, model=setting.model)
            for domain, line in _domain_lines(table).items():
                rows = base.of(table, domain=domain).sort_by(key)
                at, *value = base.columns(rows, key, "value", "low", "high")
                base.curve(axes, line, at + int(key == "layer"), *value)
                if key == "order":  # what single coefficients of the size of the last, of all layers, would add up to
                    noise = value[0][-1] * comb(int(at[-1]), at)
                    look = {"linestyle": ":", "linewidth": 0.8, "label": f"white noise, {domain}"}
                    axes.plot(at, noise, color=line.colour, **look)
            if key == "order":
                axes.set_yscale("log")
            else:
                axes.axhline(0, color="#777777", linewidth=0.8, linestyle=(0, (1, 2)))
            words, unit = labels[key]
            _layer_axis(axes, words, min(setting.layers, 6))
            axes.set_ylabel(unit)
        base.legend_below(figure, panels[0])
    caption = (
        "A token's loss over all routes, taken apart into interactions of layers (Walsh-Hadamard transform). Left "
        "(logarithmic), the share of its variance that interactions of one, two and more layers cause; if layers added "
        "up, it would all be at one. Dotted, what there would be if every interaction were as small as that of all "
        "layers, as rounding makes them. Middle, the share of one pair of layers, mean over the pairs that lie so far "
        "apart. Right, the Shapley value of each layer's big FFN: they add up to the loss with all layers small less "
        "that with all big. Shares are of means over tokens. Routes of every budget, each counted once; "
        f"{base.CONTEXT} {base.studied(setting)} {base.interval(setting, 'Bands', '')}"
    )
    return base.Picture(figure, "Do layers add up?", caption)


def cross_seed(means: pa.Table, models: int, setting: base.Setting) -> base.Picture:
    """Loss less the fixed route's against budget: of routes that the model chose itself, of other seeds' and the rest.

    means as CROSS_SEED_MEANS; models: how many there are.
    """
    domains = means["domain"].unique().to_pylist()
    lines = base.lines(name for name in base.known_first(means["strategy"].to_pylist()) if name != FIXED)
    with base.style():
        figure = Figure(figsize=(base.WIDTH, 3.6), layout="constrained")
        panels = figure.subplots(1, len(domains), squeeze=False, sharey=True)[0]
        for axes, domain in zip(panels, domains, strict=True):
            part = base.of(means, domain=domain)
            base.reference(axes, base.LINES[FIXED], 0)
            for strategy, line in lines.items():
                base.curve(axes, line, *base.series(part, strategy, *base.paired(FIXED)))
            axes.set_title(domain)
            base.budgets(axes, setting.layers)
        panels[0].set_ylabel("loss − fixed, nats per token")
        base.legend_below(figure, *panels)
    if models > 1:
        drawn = (
            f"{models} models that differ by their seed alone ({base.size(setting)}), mean over models, or over "
            "ordered pairs where one chooses and another is scored. Seeds share tokens and labels but not weights, so "
            "what a choice keeps for another seed may still be selection bias."
        )
    else:
        drawn = (
            f"Model {setting.model} ({base.size(setting)}). Choices for another seed's model are missing: they need "
            "two models or more."
        )
    caption = (
        "Mean loss less that of the best fixed route of the same budget, which was chosen on other documents than it "
        f"serves, on the same tokens; below 0 is better. {drawn} Beside them stands the fixed route that is best on "
        f"these very documents. {base.sample(setting)} {base.constraint(setting)} "
        f"{base.interval(setting, 'Bands', 'all choices kept')}"
    )
    return base.Picture(figure, "Choices that are scored by another seed's model", caption)


def _domain_lines(table: pa.Table) -> dict[str, base.Line]:
    """Full lines by domain: dotted ones are for noise."""
    domains = table["domain"].unique().to_pylist()
    return {name: replace(line, label=name, dashes="-") for name, line in base.lines(domains).items()}


def _layer_axis(axes: Axes, label: str, layers: int) -> None:
    axes.set_xlabel(label)
    axes.xaxis.set_major_locator(MaxNLocator(min(13, layers + 1), integer=True))
