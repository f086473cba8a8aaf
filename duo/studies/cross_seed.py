"""Is the choice of a route worth anything to another model, and that of the fixed route to other documents?

Models that differ by their seed alone have the same tokens in front of them. What one's oracle chose for a token,
scored by another, keeps of its gain what lies in the token, its label and the depth of the layers, and loses what
lies in one model's weights.

The fixed route of a cluster was chosen on others (duo.stats.cross_fitted). Beside it stands the one that was chosen on
the very tokens that it is scored on, as the paper chooses: what it gains over the former it does not keep elsewhere.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from math import comb, exp
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from duo import stats
from duo.oracle import select
from duo.routes import RouteSpace
from duo.stats import Intervals, Statistic, Study
from duo.studies import curves
from duo.studies.documents import by_cluster
from duo.studies.oracle_curves import OracleCurves
from duo.tables.studies import CROSS_SEED, CROSS_SEED_MEANS, CROSS_SEED_STATISTICS
from duo.terms import ALL_BIG, FIXED, MEAN

# Whose choice a route is: the oracle of the model itself, that of another; one route for all tokens, chosen on other
# clusters (FIXED), or on the tokens that it is scored on; nobody's, the mean over all routes (MEAN).
OWN, OTHER, IN_SAMPLE = "own", "other", "in_sample"
SINGLE = (FIXED, IN_SAMPLE, MEAN)
STRATEGIES = {
    OTHER: "routes that other seeds' oracles chose",
    FIXED: "fixed route, which was chosen on other documents",
    IN_SAMPLE: "fixed route that was chosen on the same documents",
    MEAN: "mean of all routes",
    ALL_BIG: "all layers big",
}

OTHER_BUDGET = Statistic("best_budget", OTHER, words="best budget for routes that other seeds' oracles chose")

Choices = dict[tuple[str, str, str], np.ndarray]  # by (chooser, domain, document): codes [budgets, tokens]
# By (domain, chooser, scorer, cluster, document): sums of losses [budgets], nats.
Scores = dict[tuple[str, str, str, str, str], np.ndarray]


@dataclass(frozen=True)
class PairLoss:
    """Key of the mean loss of the routes that one model's oracle chose, under another model."""

    chooser: str
    scorer: str
    budget: int


@dataclass(frozen=True)
class MeanLoss:
    """Key of a strategy's loss, mean over the scorers; that of OTHER over all pairs of two models."""

    strategy: str
    budget: int


@dataclass(frozen=True)
class OfScorer:
    """Key of a statistic of one model, which scores."""

    model: str
    statistic: Statistic


def choices(selections: Mapping[int, pa.Table]) -> Choices:
    """The routes that every model's oracle chose, from SELECTIONS by budget."""
    chosen: dict[tuple[str, str, str], list[np.ndarray]] = {}
    for table in selections.values():
        for model in table["model"].unique().to_pylist():
            part = table.filter(pc.equal(table["model"], model))
            routes = part["oracle_route"].to_numpy()
            for domain, document, rows in select.documents(part):
                chosen.setdefault((model, domain, document), []).append(routes[rows])
    return {key: np.stack(routes) for key, routes in chosen.items()}


def score(scorer: str, losses: pa.Table, chosen: Choices, space: RouteSpace) -> Scores:
    """What the choices cost under a model, from a shard of its ROUTE_LOSSES."""
    choosers = dict.fromkeys(chooser for chooser, *_ in chosen)
    scores = {}
    for domain, document, rows, part in select.by_document(losses, space):
        cluster = losses["cluster"][rows.start].as_py()
        for chooser in choosers:
            taken = np.take_along_axis(part.T, chosen[chooser, domain, document], axis=0)
            scores[domain, chooser, scorer, cluster, document] = taken.sum(axis=1, dtype=np.float64)
    return scores


class CrossSeed(Study):
    """One domain of all models: sums of losses [clusters, budgets] in nats, clusters in order of id.

    pairs: by (chooser, scorer). single: by (one of SINGLE, scorer). All choices stay as they are; clusters are
    resampled, the same ones for all models.
    """

    stream = ("cross-seed",)

    def __init__(
        self,
        domain: str,
        layers: int,
        budgets: list[int],
        tokens: np.ndarray,
        pairs: dict[tuple[str, str], np.ndarray],
        single: dict[tuple[str, str], np.ndarray],
    ) -> None:
        self.ids = {"domain": domain}
        self.layers, self.budgets, self.tokens, self.pairs, self.single = layers, budgets, tokens, pairs, single
        self.clusters = len(tokens)

    def numbers(self, weights: np.ndarray) -> stats.Numbers:
        tokens = stats.weighted_sums(weights, self.tokens)[:, None]
        pairs, single = (
            {key: stats.weighted_sums(weights, sums) / tokens for key, sums in group.items()}
            for group in (self.pairs, self.single)
        )
        numbers = {
            PairLoss(chooser, scorer, budget): part
            for (chooser, scorer), losses in pairs.items()
            for budget, part in self._by_budget(losses)
        }
        by_scorer = {scorer: _strategies(scorer, pairs, single) for _, scorer in pairs}
        for strategy in next(iter(by_scorer.values())):
            mean = np.mean([losses[strategy] for losses in by_scorer.values()], axis=0)
            numbers |= {MeanLoss(strategy, budget): part for budget, part in self._by_budget(mean)}
        means = {key: loss for key, loss in numbers.items() if isinstance(key, MeanLoss)}
        numbers |= curves.paired(means, {FIXED: {key: means[MeanLoss(FIXED, key.budget)] for key in means}})
        for scorer, strategies in by_scorer.items():
            losses = {
                (strategy, budget): part
                for strategy, means in strategies.items()
                for budget, part in self._by_budget(means)
            }
            compared = contrasts(losses, self.budgets, self.layers)
            numbers |= {OfScorer(scorer, statistic): value for statistic, value in compared.items()}
        return numbers

    def tables(self, estimates: Intervals) -> dict[Any, Any]:
        losses = {
            table: [row | {"perplexity": exp(row["loss"])} for row in self.rows(estimates, kind, "loss")]
            for table, kind in {CROSS_SEED: PairLoss, CROSS_SEED_MEANS: MeanLoss}.items()
        }
        for row in losses[CROSS_SEED_MEANS]:
            row |= curves.differences(estimates, MeanLoss(row["strategy"], row["budget"]), FIXED)
        statistics = [
            {"model": key.model} | row
            for key, interval in estimates.items()
            if isinstance(key, OfScorer)
            for row in self.rows({key.statistic: interval}, Statistic)
        ]
        return losses | {CROSS_SEED_STATISTICS: statistics}

    def _by_budget(self, losses: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
        return zip(self.budgets, losses.T, strict=True)


def _strategies(scorer: str, pairs: stats.Numbers, single: stats.Numbers) -> stats.Numbers:
    """[replicates, budgets] losses under one model by strategy; OTHER is the mean over the other choosers, if any."""
    others = [losses for (chooser, scored), losses in pairs.items() if scored == scorer != chooser]
    strategies = {OWN: pairs[scorer, scorer]} | ({OTHER: np.mean(others, axis=0)} if others else {})
    return strategies | {strategy: single[strategy, scorer] for strategy in SINGLE}


def gather(models: Sequence[OracleCurves], scores: Scores) -> list[CrossSeed]:
    """The study of every domain, from the oracle's curves of all models and every `score` of them."""
    studies = []
    for name in dict.fromkeys(model.ids["domain"] for model in models):
        by_model = {model.ids["model"]: model for model in models if model.ids["domain"] == name}
        places = sorted({(cluster, document) for domain, _, _, cluster, document in scores if domain == name})
        clusters = np.array([cluster for cluster, _ in places])
        pairs = {
            pair: by_cluster(clusters, np.stack([scores[name, *pair, *place] for place in places]))
            for pair in product(by_model, repeat=2)
        }
        single = {}
        for scorer, model in by_model.items():
            by_budget = [
                (at.losses[FIXED], at.route_losses[:, at.route_losses.sum(axis=0).argmin()], at.losses[MEAN])
                for at in model.budgets.values()
            ]
            single |= {
                (strategy, scorer): np.stack(sums, axis=1)
                for strategy, sums in zip(SINGLE, zip(*by_budget, strict=True), strict=True)
            }
        studies.append(CrossSeed(name, model.layers, list(model.budgets), model.tokens, pairs, single))
    return studies


def contrasts(losses: stats.Numbers, budgets: list[int], layers: int) -> stats.Numbers:
    """What one model's losses by (strategy, budget) say at every budget that has a choice; each [replicates].

    Those on OTHER need a second model.
    """
    numbers = {}
    for budget in (budget for budget in budgets if comb(layers, budget) > 1):
        own, fixed = losses[OWN, budget], losses[FIXED, budget]
        numbers[difference(FIXED, IN_SAMPLE, budget)] = fixed - losses[IN_SAMPLE, budget]
        if (OTHER, budget) in losses:
            other, gain = losses[OTHER, budget], fixed - own
            numbers[difference(FIXED, OTHER, budget)] = fixed - other
            numbers[transfer(budget)] = np.divide(fixed - other, gain, out=np.zeros_like(own), where=gain > 0)
            numbers[difference(MEAN, OTHER, budget)] = losses[MEAN, budget] - other
            numbers[difference(OTHER, ALL_BIG, budget)] = other - losses[OWN, layers]
    if (OTHER, budgets[0]) in losses:
        best = np.argmin([losses[OTHER, budget] for budget in budgets], axis=0)
        numbers[OTHER_BUDGET] = np.array(budgets, np.float64)[best]
    return numbers


def difference(subject: str, reference: str, budget: int) -> Statistic:
    """The loss of a strategy at a budget, less that of another there, or less all layers big.

    FIXED less IN_SAMPLE: what a fixed route seems to gain by being chosen on the tokens that it serves. FIXED less
    OTHER: what choosing token by token gains though another model chose; MEAN less OTHER: what that gains over any
    route.
    """
    words = f"{STRATEGIES[subject]} at budget {budget}, less {STRATEGIES[reference]}"
    return Statistic("difference", subject, reference, budget, words=words)


def transfer(budget: int) -> Statistic:
    """The part of the oracle's gain over the fixed route that is left where another seed's oracle chose."""
    words = f"share of the oracle's gain over fixed at budget {budget} that is left with routes of other seeds' oracles"
    return Statistic("transfer", OTHER, FIXED, budget, words=words)
