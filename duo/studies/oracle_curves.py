"""The numbers behind the figures: curves, heat maps and headline differences, each with its interval.

All means are over tokens, of losses in nats; perplexity is exp of such a mean, taken last. Intervals are over
documents, which all models share, replicate by replicate; how much models differ that differ by their seed alone is
told apart from them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from math import exp

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from duo import seeds, stats
from duo.routes import RouteSpace

# Strategies whose choice is made token by token or document by document, and their columns in SELECTIONS.
_SELECTED = {
    "oracle": "oracle_loss",
    "sequence": "sequence_loss",
    "random_token": "random_token_loss",
    "mean": "mean_loss",
}
# Strategies with one route for all tokens, chosen from ROUTE_SUMS.
_ONE_ROUTE = ("random_all", "fixed")


@dataclass(frozen=True)
class AtBudget:
    """One domain at one budget, summed by document."""

    losses: dict[str, np.ndarray]  # strategy: [documents], nats
    routes: np.ndarray  # [routes] codes
    drawn: np.ndarray  # [routes] bool: one of the routes that random_all tries
    route_losses: np.ndarray  # [documents, routes] nats
    big: np.ndarray  # [documents, layers] tokens whose oracle route is big at the layer
    heat: np.ndarray  # [layers, positions] share of documents whose oracle route is big there
    positions: np.ndarray  # [positions]


@dataclass(frozen=True)
class Domain:
    """What one model makes of one domain: tokens by document [documents], and sums at every budget."""

    model: str
    name: str
    tokens: np.ndarray
    budgets: dict[int, AtBudget]

    def numbers(self, weights: np.ndarray) -> stats.Numbers:
        """Losses by (strategy, budget) and shares of big by ("share", budget, layer), each [replicates]."""
        tokens = stats.weighted_sums(weights, self.tokens)
        numbers = {}
        for budget, at in self.budgets.items():
            for strategy, sums in at.losses.items():
                numbers[strategy, budget] = stats.weighted_sums(weights, sums) / tokens
            means = self._route_means(weights, at)
            numbers["random_all", budget] = means[:, at.drawn].min(axis=1)
            numbers["fixed", budget] = means.min(axis=1)
            shares = stats.weighted_sums(weights, at.big) / tokens[:, None]
            for layer, share in enumerate(shares.T):
                numbers["share", budget, layer] = share
        return numbers

    def ids(self, count: int) -> dict[str, list[str]]:
        """The columns model and domain of a table of `count` rows."""
        return {"model": [self.model] * count, "domain": [self.name] * count}

    def winner(self, strategy: str, budget: int) -> int:
        """Code of the route that serves all tokens under the strategy, or -1 where each token or document has its
        own.
        """
        if strategy not in _ONE_ROUTE:
            return -1
        at = self.budgets[budget]
        means = self._route_means(np.ones((1, len(self.tokens))), at)[0]
        tried = at.drawn if strategy == "random_all" else np.ones_like(at.drawn)
        return int(at.routes[tried][means[tried].argmin()])

    def _route_means(self, weights: np.ndarray, at: AtBudget) -> np.ndarray:
        return stats.weighted_sums(weights, at.route_losses) / stats.weighted_sums(weights, self.tokens)[:, None]


def summarise(selections: pa.Table, route_sums: pa.Table, space: RouteSpace) -> tuple[np.ndarray, AtBudget]:
    """Tokens by document, and the sums, of one domain's SELECTIONS and ROUTE_SUMS at one budget.

    Documents in order of id.
    """
    _, document = np.unique(selections["document"].to_numpy(), return_inverse=True)
    tokens = np.bincount(document)
    losses = {name: np.bincount(document, selections[column].to_numpy()) for name, column in _SELECTED.items()}
    big = space.digits[selections["oracle_route"].to_numpy()] == space.choices.index("big")
    positions, position = np.unique(selections["position"].to_numpy(), return_inverse=True)

    _, row = np.unique(route_sums["document"].to_numpy(), return_inverse=True)
    routes, first, column = np.unique(route_sums["route"].to_numpy(), return_index=True, return_inverse=True)
    route_losses = np.zeros((len(tokens), len(routes)))
    route_losses[row, column] = route_sums["loss_sum"].to_numpy()
    return tokens, AtBudget(
        losses=losses,
        routes=routes,
        drawn=route_sums["drawn"].to_numpy()[first],
        route_losses=route_losses,
        big=np.stack([np.bincount(document, layer) for layer in big.T], axis=1),
        heat=np.stack([np.bincount(position, layer) for layer in big.T]) / np.bincount(position),
        positions=positions,
    )


def domains(tables: Mapping[int, tuple[pa.Table, pa.Table]], space: RouteSpace) -> list[Domain]:
    """Every model's domains, from (SELECTIONS, ROUTE_SUMS) by budget."""
    first, _ = next(iter(tables.values()))
    found = []
    for model, name in product(first["model"].unique().to_pylist(), first["domain"].unique().to_pylist()):
        budgets = {}
        for budget, pair in tables.items():
            parts = (
                table.filter(pc.and_(pc.equal(table["model"], model), pc.equal(table["domain"], name)))
                for table in pair
            )
            tokens, budgets[budget] = summarise(*parts, space)
        found.append(Domain(model, name, tokens, budgets))
    return found


def contrasts(numbers: stats.Numbers, budgets: list[int], layers: int) -> stats.Numbers:
    """What the paper's claims compare, from Domain.numbers: differences in nats, the oracle's best budget, leans.

    A difference is there where its budgets are. `oracle_best` is the oracle at its best budget, `oracle_half` at half
    the layers, `best_other` the same strategy at the best of the other budgets; `fixed_slope` is the slope of a
    straight line through the fixed route's losses, in nats a big layer; `lean_k` is the oracle's share of big, at
    budget k, in the upper half of the layers less that in the lower half. Values are [replicates], and whatever is
    best is found anew in each.
    """
    oracle, fixed = (np.stack([numbers[strategy, budget] for budget in budgets]) for strategy in ("oracle", "fixed"))
    best = oracle.argmin(axis=0)

    def at_best(strategy: str) -> np.ndarray:
        return np.stack([numbers[strategy, budget] for budget in budgets])[best, np.arange(len(best))]

    found = {"oracle_budget": np.array(budgets, dtype=np.float64)[best]}
    for strategy in ("random_all", "random_token", "fixed"):
        found[f"oracle-{strategy}"] = at_best("oracle") - at_best(strategy)
    for end, budget in {"all_small": 0, "all_big": layers}.items():
        if budget in budgets:
            found[f"oracle_best-{end}"] = at_best("oracle") - numbers["mean", budget]
    if {1, layers} <= set(budgets):
        found["oracle_1-all_big"] = numbers["oracle", 1] - numbers["mean", layers]
        found["fixed_1-all_big"] = numbers["fixed", 1] - numbers["mean", layers]
    if len(budgets) > 1:
        found["fixed_slope"] = stats.slopes(np.array(budgets)[:, None], fixed)
        for name, losses, budget in (("oracle_half", oracle, layers // 2), ("fixed_all_big", fixed, layers)):
            if budget in budgets:
                found[f"{name}-best_other"] = less_best_other(losses, budgets.index(budget))
    for budget in (budget for budget in budgets if 0 < budget < layers):
        found[f"lean_{budget}"] = lean(np.stack([numbers["share", budget, layer] for layer in range(layers)]))
    return found


def lean(shares: np.ndarray) -> np.ndarray:
    """[replicates] mean share in the upper half of the layers less that in the lower half, of shares [layers,
    replicates].
    """
    layers = len(shares)
    half = np.sign(np.arange(layers) - (layers - 1) / 2)[:, None]  # of a layer: 1 upper, -1 lower, 0 in the middle
    return (half * shares).sum(axis=0) / max(1, layers // 2)


def less_best_other(losses: np.ndarray, index: int) -> np.ndarray:
    """[replicates] losses [budgets, replicates] of one budget less the lowest of all others."""
    return losses[index] - np.delete(losses, index, axis=0).min(axis=0)


def intervals(domain: Domain, layers: int, resamples: int, confidence: float, seed: int) -> dict:
    """Domain.numbers and contrasts of one domain, each an Interval. Same seed, same replicates."""

    def statistic(weights: np.ndarray) -> stats.Numbers:
        numbers = domain.numbers(weights)
        return numbers | contrasts(numbers, list(domain.budgets), layers)

    # One seed for all: models are then compared replicate by replicate; domains hold different documents, which
    # nothing pairs.
    return stats.intervals(statistic, len(domain.tokens), resamples, confidence, seeds.stream(seed, "evaluate"))


def curves(domain: Domain, found: dict) -> pa.Table:
    """ORACLE_CURVES of one domain."""
    rows = []
    for strategy, budget in product((*_SELECTED, *_ONE_ROUTE), domain.budgets):
        loss = found[strategy, budget]
        row = {"strategy": strategy, "budget": budget, "loss": loss.value, "low": loss.low, "high": loss.high}
        rows.append(row | {"perplexity": exp(loss.value), "route": domain.winner(strategy, budget)})
    return _table(domain, rows)


def heat_maps(domain: Domain) -> pa.Table:
    """ORACLE_HEAT_MAPS of one domain."""
    tables = []
    for budget, at in domain.budgets.items():
        layers, positions = at.heat.shape
        ids = domain.ids(at.heat.size) | {"budget": np.full(at.heat.size, budget)}
        cells = {
            "layer": np.repeat(np.arange(layers), positions),
            "position": np.tile(at.positions, layers),
            "share": at.heat.ravel(),
        }
        tables.append(pa.table(ids | cells))
    return pa.concat_tables(tables)


def layer_shares(domain: Domain, found: dict) -> pa.Table:
    """ORACLE_LAYERS of one domain."""
    rows = []
    for budget, at in domain.budgets.items():
        for layer in range(len(at.heat)):
            share = found["share", budget, layer]
            rows.append({"budget": budget, "layer": layer, "share": share.value, "low": share.low, "high": share.high})
    return _table(domain, rows)


def contrast_table(domain: Domain, found: dict) -> pa.Table:
    """ORACLE_STATISTICS of one domain."""
    return _table(domain, [{"name": name, **found[name]._asdict()} for name in found if isinstance(name, str)])


def spread(contrasts: pa.Table) -> pa.Table:
    """SEED_SPREAD: how far the estimates in ORACLE_STATISTICS differ between models that differ by their seed alone."""
    estimates: dict[tuple[str, str], list[float]] = {}
    for row in contrasts.to_pylist():
        estimates.setdefault((row["domain"], row["name"]), []).append(row["value"])
    rows = []
    for (domain, name), values in estimates.items():
        deviation = float(np.std(values, ddof=1)) if len(values) > 1 else float("nan")
        summary = {
            "seeds": len(values),
            "mean": float(np.mean(values)),
            "deviation": deviation,
            "low": min(values),
            "high": max(values),
        }
        rows.append({"domain": domain, "name": name} | summary)
    return pa.Table.from_pylist(rows)


def headline(domain: Domain, found: dict, layers: int) -> dict:
    """ORACLE_METRICS of one domain: sizes, the oracle's best budget, perplexities."""
    best = int(found["oracle_budget"].value)
    perplexities = {"oracle_lowest": ("oracle", best), "all_small": ("mean", 0), "all_big": ("mean", layers)}
    perplexities |= {f"{strategy}_1": (strategy, 1) for strategy in ("oracle", "random_all", "fixed")}
    return {
        "documents": len(domain.tokens),
        "tokens": int(domain.tokens.sum()),
        "oracle_budget": best,
        "perplexity": {name: exp(found[key].value) for name, key in perplexities.items() if key in found},
    }


def _table(domain: Domain, rows: list[dict]) -> pa.Table:
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    return pa.table(domain.ids(len(rows)) | columns)
