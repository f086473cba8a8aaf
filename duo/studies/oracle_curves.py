"""The oracle beside every baseline: losses by budget, where it spends big layers, and the differences that claims test.

All means are over tokens, of losses in nats; perplexity is exp of such a mean, taken last. Intervals are over
documents, which all models share, replicate by replicate. The spread over models that differ by their seed alone
is given apart from them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from math import exp
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from duo import stats
from duo.routes import RouteSpace
from duo.stats import Interval, Intervals, Statistic, Study
from duo.tables.studies import ORACLE_CURVES, ORACLE_HEAT_MAPS, ORACLE_LAYERS, ORACLE_STATISTICS, SEED_SPREAD
from duo.terms import ALL_BIG, ALL_SMALL, FIXED, MEAN, ORACLE, RANDOM_ALL, RANDOM_TOKEN, SEQUENCE

SELECTED = {ORACLE: "oracle_loss", MEAN: "mean_loss"}  # strategies that are columns of SELECTIONS
# Strategies with one route for all tokens, chosen from ROUTE_SUMS, in words.
ONE_ROUTE = {RANDOM_ALL: "best of some random routes, one for all tokens", FIXED: "fixed: best route for all tokens"}

AT_BEST_BUDGET = "difference_at_best_budget"
BEST_BUDGET = Statistic("best_budget", "oracle", words="the oracle's best budget")


@dataclass(frozen=True)
class Loss:
    """Key of a strategy's mean loss at a budget."""

    strategy: str
    budget: int


@dataclass(frozen=True)
class BigShare:
    """Key of the share of tokens whose oracle route is big at a layer."""

    budget: int
    layer: int


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


class OracleCurves(Study):
    """One model and domain at every budget; tokens [documents]."""

    # Models are compared replicate by replicate; domains hold different documents, which nothing pairs.
    stream = ("evaluate",)

    def __init__(
        self,
        model: str,
        domain: str,
        tokens: np.ndarray,
        budgets: dict[int, AtBudget],
        layers: int,
        words: Mapping[str, str],
    ) -> None:
        self.ids = {"model": model, "domain": domain}
        self.tokens, self.budgets, self.layers = tokens, budgets, layers
        self.words = {**words, **ONE_ROUTE}  # of every strategy
        self.clusters = len(tokens)

    def means(self, weights: np.ndarray) -> stats.Numbers:
        """Losses by Loss and shares of big by BigShare, each [replicates]."""
        tokens = stats.weighted_sums(weights, self.tokens)
        numbers = {}
        for budget, at in self.budgets.items():
            for strategy, sums in at.losses.items():
                numbers[Loss(strategy, budget)] = stats.weighted_sums(weights, sums) / tokens
            by_route = self._route_means(weights, at)
            numbers[Loss(RANDOM_ALL, budget)] = by_route[:, at.drawn].min(axis=1)
            numbers[Loss(FIXED, budget)] = by_route.min(axis=1)
            shares = stats.weighted_sums(weights, at.big) / tokens[:, None]
            numbers |= {BigShare(budget, layer): share for layer, share in enumerate(shares.T)}
        return numbers

    def numbers(self, weights: np.ndarray) -> stats.Numbers:
        means = self.means(weights)
        return means | contrasts(means, list(self.budgets), self.layers)

    def winner(self, strategy: str, budget: int) -> int:
        """Code of the route that serves all tokens under the strategy, or -1 where tokens or documents differ."""
        if strategy not in ONE_ROUTE:
            return -1
        at = self.budgets[budget]
        means = self._route_means(np.ones((1, self.clusters)), at)[0]
        tried = at.drawn if strategy == RANDOM_ALL else np.ones_like(at.drawn)
        return int(at.routes[tried][means[tried].argmin()])

    def tables(self, estimates: Intervals) -> dict[Any, Any]:
        losses = []
        for row in self.rows(estimates, Loss, "loss"):
            strategy = row["strategy"]
            row |= {"perplexity": exp(row["loss"]), "route": self.winner(strategy, row["budget"])}
            losses.append(row | {"words": self.words.get(strategy, strategy)})
        return {
            ORACLE_CURVES: losses,
            ORACLE_HEAT_MAPS: [row for budget, at in self.budgets.items() for row in self._cells(budget, at)],
            ORACLE_LAYERS: self.rows(estimates, BigShare, "share"),
            ORACLE_STATISTICS: self.rows(estimates, Statistic),
        }

    def headline(self, estimates: Mapping[Any, Interval]) -> dict[str, Any]:
        """ORACLE_METRICS of this model and domain: sizes, the oracle's best budget, perplexities, differences there."""
        best = int(estimates[BEST_BUDGET].value)
        shown = {
            "oracle_lowest": Loss(ORACLE, best),
            "all_small": Loss(MEAN, 0),
            "all_big": Loss(MEAN, self.layers),
        }
        shown |= {f"{strategy}_1": Loss(strategy, 1) for strategy in (ORACLE, RANDOM_ALL, FIXED)}
        return {
            "documents": self.clusters,
            "tokens": int(self.tokens.sum()),
            "oracle_budget": best,
            "perplexity": {name: exp(estimates[key].value) for name, key in shown.items() if key in estimates},
            "oracle_less": {
                key.reference: interval._asdict()
                for key, interval in estimates.items()
                if isinstance(key, Statistic) and key.family == AT_BEST_BUDGET
            },
        }

    def _route_means(self, weights: np.ndarray, at: AtBudget) -> np.ndarray:
        """[replicates, routes] mean losses."""
        return stats.weighted_sums(weights, at.route_losses) / stats.weighted_sums(weights, self.tokens)[:, None]

    def _cells(self, budget: int, at: AtBudget) -> list[dict[str, Any]]:
        """Rows of ORACLE_HEAT_MAPS at a budget."""
        return [
            self.ids | {"budget": budget, "layer": layer, "position": position, "share": share}
            for layer, shares in enumerate(at.heat)
            for position, share in zip(at.positions.tolist(), shares.tolist(), strict=True)
        ]


def gather(tables: Mapping[int, tuple[pa.Table, ...]], space: RouteSpace) -> list[OracleCurves]:
    """The study of every model and domain, from (SELECTIONS, ROUTE_SUMS, STRATEGY_SUMS) by budget.

    Without STRATEGY_SUMS it is of the oracle, the mean over all routes, and the strategies with one route alone.
    """
    first, *_ = next(iter(tables.values()))
    studies = []
    for model, domain in product(first["model"].unique().to_pylist(), first["domain"].unique().to_pylist()):
        budgets, words = {}, {}
        for budget, at_budget in tables.items():
            selections, route_sums, *strategy_sums = (
                table.filter(pc.and_(pc.equal(table["model"], model), pc.equal(table["domain"], domain)))
                for table in at_budget
            )
            tokens, budgets[budget] = _summed(selections, route_sums, space)
            for table in strategy_sums:
                budgets[budget] = replace(budgets[budget], losses=_by_strategy(table) | budgets[budget].losses)
                words |= dict(zip(*(table[name].to_pylist() for name in ("strategy", "words")), strict=True))
        studies.append(OracleCurves(model, domain, tokens, budgets, space.layers, words))
    return studies


def _by_strategy(table: pa.Table) -> dict[str, np.ndarray]:
    """Each strategy's sums of losses [documents], in order of id, from one domain's STRATEGY_SUMS at one budget."""
    table = table.sort_by("document")
    return {
        strategy: table.filter(pc.equal(table["strategy"], strategy))["loss_sum"].to_numpy()
        for strategy in table["strategy"].unique().to_pylist()
    }


def _summed(selections: pa.Table, route_sums: pa.Table, space: RouteSpace) -> tuple[np.ndarray, AtBudget]:
    """Tokens by document, in order of id, and the sums of one domain's SELECTIONS and ROUTE_SUMS at one budget."""
    _, document = np.unique(selections["document"].to_numpy(), return_inverse=True)
    tokens = np.bincount(document)
    losses = {name: np.bincount(document, selections[column].to_numpy()) for name, column in SELECTED.items()}
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


def contrasts(means: stats.Numbers, budgets: list[int], layers: int) -> stats.Numbers:
    """What the paper's claims compare, from OracleCurves.means; each [replicates], where its budgets are there.

    Whatever is best, a budget or a route, is chosen anew in each replicate.
    """
    names = [key.strategy for key in means if isinstance(key, Loss) and key.budget == budgets[0]]
    losses = {name: np.stack([means[Loss(name, k)] for k in budgets]) for name in names}
    best = losses[ORACLE].argmin(axis=0)

    def at_best(strategy: str) -> np.ndarray:
        return losses[strategy][best, np.arange(len(best))]

    numbers = {BEST_BUDGET: np.array(budgets, dtype=np.float64)[best]}
    for strategy in dict.fromkeys([RANDOM_ALL, RANDOM_TOKEN, FIXED, *losses]):
        if strategy in losses and strategy not in (ORACLE, SEQUENCE, MEAN):
            numbers[at_best_budget(strategy)] = at_best(ORACLE) - at_best(strategy)
    for end, budget in {ALL_SMALL: 0, ALL_BIG: layers}.items():
        if budget in budgets:
            numbers[at_best_budget(end)] = at_best(ORACLE) - means[Loss(MEAN, budget)]
    if {1, layers} <= set(budgets):
        for strategy in (ORACLE, FIXED):
            numbers[less_all_big(strategy, 1)] = means[Loss(strategy, 1)] - means[Loss(MEAN, layers)]
    if len(budgets) > 1:
        numbers[FIXED_SLOPE] = stats.slopes(np.array(budgets)[:, None], losses[FIXED])
        for strategy, budget in ((ORACLE, layers // 2), (FIXED, layers)):
            if budget in budgets:
                numbers[less_other_budgets(strategy, budget)] = less_best_other(losses[strategy], budgets.index(budget))
    for budget in (budget for budget in budgets if 0 < budget < layers):
        shares = np.stack([means[BigShare(budget, layer)] for layer in range(layers)])
        numbers[depth_bias(budget)] = upper_less_lower(shares)
    return numbers


FIXED_SLOPE = Statistic("slope", "fixed", words="slope of the best fixed route's loss, nats per big layer")


def at_best_budget(reference: str) -> Statistic:
    """The oracle at its best budget, less a strategy there, or less all layers big or small."""
    words = {
        RANDOM_ALL: "the best random route for all tokens there",
        RANDOM_TOKEN: "the best random routes drawn for each token there",
        FIXED: "the best fixed route there",
        ALL_SMALL: "all layers small",
        ALL_BIG: "all layers big",
    }.get(reference, f"strategy {reference.replace('_', ' ')} there")
    return Statistic(AT_BEST_BUDGET, ORACLE, reference, words=f"oracle at its best budget, less {words}")


def less_all_big(strategy: str, budget: int) -> Statistic:
    """A strategy's loss at a budget, less that of all layers big."""
    words = {"oracle": "oracle", "fixed": "best fixed route"}[strategy]
    return Statistic(
        "difference", strategy, "all_big", budget, words=f"{words} at budget {budget}, less all layers big"
    )


def less_other_budgets(strategy: str, budget: int) -> Statistic:
    """A strategy's loss at a budget, less its lowest at any other."""
    words = {"oracle": "oracle", "fixed": "best fixed route"}[strategy]
    return Statistic(
        "difference_from_other_budgets",
        strategy,
        "other_budgets",
        budget,
        words=f"{words} at budget {budget}, less the same at the best of the other budgets",
    )


def depth_bias(budget: int) -> Statistic:
    """The oracle's share of big in the upper half of the layers, less that in the lower half."""
    return Statistic(
        "depth_bias",
        "oracle",
        budget=budget,
        words=f"depth bias of the oracle at budget {budget}: share of big in the upper layers, less the lower half",
    )


def upper_less_lower(shares: np.ndarray) -> np.ndarray:
    """[replicates] mean share in the upper half of the layers less that in the lower, of shares [layers, replicates].

    The middle one of an odd number belongs to neither half.
    """
    return (stats.halves(len(shares))[:, None] * shares).sum(axis=0) / max(1, len(shares) // 2)


def less_best_other(losses: np.ndarray, index: int) -> np.ndarray:
    """[replicates] losses [budgets, replicates] of one budget less the lowest of all others."""
    return losses[index] - np.delete(losses, index, axis=0).min(axis=0)


def spread(statistics: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Rows of SEED_SPREAD: how far ORACLE_STATISTICS differ between models that differ by their seed alone."""
    by_key: dict[tuple, list[Mapping[str, Any]]] = {}
    for row in statistics:
        key = tuple(row[name] for name in ("domain", "family", "subject", "reference", "budget", "labels"))
        by_key.setdefault(key, []).append(row)
    spreads = []
    for rows in by_key.values():
        values = [row["value"] for row in rows]
        summary = {
            "seeds": len(values),
            "mean": float(np.mean(values)),
            "deviation": float(np.std(values, ddof=1)) if len(values) > 1 else float("nan"),
            "low": min(values),
            "high": max(values),
        }
        spreads.append({name: value for name, value in rows[0].items() if name in SEED_SPREAD.schema.names} | summary)
    return spreads
