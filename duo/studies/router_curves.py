"""Routers beside the oracle: losses and layers used, where they spend big layers, and what claims test (figures 3, 4).

Routers are scored hard, at exactly their budget, and soft; the oracle exactly for every token, and on average over a
sequence, as routers are trained. All are of the same tokens, so that differences are paired.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import exp
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from duo import stats
from duo.errors import InputError
from duo.oracle import select
from duo.routers.whole_budgets import comparable, oracle_budget
from duo.routes import RouteSpace
from duo.settings import OneRouter
from duo.stats import Intervals, Statistic, Study
from duo.studies import oracle_curves
from duo.studies.oracle_curves import OracleCurves
from duo.tables.studies import ROUTER_CURVES, ROUTER_HEAT_MAPS, ROUTER_STATISTICS
from duo.terms import AVERAGE, BIG, EXACT, FIXED, HARD, ORACLE, ORACLE_AVERAGE, SKIP, SOFT

CONSTRAINTS = {HARD: AVERAGE, SOFT: AVERAGE, EXACT: EXACT, ORACLE_AVERAGE: AVERAGE}  # by kind of scoring

SLOPE = Statistic("slope", "routers", words="slope of the hard routers' loss, nats per big layer that they use")
NEARER_TO_FIXED = Statistic(
    "distance_difference",
    "routers",
    FIXED,
    words="routers' distance to the best fixed route, less their distance to the oracle, mean over budgets",
)


@dataclass(frozen=True)
class RouterLoss:
    """Key of a router's mean loss under one kind of scoring; target: the big layers per token asked for."""

    router: str
    kind: str
    constraint: str
    target: float


@dataclass(frozen=True)
class LayersUsed:
    """Key of how many layers per token take a choice, beside that loss."""

    loss: RouterLoss
    choice: str


@dataclass(frozen=True)
class ScoredRouter:
    """What one router does on one domain, by document."""

    name: str
    settings: OneRouter
    documents: np.ndarray  # ids, ascending
    losses: dict[str, np.ndarray]  # kind: [documents] sums, nats
    used: dict[str, np.ndarray]  # kind: [documents, 2] sums of big and of skipped layers
    choices: np.ndarray  # [documents, positions, layers] index in settings.choices, routed hard

    def key(self, kind: str) -> RouterLoss:
        return RouterLoss(self.name, kind, CONSTRAINTS[kind], float(self.settings.big))

    def share(self, choice: str) -> np.ndarray:
        """[documents, layers, positions] 1 where the hard route takes the choice, else 0."""
        return (self.choices == self.settings.choices.index(choice)).swapaxes(1, 2).astype(np.float64)


class RouterCurves(Study):
    """All routers of one model on one domain, beside the oracle where that model was enumerated.

    tokens [documents]. average: by budget, the sums of losses and of big layers [documents] of the oracle on average.
    """

    stream = ("routing",)

    def __init__(
        self,
        model: str,
        domain: str,
        routers: list[ScoredRouter],
        tokens: np.ndarray,
        oracle: OracleCurves | None,
        average: Mapping[int, tuple[np.ndarray, np.ndarray]],
    ) -> None:
        self.ids = {"model": model, "domain": domain}
        self.routers, self.tokens, self.oracle, self.average = routers, tokens, oracle, average
        self.clusters = len(tokens)

    def numbers(self, weights: np.ndarray) -> stats.Numbers:
        means = self.means(weights)
        return means | self._slope(means) | self._beside_oracle(means, weights) | self._biases(weights)

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

    def _compared(self) -> list[ScoredRouter]:
        """The routers that differ by their whole budgets alone, in order of budget."""
        by_name = {router.name: router for router in self.routers}
        return [by_name[name] for name in comparable({name: router.settings for name, router in by_name.items()})]

    def _slope(self, means: stats.Numbers) -> stats.Numbers:
        """SLOPE, of a straight line through all routers that compare, at the layers that they use; below 0 where more
        compute helps. None for a single router.
        """
        keys = [router.key(HARD) for router in self._compared()]
        if len(keys) < 2:
            return {}
        used = np.stack([means[LayersUsed(key, BIG)] for key in keys])
        return {SLOPE: stats.slopes(used, np.stack([means[key] for key in keys]))}

    def _beside_oracle(self, means: stats.Numbers, weights: np.ndarray) -> stats.Numbers:
        """Statistics of routers at exactly their budgets, and of the oracle on average, beside the exact oracle.

        NEARER_TO_FIXED is below 0 where routers are nearer to fixed, whose route is chosen anew in each replicate.
        """
        if not self.oracle:
            return {}
        oracle, numbers, distances = self.oracle.means(weights), {}, []
        for router in self._compared():
            loss, budget = means[router.key(EXACT)], oracle_budget(router.settings)
            fixed, lowest = (oracle[oracle_curves.Loss(strategy, budget)] for strategy in (FIXED, ORACLE))
            distances.append(abs(loss - fixed) - abs(loss - lowest))
        if distances:
            numbers[NEARER_TO_FIXED] = np.mean(distances, axis=0)
        for budget in self.average:
            exact = oracle[oracle_curves.Loss(ORACLE, budget)]
            numbers[average_less_exact(budget)] = means[_on_average(budget)] - exact
        return numbers

    def _biases(self, weights: np.ndarray) -> stats.Numbers:
        """Where each router's hard routes are big, and where they skip, by halves of layers and positions."""
        numbers = {}
        for router in self.routers:
            depth, early = _half_differences(router.share(BIG), weights)
            numbers |= {depth_bias(router.name): depth, early_bias(router.name): early}
            if SKIP in router.settings.choices:
                depth, early = _half_differences(router.share(SKIP), weights)
                numbers |= {skip_depth_bias(router.name): depth, skip_late_bias(router.name): -early}
        return numbers

    def _curve_row(self, key: RouterLoss, estimates: Intervals) -> dict[str, Any]:
        (row,) = self.rows({key: estimates[key]}, RouterLoss, "loss")
        used = {choice: estimates[LayersUsed(key, choice)].value for choice in (BIG, SKIP)}
        return row | used | {"perplexity": exp(row["loss"])}

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


def _half_differences(share: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of share [documents, layers, positions]: upper less lower half of the layers, first less second half of the
    positions, each [replicates].

    The middle one of an odd number belongs to neither half.
    """
    _, layers, positions = share.shape
    by_document = (share.mean(axis=2) @ half_weights(layers), share.mean(axis=1) @ -half_weights(positions))
    documents = weights.sum(axis=1)
    depth, early = (stats.weighted_sums(weights, differences) / documents for differences in by_document)
    return depth, early


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
    studies = []
    for model in dict.fromkeys(router.model for router in routers.values()):
        for domain in next(iter(routed.values()))["domain"].unique().to_pylist():
            scored = [
                _scored(name, router, routed[name].filter(pc.equal(routed[name]["domain"], domain)), layers)
                for name, router in routers.items()
                if router.model == model
            ]
            average = {}
            if (model, domain) in oracles:
                documents, losses = _oracle_losses(oracle, model, domain)
                _check_same(scored, documents, domain)
                sums, spent = select.on_average(losses, list(oracle), list(oracle))
                average = {budget: (sums[:, column], spent[:, column]) for column, budget in enumerate(oracle)}
            documents, positions, _ = scored[0].choices.shape
            tokens = np.full(documents, positions)
            studies.append(RouterCurves(model, domain, scored, tokens, oracles.get((model, domain)), average))
    return studies


def _scored(name: str, settings: OneRouter, table: pa.Table, layers: int) -> ScoredRouter:
    """One router on one domain, from its ROUTED. Every document has the same positions."""
    space = RouteSpace(layers, tuple(settings.choices))
    documents = np.unique(table["document"].to_numpy())
    losses, used = {}, {}
    for kind in table["kind"].unique().to_pylist():
        rows = _in_order(table.filter(pc.equal(table["kind"], kind)))
        columns = {
            column: rows[column].to_numpy().astype(np.float64).reshape(len(documents), -1)
            for column in ("loss", BIG, SKIP)
        }
        losses[kind] = columns["loss"].sum(axis=1)
        used[kind] = np.stack([columns[choice].sum(axis=1) for choice in (BIG, SKIP)], axis=1)
        if kind == HARD:
            choices = space.decode(rows["route"].to_numpy()).reshape(len(documents), -1, layers)
    return ScoredRouter(name, settings, documents, losses, used, choices)


def _oracle_losses(
    oracle: Mapping[int, tuple[pa.Table, pa.Table]], model: str, domain: str
) -> tuple[np.ndarray, np.ndarray]:
    """Ids of the documents, ascending, and the oracle's losses [documents, tokens, budgets]."""
    columns = []
    for selections, *_ in oracle.values():
        mask = pc.and_(pc.equal(selections["model"], model), pc.equal(selections["domain"], domain))
        rows = _in_order(selections.filter(mask))
        documents = np.unique(rows["document"].to_numpy())
        columns.append(rows["oracle_loss"].to_numpy().astype(np.float64).reshape(len(documents), -1))
    return documents, np.stack(columns, axis=2)


def _in_order(rows: pa.Table) -> pa.Table:
    return rows.sort_by([("document", "ascending"), ("position", "ascending")])


def _check_same(routers: list[ScoredRouter], documents: np.ndarray, domain: str) -> None:
    for router in routers:
        if not np.array_equal(router.documents, documents):
            raise InputError(f"router {router.name}: scored on other documents of domain {domain!r} than the oracle")
