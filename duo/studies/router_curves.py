"""Routers beside the oracle: losses and layers used, where they spend big layers, and what claims test (figures 3, 4).

Routers are scored hard, at exactly their budget, and soft; the oracle exactly for every token, and on average over a
sequence, as routers are trained. All are of the same tokens, so that differences are paired.

What claims test is of a backbone, over its routers that were trained on the kind of text: then routers of backbones
that differ by their seed alone are replicates.
"""

from collections.abc import Iterable, Mapping
from itertools import product
from math import exp
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from duo import stats
from duo.errors import InputError
from duo.oracle import select
from duo.routers.whole_budgets import oracle_budget
from duo.routes import RouteSpace
from duo.settings import OneRouter
from duo.stats import Intervals, Statistic, Study
from duo.studies import curves, documents, oracle_curves
from duo.studies.documents import by_cluster, clusters_of
from duo.studies.oracle_curves import OracleCurves, largest_depth_bias
from duo.studies.scored_routers import CONSTRAINTS, LayersUsed, RouterLoss, ScoredRouter, scored, shared
from duo.tables.studies import ROUTER_CURVES, ROUTER_HEAT_MAPS, ROUTER_STATISTICS
from duo.terms import ALL_BIG, BIG, EXACT, FIXED, HARD, MEAN, ORACLE, ORACLE_AVERAGE, SKIP
from duo.training import variants

SLOPE = Statistic("slope", "routers", words="slope of the hard routers' loss, nats per big layer that they use")
NEARER_TO_FIXED = Statistic(
    "distance_difference",
    "routers",
    FIXED,
    words="routers' distance to the best fixed route, less their distance to the oracle, mean over budgets",
)
EARLY = 8  # positions that count as early; of a short window its first half
IMPROVEMENT = Statistic(
    "improvement",
    "routers",
    words="what hard routers gain from no to all layers big, by the slope of their loss over the layers that they use, "
    "as a share of what all layers big gain over all small",
)
BETWEEN_FIXED_AND_ORACLE = Statistic(
    "share_of_gain",
    "routers",
    FIXED,
    words="what routers gain over the best fixed route, as a share of what the oracle gains, mean over budgets",
)
_THIRDS = "routers with a third, half and two thirds of the layers big"
DEPTH_PREFERENCE = Statistic(
    "depth_preference", "routers", words=f"{_THIRDS}: depth bias, as a share of the largest possible"
)
EARLY_TOKENS = Statistic(
    "early_tokens", "routers", words=f"{_THIRDS}: share of big at the first {EARLY} positions, less the rest"
)
SKIP_DEPTH = Statistic(
    "skip_depth_preference",
    "routers",
    words="routers that skip: depth bias of the skips, as a share of the largest possible",
)
SKIP_LATE = Statistic(
    "skip_late_bias",
    "routers",
    words="routers that skip: share of skips in the second half of the positions, less the first",
)


class RouterCurves(Study):
    """All routers of one model on one domain, beside the oracle where that model was enumerated.

    clusters [documents]: ids. compared: names of the routers that differ by their whole budgets alone,
    in order of budget. average: by budget, the sums of losses and of big layers [clusters] of the oracle on average.
    """

    stream = ("routing",)

    def __init__(
        self,
        model: str,
        domain: str,
        routers: list[ScoredRouter],
        clusters: np.ndarray,
        compared: Iterable[str],
        oracle: OracleCurves | None,
        average: Mapping[int, tuple[np.ndarray, np.ndarray]],
    ) -> None:
        self.ids = {"model": model, "domain": domain}
        self.routers, self.oracle, self.average = routers, oracle, average
        by_name = {router.name: router for router in routers}
        self._compared = [by_name[name] for name in compared]
        self._by_cluster = stats.Clusters(clusters)
        _, positions, self.layers = routers[0].choices.shape
        self.tokens = self._by_cluster.sums(np.full(len(clusters), positions))
        self.clusters = len(self.tokens)

    def numbers(self, weights: np.ndarray) -> stats.Numbers:
        means, oracle = self.means(weights), self.oracle.means(weights) if self.oracle else {}
        numbers = means | self._paired(means, oracle) | self._slope(means) | self._beside_oracle(means, oracle)
        return numbers | self._biases(weights) | self._preferences(weights)

    def means(self, weights: np.ndarray) -> stats.Numbers:
        """Losses by RouterLoss and layers per token by LayersUsed, each [replicates]."""
        tokens = stats.weighted_sums(weights, self.tokens)

        def mean(sums: np.ndarray) -> np.ndarray:
            return stats.weighted_sums(weights, sums) / tokens

        numbers = {}
        for router in self.routers:
            for kind, losses in router.losses.items():
                key, (big, skipped) = router.key(kind), router.used[kind].T
                numbers[key] = mean(losses)
                numbers |= {LayersUsed(key, BIG): mean(big), LayersUsed(key, SKIP): mean(skipped)}
        for budget, (losses, spent) in self.average.items():
            key = _on_average(budget)
            numbers[key] = mean(losses)
            numbers |= {LayersUsed(key, BIG): mean(spent), LayersUsed(key, SKIP): np.zeros(len(weights))}
        return numbers

    def tables(self, estimates: Intervals) -> dict[Any, Any]:
        return {
            ROUTER_CURVES: [self._curve_row(key, estimates) for key in estimates if isinstance(key, RouterLoss)],
            ROUTER_HEAT_MAPS: self._heat_maps(),
            ROUTER_STATISTICS: self.rows(estimates, Statistic),
        }

    def _paired(self, means: stats.Numbers, oracle: stats.Numbers) -> stats.Numbers:
        """Losses less those of all layers big and, where each token has a budget, of the fixed route of that budget."""
        losses = {key: loss for key, loss in means.items() if isinstance(key, RouterLoss)}
        all_big, fixed = {}, {}
        for key in losses:
            big, same = oracle_curves.Loss(MEAN, self.layers), oracle_curves.Loss(FIXED, key.target)
            all_big |= {key: oracle[big]} if big in oracle else {}
            fixed |= {key: oracle[same]} if key.constraint == EXACT and same in oracle else {}
        return curves.paired(losses, {ALL_BIG: all_big, FIXED: fixed})

    def _slope(self, means: stats.Numbers) -> stats.Numbers:
        """SLOPE, of a straight line through all routers that compare, at the layers that they use; below 0 where more
        compute helps. None for a single router.
        """
        keys = [router.key(HARD) for router in self._compared]
        if len(keys) < 2:
            return {}
        used = np.stack([means[LayersUsed(key, BIG)] for key in keys])
        return {SLOPE: stats.slopes(used, np.stack([means[key] for key in keys]))}

    def _beside_oracle(self, means: stats.Numbers, oracle: stats.Numbers) -> stats.Numbers:
        """Statistics of routers, of those at exactly their budgets but for IMPROVEMENT, and of the oracle on average,
        beside the exact oracle.
        """
        if not oracle:
            return {}
        numbers, distances, shares = {}, [], []
        for router in self._compared:
            loss, budget = means[router.key(EXACT)], oracle_budget(router.settings)
            fixed, lowest = (oracle[oracle_curves.Loss(strategy, budget)] for strategy in (FIXED, ORACLE))
            distances.append(abs(loss - fixed) - abs(loss - lowest))
            shares.append(_share(fixed - loss, fixed - lowest))
        if shares:
            numbers |= {NEARER_TO_FIXED: np.mean(distances, axis=0), BETWEEN_FIXED_AND_ORACLE: np.mean(shares, axis=0)}
        slope, ends = self._slope(means), [oracle_curves.Loss(MEAN, budget) for budget in (0, self.layers)]
        if slope and set(ends) <= set(oracle):
            small, big = (oracle[end] for end in ends)
            numbers[IMPROVEMENT] = _share(-slope[SLOPE] * self.layers, small - big)
        for budget in self.average:
            exact = oracle[oracle_curves.Loss(ORACLE, budget)]
            numbers[average_less_exact(budget)] = means[_on_average(budget)] - exact
        return numbers

    def _biases(self, weights: np.ndarray) -> stats.Numbers:
        """Where each router's hard routes are big, and where they skip, by halves of layers and positions."""
        numbers = {}
        for router in self.routers:
            depth, late = self._half_differences(router.share(BIG), weights)
            numbers |= {depth_bias(router.name): depth, early_bias(router.name): -late}
            if SKIP in router.settings.choices:
                depth, late = self._half_differences(router.share(SKIP), weights)
                numbers |= {skip_depth_bias(router.name): depth, skip_late_bias(router.name): late}
        return numbers

    def _preferences(self, weights: np.ndarray) -> stats.Numbers:
        """DEPTH_PREFERENCE and EARLY_TOKENS, SKIP_DEPTH and SKIP_LATE, of hard routes; each the mean over its routers,
        where there are any.
        """
        thirds = (self.layers // 3, self.layers // 2, self.layers - self.layers // 3)
        big = [router.share(BIG) for router in self._compared if router.settings.big in thirds]
        skips = [
            router.share(SKIP)
            for router in self.routers
            if SKIP in router.settings.choices and variants.learns_from(router.settings, self.ids["domain"])
        ]
        numbers = {}
        if big:
            early = early_weights(big[0].shape[2])
            numbers[DEPTH_PREFERENCE] = np.mean([self._depth_preference(share, weights) for share in big], axis=0)
            numbers[EARLY_TOKENS] = np.mean([self._mean(share.mean(axis=1) @ early, weights) for share in big], axis=0)
        if skips:
            numbers[SKIP_DEPTH] = np.mean([self._depth_preference(share, weights) for share in skips], axis=0)
            numbers[SKIP_LATE] = np.mean([self._half_differences(share, weights)[1] for share in skips], axis=0)
        return numbers

    def _half_differences(self, share: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Of share [documents, layers, positions]: upper less lower half of the layers, second less first half of the
        positions, each [replicates].

        The middle one of an odd number belongs to neither half.
        """
        _, layers, positions = share.shape
        depth, late = share.mean(axis=2) @ half_weights(layers), share.mean(axis=1) @ half_weights(positions)
        return self._mean(depth, weights), self._mean(late, weights)

    def _depth_preference(self, share: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """[replicates] depth bias of share [documents, layers, positions], over the largest that tokens can have which
        choose as often as these.
        """
        layers = share.shape[1]
        bias = share.mean(axis=2) @ half_weights(layers)
        largest = largest_depth_bias(share.sum(axis=1), layers).mean(axis=1)
        return _share(self._mean(bias, weights), self._mean(largest, weights))

    def _mean(self, values: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """[replicates] mean of values [documents]; all documents have as many tokens."""
        total, count = (
            stats.weighted_sums(weights, self._by_cluster.sums(each)) for each in (values, np.ones(len(values)))
        )
        return total / count

    def _curve_row(self, key: RouterLoss, estimates: Intervals) -> dict[str, Any]:
        (row,) = self.rows({key: estimates[key]}, RouterLoss, "loss")
        used = {choice: estimates[LayersUsed(key, choice)].value for choice in (BIG, SKIP)}
        row |= used | {"perplexity": exp(row["loss"])}
        return row | curves.differences(estimates, key, ALL_BIG, FIXED)

    def _heat_maps(self) -> pa.Table:
        """ROUTER_HEAT_MAPS: big, and skip where a router may skip."""
        parts = []
        for router in self.routers:
            for choice in (BIG, SKIP):
                if choice in router.settings.choices:
                    share = router.share(choice).mean(axis=0)
                    layers, positions = share.shape
                    ids = {"router": router.name, "domain": self.ids["domain"], "choice": choice}
                    columns = {name: pa.repeat(value, share.size) for name, value in ids.items()}
                    columns["layer"] = np.repeat(np.arange(layers), positions)
                    columns["position"] = np.tile(np.arange(positions), layers)
                    parts.append(pa.table(columns | {"share": share.ravel()}))
        return pa.concat_tables(parts)


def average_less_exact(budget: int) -> Statistic:
    """The oracle's loss where its budget is a sequence's, less that where it is every token's."""
    words = f"oracle with {budget} big layers on average over the sequence, less exactly as many for each token"
    return Statistic("difference", ORACLE_AVERAGE, ORACLE, budget, words=words)


def depth_bias(router: str) -> Statistic:
    """A router's share of big in the upper half of the layers, less that in the lower half."""
    words = f"depth bias of router {router}: share of big in the upper half of the layers, less the lower half"
    return Statistic("depth_bias", router, words=words)


def early_bias(router: str) -> Statistic:
    """A router's share of big in the first half of the positions, less that in the second half."""
    words = f"early bias of router {router}: share of big in the first half of the positions, less the second half"
    return Statistic("early_bias", router, words=words)


def skip_depth_bias(router: str) -> Statistic:
    """A router's share of skips in the upper half of the layers, less that in the lower half."""
    words = f"depth bias of the skips of router {router}: their share in the upper half of the layers, less the lower"
    return Statistic("skip_depth_bias", router, words=words)


def skip_late_bias(router: str) -> Statistic:
    """A router's share of skips in the second half of the positions, less that in the first half."""
    words = (
        f"late bias of the skips of router {router}: their share in the second half of the positions, less the first"
    )
    return Statistic("skip_late_bias", router, words=words)


def half_weights(count: int) -> np.ndarray:
    """[count] weights of the mean of the upper half less the mean of the lower; 0 for the middle one."""
    return stats.halves(count) / max(1, count // 2)


def early_weights(count: int) -> np.ndarray:
    """[count] weights of the mean of the EARLY first, or of half of few, less the mean of the rest."""
    early = np.arange(count) < min(EARLY, count // 2)
    return early / max(1, early.sum()) - ~early / (~early).sum()


def _share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """[replicates] part of a whole; 0 where there is none."""
    return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)


def _on_average(budget: int) -> RouterLoss:
    return RouterLoss(ORACLE, ORACLE_AVERAGE, CONSTRAINTS[ORACLE_AVERAGE], float(budget))


def gather(
    routers: Mapping[str, OneRouter],
    routed: Mapping[str, pa.Table],
    oracle: Mapping[int, tuple[pa.Table, pa.Table]],
    layers: int,
) -> list[RouterCurves]:
    """The study of every model and domain, from ROUTED by router and (SELECTIONS, ROUTE_SUMS) by budget.

    InputError where a router was scored on other documents than the oracle.
    """
    oracles = {tuple(study.ids.values()): study for study in oracle_curves.gather(oracle, RouteSpace(layers))}
    models = list(dict.fromkeys(router.model for router in routers.values()))
    studies = []
    domains = next(iter(routed.values()))["domain"].unique().to_pylist()
    compared = {domain: shared(routers, domain) for domain in domains}
    for model, domain in product(models, domains):
        tables = {
            name: routed[name].filter(pc.equal(routed[name]["domain"], domain))
            for name, router in routers.items()
            if router.model == model
        }
        found = [scored(name, routers[name], table, layers) for name, table in tables.items()]
        clusters = clusters_of(next(iter(tables.values())))
        average = {}
        if (model, domain) in oracles:
            names, losses = _oracle_losses(oracle, model, domain)
            _check_same(found, names, domain)
            totals = [by_cluster(clusters, each) for each in select.on_average(losses, list(oracle), list(oracle))]
            average = {budget: tuple(total[:, at] for total in totals) for at, budget in enumerate(oracle)}
        beside = oracles.get((model, domain))
        studies.append(RouterCurves(model, domain, found, clusters, compared[domain][model], beside, average))
    return studies


def _oracle_losses(
    oracle: Mapping[int, tuple[pa.Table, pa.Table]], model: str, domain: str
) -> tuple[np.ndarray, np.ndarray]:
    """Ids of the documents, ascending, and the oracle's losses [documents, tokens, budgets]."""
    columns = []
    for selections, *_ in oracle.values():
        rows = documents.part(selections, model, domain)
        names = np.unique(rows["document"].to_numpy())
        columns.append(rows["oracle_loss"].to_numpy().astype(np.float64).reshape(len(names), -1))
    return names, np.stack(columns, axis=2)


def _check_same(routers: list[ScoredRouter], documents: np.ndarray, domain: str) -> None:
    for router in routers:
        if not np.array_equal(router.documents, documents):
            raise InputError(f"router {router.name}: scored on other documents of domain {domain!r} than the oracle")
