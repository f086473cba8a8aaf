"""The oracle beside every baseline: losses by budget, where it spends big layers, and the numbers that claims test.

All means are over tokens, of losses in nats; perplexity is exp of such a mean, taken last. Intervals are over
clusters, which all models share, replicate by replicate. The spread over models that differ by their seed alone
is given apart from them.

The best of many, on the tokens that it is scored on, looks better than it is. So whatever serves all tokens alike, a
route or a budget, is chosen for each half of the clusters on the other (duo.stats.cross_fitted), and its choice stays
as it is in the bootstrap.
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
from duo.studies import curves
from duo.studies.documents import part
from duo.studies.oracle_sums import AtBudget, big_tokens, by_strategy, summed
from duo.tables.studies import ORACLE_CURVES, ORACLE_HEAT_MAPS, ORACLE_LAYERS, ORACLE_STATISTICS, SEED_SPREAD
from duo.terms import ALL_BIG, ALL_SMALL, BIG, FIXED, MEAN, ORACLE, RANDOM_ALL, RANDOM_TOKEN, SEQUENCE

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


class BigLayers(Study):
    """Where the oracle's routes are big in one model and domain, whichever labels they were chosen on.

    tokens [clusters]; big: by budget, [clusters, layers] tokens whose route is big at the layer.
    """

    # Models are compared replicate by replicate; domains hold different clusters, which nothing pairs.
    stream = ("evaluate",)

    def __init__(self, model: str, domain: str, tokens: np.ndarray, big: Mapping[int, np.ndarray]) -> None:
        self.ids = {"model": model, "domain": domain}
        self.tokens, self.big, self.clusters = tokens, big, len(tokens)

    def numbers(self, weights: np.ndarray) -> stats.Numbers:
        """Shares of big by BigShare, and their depth biases, each [replicates]."""
        tokens, numbers = stats.weighted_sums(weights, self.tokens), {}
        for budget, big in self.big.items():
            layers = big.shape[1]
            shares = (stats.weighted_sums(weights, big) / tokens[:, None]).T
            numbers |= {BigShare(budget, layer): share for layer, share in enumerate(shares)}
            if 0 < budget < layers:
                bias = upper_less_lower(shares)
                numbers[depth_bias(budget)] = bias
                numbers[depth_preference(budget)] = bias / largest_depth_bias(budget, layers)
        ends = [depth_preference(budget) for budget in (layers // 3, layers - layers // 3)]
        if ends[0] != ends[1] and set(ends) <= set(numbers):
            numbers[DEPTH_TREND] = numbers[ends[0]] - numbers[ends[1]]
        return numbers


class OracleCurves(Study):
    """One model and domain at every budget; tokens [clusters], in order of id."""

    stream = BigLayers.stream

    def __init__(
        self,
        model: str,
        domain: str,
        tokens: np.ndarray,
        budgets: dict[int, AtBudget],
        space: RouteSpace,
        words: Mapping[str, str],
    ) -> None:
        self.ids = {"model": model, "domain": domain}
        self.tokens, self.budgets, self.space, self.layers = tokens, budgets, space, space.places
        self.words = {**words, **ONE_ROUTE}  # of every strategy
        self.clusters = len(tokens)
        self._big = BigLayers(model, domain, tokens, {budget: at.big for budget, at in budgets.items()})

    def means(self, weights: np.ndarray) -> stats.Numbers:
        """Losses by Loss, each [replicates]."""
        return {
            Loss(strategy, budget): self._mean(weights, sums)
            for budget, at in self.budgets.items()
            for strategy, sums in at.losses.items()
        }

    def numbers(self, weights: np.ndarray) -> stats.Numbers:
        means = self.means(weights)
        numbers = means | curves.paired(means, self._references(means))
        numbers |= self._big.numbers(weights) | self._at_best_budget(weights) | self._of_fixed(weights, means)
        numbers[BEST_BUDGET] = np.array([*self.budgets])[np.argmin([means[Loss(ORACLE, k)] for k in self.budgets], 0)]
        if {1, self.layers} <= set(self.budgets):
            for strategy in (ORACLE, FIXED):
                numbers[less_all_big(strategy, 1)] = means[Loss(strategy, 1)] - means[Loss(MEAN, self.layers)]
        for strategy in (ORACLE, RANDOM_TOKEN):
            if strategy in next(iter(self.budgets.values())).losses:
                numbers |= self.relative(weights, strategy, self.curve(strategy))
        return numbers

    def curve(self, strategy: str) -> dict[int, np.ndarray]:
        """A strategy's sums of losses [clusters], nats, by budget."""
        return {budget: at.losses[strategy] for budget, at in self.budgets.items()}

    def relative(self, weights: np.ndarray, subject: str, curve: Mapping[int, np.ndarray]) -> stats.Numbers:
        """`random_gap` and `lowest_at_half` of whoever has this curve, as `curve` gives it, each [replicates].

        The subject is the oracle, or who chooses with less knowledge. Nothing without the budgets of none, half and all
        of the layers.
        """
        half, ends = self.layers // 2, (0, self.layers)
        if not {half, *ends} <= set(self.budgets):
            return {}
        gap = self.budgets[half].losses[RANDOM_ALL] - curve[half]
        return {
            random_gap(subject): curves.share_of_depth(weights, gap, *(self.budgets[k].losses[MEAN] for k in ends)),
            lowest_at_half(subject): curves.distance_from_lowest(weights, curve, self.tokens, self.layers),
        }

    def _references(self, means: stats.Numbers) -> dict[str, stats.Numbers]:
        """What losses, by Loss, are compared with: all layers big, where they were run; and each budget's fixed route.

        Of `means`, [replicates] each, by the name of the reference and the key of the loss.
        """
        all_big = means.get(Loss(MEAN, self.layers))
        return {
            ALL_BIG: {} if all_big is None else dict.fromkeys(means, all_big),
            FIXED: {key: means[Loss(FIXED, key.budget)] for key in means},
        }

    def _mean(self, weights: np.ndarray, sums: np.ndarray) -> np.ndarray:
        """[replicates] mean over tokens of sums [clusters]."""
        return stats.weighted_sums(weights, sums) / stats.weighted_sums(weights, self.tokens)

    def _at_best_budget(self, weights: np.ndarray) -> stats.Numbers:
        """The oracle at its best budget, less every strategy there; less all layers big and small."""
        losses = {name: curves.stacked(self.curve(name)) for name in next(iter(self.budgets.values())).losses}
        best = stats.cross_fitted(losses[ORACLE], self.tokens)
        lowest, numbers = curves.taken(losses[ORACLE], best), {}
        for strategy in dict.fromkeys([RANDOM_ALL, RANDOM_TOKEN, FIXED, *losses]):
            if strategy in losses and strategy not in (ORACLE, SEQUENCE, MEAN):
                less = lowest - curves.taken(losses[strategy], best)
                numbers[at_best_budget(strategy)] = self._mean(weights, less)
        for end, budget in {ALL_SMALL: 0, ALL_BIG: self.layers}.items():
            if budget in self.budgets:
                numbers[at_best_budget(end)] = self._mean(weights, lowest - self.budgets[budget].losses[MEAN])
        return numbers

    def _of_fixed(self, weights: np.ndarray, means: stats.Numbers) -> stats.Numbers:
        """The fixed route's slope over budgets; and all layers big, which is one of them, less the best other one."""
        if len(self.budgets) < 2:
            return {}
        losses = np.stack([means[Loss(FIXED, budget)] for budget in self.budgets])
        numbers = {FIXED_SLOPE: stats.slopes(np.array([*self.budgets])[:, None], losses)}
        if self.layers in self.budgets:
            others = [
                at.route_losses[:, self.space.count(at.routes, BIG) < self.layers] for at in self.budgets.values()
            ]
            other = stats.kept(np.concatenate(others, axis=1), self.tokens)
            numbers[ALL_BIG_LESS_OTHER] = self._mean(weights, self.budgets[self.layers].losses[MEAN] - other)
        return numbers

    def winner(self, strategy: str, budget: int) -> int:
        """Code of the route that serves all tokens best under the strategy, or -1 where tokens or documents differ."""
        if strategy not in ONE_ROUTE:
            return -1
        at = self.budgets[budget]
        tried = at.drawn if strategy == RANDOM_ALL else np.ones_like(at.drawn)
        return int(at.routes[tried][at.route_losses.sum(axis=0)[tried].argmin()])

    def tables(self, estimates: Intervals) -> dict[Any, Any]:
        losses = []
        for row in self.rows(estimates, Loss, "loss"):
            strategy = row["strategy"]
            row |= {"perplexity": exp(row["loss"]), "route": self.winner(strategy, row["budget"])}
            row |= curves.differences(estimates, Loss(strategy, row["budget"]), ALL_BIG, FIXED)
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
            "clusters": self.clusters,
            "tokens": int(self.tokens.sum()),
            "oracle_budget": best,
            "perplexity": {name: exp(estimates[key].value) for name, key in shown.items() if key in estimates},
            "oracle_less": {
                key.reference: interval._asdict()
                for key, interval in estimates.items()
                if isinstance(key, Statistic) and key.family == AT_BEST_BUDGET
            },
        }

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
            tokens, budgets[budget] = summed(selections, route_sums, space)
            for table in strategy_sums:
                budgets[budget] = replace(budgets[budget], losses=by_strategy(table) | budgets[budget].losses)
                words |= dict(zip(*(table[name].to_pylist() for name in ("strategy", "words")), strict=True))
        studies.append(OracleCurves(model, domain, tokens, budgets, space, words))
    return studies


def big_layers(tables: Mapping[int, pa.Table], space: RouteSpace) -> list[BigLayers]:
    """`BigLayers` of every model and domain, from SELECTIONS by budget."""
    first = next(iter(tables.values()))
    studies = []
    for model, domain in product(first["model"].unique().to_pylist(), first["domain"].unique().to_pylist()):
        sums = {budget: big_tokens(part(table, model, domain), space) for budget, table in tables.items()}
        tokens, _ = next(iter(sums.values()))
        studies.append(BigLayers(model, domain, tokens, {budget: big for budget, (_, big) in sums.items()}))
    return studies


FIXED_SLOPE = Statistic("slope", FIXED, words="slope of the best fixed route's loss, nats per big layer")
ALL_BIG_LESS_OTHER = Statistic(
    "difference_from_other_budgets",
    ALL_BIG,
    "other_fixed",
    words="all layers big, less the best fixed route of any other budget",
)
DEPTH_TREND = Statistic(
    "depth_trend",
    ORACLE,
    words="depth bias of the oracle as a share of the largest possible: with a third of the layers big, less with two "
    "thirds",
)
# Whose a curve is, in words; others go by their names.
_WHO = {ORACLE: "the oracle", RANDOM_TOKEN: "the best random routes drawn for each token"}


def random_gap(subject: str = ORACLE) -> Statistic:
    """How far the best random route for all tokens is behind who chooses token by token."""
    words = (
        f"with half of the layers big, best random route for all tokens, less {_WHO.get(subject, subject)}, as a share "
        "of what all layers big gain over all small"
    )
    return Statistic("random_gap", subject, words=words)


def lowest_at_half(subject: str = ORACLE) -> Statistic:
    """How far a curve of losses at half of the layers lies above its lowest point elsewhere; below 0 if half is it."""
    words = (
        f"loss of {_WHO.get(subject, subject)} with half of the layers big, less that at the best other budget, as a "
        "share of how far no or all layers big, the lower of the two, lie above the best budget"
    )
    return Statistic("distance_from_lowest", subject, words=words)


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


def depth_bias(budget: int) -> Statistic:
    """The oracle's share of big in the upper half of the layers, less that in the lower half."""
    return Statistic(
        "depth_bias",
        "oracle",
        budget=budget,
        words=f"depth bias of the oracle at budget {budget}: share of big in the upper layers, less the lower half",
    )


def depth_preference(budget: int) -> Statistic:
    """`depth_bias` as a share of the largest that routes of this budget can have."""
    words = f"depth bias of the oracle at budget {budget}, as a share of the largest possible"
    return Statistic("depth_preference", ORACLE, budget=budget, words=words)


def largest_depth_bias(budget: int | np.ndarray, layers: int) -> float | np.ndarray:
    """Depth bias of the route of this budget whose big layers are the uppermost."""
    half = layers // 2
    return (np.minimum(budget, half) - np.maximum(0, budget - (layers - half))) / half


def upper_less_lower(shares: np.ndarray) -> np.ndarray:
    """[replicates] mean share in the upper half of the layers less that in the lower, of shares [layers, replicates].

    The middle one of an odd number belongs to neither half.
    """
    return (stats.halves(len(shares))[:, None] * shares).sum(axis=0) / max(1, len(shares) // 2)


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
