"""The oracle against independent noise, the spectrum of a token's losses over its routes, and choices made for
another model.
"""

import numpy as np
import pyarrow as pa
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from scipy.special import comb

from duo.figures import base

_SPREAD = {
    "mean": base.Line("mean of all routes", "#999999", ".", ":"),
    "oracle": base.Line("oracle: best route of each token", "#0072B2", "o", "-"),
    "predicted": base.Line("as many independent normal losses", "#D55E00", "D", "--"),
}
_CROSSED = {
    "mean": base.Line("mean of all routes", "#999999", ".", ":"),
    "fixed": base.Line("fixed: best route for all tokens", "#D55E00", "^", "-"),
    "held_out": base.Line("fixed, chosen on other documents", "#E69F00", "v", "--"),
    "other": base.Line("chosen by another seed's oracle", "#009E73", "P", "-."),
    "own": base.Line("oracle: best route of each token", "#0072B2", "o", "-"),
}


def order_statistics(table: pa.Table, setting: base.Setting) -> base.Picture:
    """Above, oracle and prediction against budget; below, effective and true number of routes.
    gain_artifacts.ORDER_STATISTICS.
    """
    table = base.of(table, model=setting.model)
    domains = table["domain"].unique().to_pylist()
    with base.style():
        figure, panels = base.panels(2 * len(domains), columns=len(domains), height=2.6)
        for above, below, domain in zip(panels[: len(domains)], panels[len(domains) :], domains, strict=True):
            rows = base.of(table, domain=domain).sort_by("budget")
            budget, mean, routes = _columns(rows, "budget", "mean", "routes")
            _reference(above, budget, mean, setting.layers)
            for name, line in _SPREAD.items():
                _curve(above, line, budget, *np.exp(_estimate(rows, name)))
            above.set_title(domain)
            above.set_ylabel("perplexity")
            base.logarithmic(above)
            _curve(below, base.Line("routes of the budget", "#000000", "s", "--"), budget, routes)
            _curve(
                below,
                base.Line("independent routes, effectively", "#009E73", "P", "-."),
                budget,
                *_estimate(rows, "effective"),
            )
            below.set_ylabel("routes")
            below.set_yscale("log")
            for axes in (above, below):
                _layer_axis(axes, "big layers a token", setting.layers)
        base.legend_below(figure, panels[0], panels[-1])
    caption = (
        "Above, perplexity (logarithmic) against budget: the oracle, and what it would be if the losses of a token's routes were "
        "independent and normal, with the token's own mean and standard deviation over the routes of the budget: mean less c times the "
        "deviation, c the expected maximum of as many standard normals. Below (logarithmic), how many routes the budget has, and how many "
        "independent ones would give the gain over the mean that the oracle shows: routes share layers. "
        f"{base.sample(setting)} {base.constraint(setting)} {base.interval(setting, 'Bands', '')}"
    )
    return base.Picture(figure, "The oracle against independent noise", caption)


def spectrum(orders: pa.Table, distances: pa.Table, shapley: pa.Table, setting: base.Setting) -> base.Picture:
    """Variance by order of interaction, by distance of pairs, and each layer's worth; a line a domain.

    Tables as gain_artifacts.SPECTRUM, SPECTRUM_DISTANCES and SHAPLEY.
    """
    tables = {"order": orders, "distance": distances, "layer": shapley}
    labels = {
        "order": ("layers that interact", "share of variance"),
        "distance": ("layers apart", "share of variance, each pair"),
        "layer": ("layer (1 is next to the input)", "worth of the big FFN, nats a token"),
    }
    with base.style():
        figure, panels = base.panels(3, columns=3, height=2.6)
        for axes, (key, table) in zip(panels, tables.items(), strict=True):
            table = base.of(table, model=setting.model)
            for index, domain in enumerate(table["domain"].unique().to_pylist()):
                rows = base.of(table, domain=domain).sort_by(key)
                look = base.Line(
                    domain, base.COLOURS[index % 6], base.MARKERS[index % 6], ("-", "--", "-.", ":")[index % 4]
                )
                at, *value = _columns(rows, key, "value", "low", "high")
                _curve(axes, look, at + int(key == "layer"), *value)
                if key == "order":  # what single coefficients of the size of the last, of all layers, would add up to
                    noise = value[0][-1] * comb(int(at[-1]), at)
                    axes.plot(
                        at, noise, color=look.colour, linestyle=":", linewidth=0.8, label=f"white noise, {domain}"
                    )
            if key == "order":
                axes.set_yscale("log")
            else:
                axes.axhline(0, color="#777777", linewidth=0.8, linestyle=(0, (1, 2)))
            words, unit = labels[key]
            _layer_axis(axes, words, min(setting.layers, 6))
            axes.set_ylabel(unit)
        base.legend_below(figure, panels[0])
    caption = (
        "A token's loss over all routes, taken apart into interactions of layers (Walsh-Hadamard transform). Left (logarithmic), the share "
        "of its variance that interactions of one, two and more layers cause; if layers added up, it would all be at one. Dotted, what "
        "there would be if every interaction were as small as that of all layers, as rounding makes them. Middle, the share of one pair "
        "of layers, mean over the pairs that lie so far apart. Right, the Shapley value of each layer's big FFN: they add up to the loss "
        "with all layers small less that with all big. Shares are of means over tokens. Routes of "
        f"every budget, each alike; {base.CONTEXT} {base.sample(setting)} {base.interval(setting, 'Bands', '')}"
    )
    return base.Picture(figure, "Do layers add up?", caption)


def cross_seed(means: pa.Table, models: int, setting: base.Setting) -> base.Picture:
    """Perplexity against budget of routes chosen by the model itself, by other seeds, and of fixed ones.

    CROSS_SEED_MEANS.
    """
    domains = means["domain"].unique().to_pylist()
    with base.style():
        figure, panels = base.panels(len(domains), columns=2, height=3.0)
        for axes, domain in zip(panels, domains, strict=True):
            part = base.of(means, domain=domain)
            budget, own, *_ = base.series(part, "own")
            _reference(axes, budget, own, setting.layers)
            for strategy, line in _CROSSED.items():
                budget, *loss = base.series(part, strategy)
                if len(budget):
                    _curve(axes, line, budget, *np.exp(loss[:1] if strategy in ("held_out", "mean") else loss))
            axes.set_title(domain)
            axes.set_ylabel("perplexity")
            _layer_axis(axes, "big layers a token", setting.layers)
            base.logarithmic(axes)
        base.legend_below(figure, panels[0])
    if models > 1:
        drawn = (
            f"of {models} models that differ by their seed alone, mean over models, or over ordered pairs where one chooses and another "
            "is scored. Seeds share tokens and labels but not weights: what a choice keeps for another seed may still be luck of the label."
        )
    else:
        drawn = f"of model {setting.model}. Choices for another seed's model are missing: they need two or more in route_losses.models."
    caption = (
        f"Perplexity (logarithmic) against budget {drawn} The held-out route serves the half of the documents that it was not chosen on, "
        f"mean over random halvings. {base.sample(setting)} {base.constraint(setting)} "
        f"{base.interval(setting, 'Bands', 'all choices kept')} Those of the held-out route and of the mean are left out."
    )
    return base.Picture(figure, "Choices that are scored by another seed's model", caption)


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
