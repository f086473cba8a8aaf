"""The oracle against independent noise, the spectrum of a token's losses over its routes, and choices made for
another model.
"""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pyarrow as pa
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from scipy.special import comb

from duo.figures import base
from duo.tables.studies import CROSS_SEED_MEANS, ORDER_STATISTICS, SHAPLEY, SPECTRUM, SPECTRUM_DISTANCES

_WITHOUT_BANDS = ("in_sample", "mean")  # strategies of which the caption says so


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
    """Above, oracle and prediction against budget; below, effective and true number of routes.

    table as ORDER_STATISTICS.
    """
    table = base.of(table, model=setting.model)
    domains = table["domain"].unique().to_pylist()
    with base.style():
        figure, panels = base.panels(2 * len(domains), columns=len(domains), height=2.6)
        for above, below, domain in zip(panels[: len(domains)], panels[len(domains) :], domains, strict=True):
            rows = base.of(table, domain=domain).sort_by("budget")
            budget, mean, routes = _columns(rows, "budget", "mean", "routes")
            _reference(above, budget, mean, setting.layers)
            for name, line in base.lines(["mean", "oracle", "predicted"]).items():
                _curve(above, line, budget, *np.exp(_estimate(rows, name)))
            above.set_title(domain)
            above.set_ylabel("perplexity")
            base.logarithmic(above)
            _curve(below, base.LINES["routes"], budget, routes)
            _curve(below, base.LINES["effective"], budget, *_estimate(rows, "effective"))
            below.set_ylabel("routes")
            below.set_yscale("log")
            for axes in (above, below):
                _layer_axis(axes, "big layers per token", setting.layers)
        base.legend_below(figure, panels[0], panels[-1])
    caption = (
        "Above, perplexity (logarithmic) against budget: the oracle, and what it would be if the losses of a token's "
        "routes were independent and normal, with the token's own mean and standard deviation over the routes of the "
        "budget: mean less c times the deviation, c the expected maximum of as many standard normals. Below "
        "(logarithmic), how many routes the budget has, and how many independent ones would give the gain over the "
        "mean that the oracle shows: routes share layers. "
        f"{base.sample(setting)} {base.constraint(setting)} {base.interval(setting, 'Bands', '')}"
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
                at, *value = _columns(rows, key, "value", "low", "high")
                _curve(axes, line, at + int(key == "layer"), *value)
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
        f"{base.CONTEXT} {base.sample(setting)} {base.interval(setting, 'Bands', '')}"
    )
    return base.Picture(figure, "Do layers add up?", caption)


def cross_seed(means: pa.Table, models: int, setting: base.Setting) -> base.Picture:
    """Perplexity against budget of every strategy in the table: routes that the model chose itself, other seeds, fixed.

    means as CROSS_SEED_MEANS; models: how many there are.
    """
    domains = means["domain"].unique().to_pylist()
    lines = base.lines(base.known_first(means["strategy"].to_pylist()))
    with base.style():
        figure, panels = base.panels(len(domains), columns=2, height=3.0)
        for axes, domain in zip(panels, domains, strict=True):
            part = base.of(means, domain=domain)
            budget, own, *_ = base.series(part, "own")
            _reference(axes, budget, own, setting.layers)
            for strategy, line in lines.items():
                budget, *loss = base.series(part, strategy)
                if len(budget):
                    _curve(axes, line, budget, *np.exp(loss[:1] if strategy in _WITHOUT_BANDS else loss))
            axes.set_title(domain)
            axes.set_ylabel("perplexity")
            _layer_axis(axes, "big layers per token", setting.layers)
            base.logarithmic(axes)
        base.legend_below(figure, panels[0])
    if models > 1:
        drawn = (
            f"of {models} models that differ by their seed alone, mean over models, or over ordered pairs where one "
            "chooses and another is scored. Seeds share tokens and labels but not weights, so what a choice keeps for "
            "another seed may still be selection bias."
        )
    else:
        drawn = f"of model {setting.model}. Choices for another seed's model are missing: they need two models or more."
    caption = (
        f"Perplexity (logarithmic) against budget {drawn} Beside the fixed route, which was chosen on other documents "
        f"than it serves, stands the best on these very documents. {base.sample(setting)} {base.constraint(setting)} "
        f"{base.interval(setting, 'Bands', 'all choices kept')} The route chosen on the same documents and the mean "
        "have none."
    )
    return base.Picture(figure, "Choices that are scored by another seed's model", caption)


def _domain_lines(table: pa.Table) -> dict[str, base.Line]:
    """Full lines by domain: dotted ones are for noise."""
    domains = table["domain"].unique().to_pylist()
    return {name: replace(line, label=name, dashes="-") for name, line in base.lines(domains).items()}


def _columns(rows: pa.Table, *names: str) -> list[np.ndarray]:
    return [rows[name].to_numpy() for name in names]


def _estimate(rows: pa.Table, name: str) -> list[np.ndarray]:
    """The column, and the ends of its interval where the table has them."""
    return _columns(rows, *(column for column in (name, f"{name}_low", f"{name}_high") if column in rows.column_names))


def _curve(axes: Axes, line: base.Line, at: np.ndarray, value: np.ndarray, *ends: np.ndarray) -> None:
    if ends:
        axes.fill_between(at, *ends, color=line.colour, alpha=0.12, linewidth=0)
    axes.plot(at, value, color=line.colour, marker=line.marker, linestyle=line.dashes, label=line.label)


def _reference(axes: Axes, budget: np.ndarray, loss: np.ndarray, layers: int) -> None:
    """A line at the perplexity of the model with all layers big."""
    axes.axhline(
        np.exp(loss[budget == layers][0]), color="#000000", linewidth=0.8, linestyle=(0, (1, 2)), label="all layers big"
    )


def _layer_axis(axes: Axes, label: str, layers: int) -> None:
    axes.set_xlabel(label)
    axes.xaxis.set_major_locator(MaxNLocator(min(13, layers + 1), integer=True))
