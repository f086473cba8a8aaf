"""What each of the paper's routers does on one domain, from its table, and which of them can be compared."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from duo.routers.whole_budgets import comparable
from duo.routes import RouteSpace
from duo.settings import OneRouter
from duo.studies.documents import by_cluster, clusters_of, in_order
from duo.terms import AVERAGE, BIG, EXACT, HARD, ORACLE_AVERAGE, SKIP, SOFT
from duo.training import variants

CONSTRAINTS = {HARD: AVERAGE, SOFT: AVERAGE, EXACT: EXACT, ORACLE_AVERAGE: AVERAGE}  # by kind of scoring


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
    """What one router does on one domain, by cluster and by document."""

    name: str
    settings: OneRouter
    documents: np.ndarray  # ids, ascending
    losses: dict[str, np.ndarray]  # kind: [clusters] sums, nats
    used: dict[str, np.ndarray]  # kind: [clusters, 2] sums of big and of skipped layers
    choices: np.ndarray  # [documents, positions, layers] index in settings.choices, routed hard

    def key(self, kind: str) -> RouterLoss:
        return RouterLoss(self.name, kind, CONSTRAINTS[kind], float(self.settings.big))

    def share(self, choice: str) -> np.ndarray:
        """[documents, layers, positions] 1 where the hard route takes the choice, else 0."""
        return (self.choices == self.settings.choices.index(choice)).swapaxes(1, 2).astype(np.float64)


def shared(routers: Mapping[str, OneRouter], domain: str) -> dict[str, list[str]]:
    """By model, the names of its routers that compare, in order of budget, of those trained on the domain.

    Of models that have any, it is those of the budgets that all of them have, so that the models are replicates.
    """
    models = dict.fromkeys(router.model for router in routers.values())
    names = {
        model: comparable({n: r for n, r in routers.items() if r.model == model and variants.learns_from(r, domain)})
        for model in models
    }
    budgets = [{routers[name].big for name in each} for each in names.values() if each]
    common = set.intersection(*budgets) if budgets else set()
    return {model: [name for name in each if routers[name].big in common] for model, each in names.items()}


def scored(name: str, settings: OneRouter, table: pa.Table, layers: int) -> ScoredRouter:
    """One router on one domain, from its ROUTED. Every document has the same positions."""
    space = RouteSpace(layers, tuple(settings.choices))
    documents, clusters = np.unique(table["document"].to_numpy()), clusters_of(table)
    losses, used = {}, {}
    for kind in table["kind"].unique().to_pylist():
        rows = in_order(table.filter(pc.equal(table["kind"], kind)))
        columns = {
            column: rows[column].to_numpy().astype(np.float64).reshape(len(documents), -1)
            for column in ("loss", BIG, SKIP)
        }
        losses[kind], *chosen = (by_cluster(clusters, columns[name].sum(axis=1)) for name in ("loss", BIG, SKIP))
        used[kind] = np.stack(chosen, axis=1)
        if kind == HARD:
            choices = space.decode(rows["route"].to_numpy()).reshape(len(documents), -1, layers)
    return ScoredRouter(name, settings, documents, losses, used, choices)
