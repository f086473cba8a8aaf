"""Is the choice of a route worth anything to another model, and that of the fixed route to other documents? (PAPER.md: cross-seed.)

Models that differ by their seed alone have the same tokens in front of them. What one's oracle chose for a token, scored by another,
keeps of its gain what lies in the token, its label and the depth of the layers, and loses what lies in one model's weights.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from math import comb, exp

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from duo import evaluate, oracle, seeds, stats
from duo.routes import RouteSpace

SPLITS = 20  # random halvings of the documents that the held-out fixed route is averaged over
# Whose choice a route is: the oracle of the model itself, that of another; one route for all tokens, chosen on all documents, or on others.
OWN, OTHER, FIXED, HELD_OUT = "own", "other", "fixed", "held_out"

Choices = dict[tuple[str, str, str], np.ndarray]  # by (chooser, domain, document): codes [budgets, tokens]
Scores = dict[tuple[str, str, str, str], np.ndarray]  # by (domain, chooser, scorer, document): sums of losses [budgets], nats


def choices(selections: Mapping[int, pa.Table]) -> Choices:
    """The routes that every model's oracle chose, from SELECTIONS by budget."""
    found: dict[tuple[str, str, str], list[np.ndarray]] = {}
    for table in selections.values():
        for model in table["model"].unique().to_pylist():
            mine = table.filter(pc.equal(table["model"], model))
            routes = mine["oracle_route"].to_numpy()
            for domain, document, rows in oracle.documents(mine):
                found.setdefault((model, domain, document), []).append(routes[rows])
    return {key: np.stack(routes) for key, routes in found.items()}


def score(scorer: str, losses: pa.Table, chosen: Choices, space: RouteSpace) -> Scores:
    """What the choices cost under a model, from a shard of its LOSSES."""
    choosers = dict.fromkeys(chooser for chooser, *_ in chosen)
    found = {}
    for domain, document, _, part in oracle.by_document(losses, space):
        for chooser in choosers:
            taken = np.take_along_axis(part.T, chosen[chooser, domain, document], axis=0)
            found[domain, chooser, scorer, document] = taken.sum(axis=1, dtype=np.float64)
    return found


@dataclass(frozen=True)
class Domain:
    """One domain of all models; documents in order of id, as evaluate has them."""

    name: str
    models: dict[str, evaluate.Domain]  # by name
    scores: dict[tuple[str, str], np.ndarray]  # by (chooser, scorer): sums of losses [documents, budgets], nats
    halves: np.ndarray  # [splits, documents] bool: the documents of one half

    @property
    def budgets(self) -> list[int]:
        return list(next(iter(self.models.values())).budgets)

    def numbers(self, weights: np.ndarray, layers: int) -> stats.Numbers:
        """Losses in nats, each [replicates]: of ("pair", chooser, scorer, budget), of ("mean", strategy, budget) over the scorers, of
        OTHER over the pairs; and contrasts by ("contrast", scorer, name)."""
        pairs = {}
        for (chooser, scorer), sums in self.scores.items():
            losses = stats.weighted_sums(weights, sums) / self._tokens(weights)[:, None]
            pairs |= {(chooser, scorer, budget): part for budget, part in zip(self.budgets, losses.T, strict=True)}
        by_scorer = {scorer: self._strategies(scorer, pairs, weights) for scorer in self.models}
        found = {("pair", *key): loss for key, loss in pairs.items()}
        for key in next(iter(by_scorer.values())):
            found["mean", *key] = np.mean([losses[key] for losses in by_scorer.values()], axis=0)
        for scorer, losses in by_scorer.items():
            found |= {("contrast", scorer, name): value for name, value in contrasts(losses, self.budgets, layers).items()}
        return found

    def intervals(self, layers: int, resamples: int, confidence: float, seed: int) -> dict:
        """`numbers`, each an Interval. Same seed, same replicates, all models' documents drawn together."""
        documents, rng = self.halves.shape[1], seeds.stream(seed, "cross-seed")
        return stats.intervals(lambda weights: self.numbers(weights, layers), documents, resamples, confidence, rng)

    def _tokens(self, weights: np.ndarray) -> np.ndarray:
        return stats.weighted_sums(weights, next(iter(self.models.values())).tokens)

    def _strategies(self, scorer: str, pairs: stats.Numbers, weights: np.ndarray) -> stats.Numbers:
        """[replicates] losses under one model by (strategy, budget); OTHER, the mean over the other models, where there are any."""
        tokens, others = self._tokens(weights), [chooser for chooser in self.models if chooser != scorer]
        found = {}
        for budget, at in self.models[scorer].budgets.items():
            found[OWN, budget] = pairs[scorer, scorer, budget]
            if others:
                found[OTHER, budget] = np.mean([pairs[chooser, scorer, budget] for chooser in others], axis=0)
            fixed, held_out = fixed_routes(weights, at.route_losses, self.halves)
            found |= {(FIXED, budget): fixed / tokens, (HELD_OUT, budget): held_out / tokens}
        return found


def domains(models: list[evaluate.Domain], scores: Scores, seed: int) -> list[Domain]:
    """Every domain, from evaluate.domains of all models and every `score` of them."""
    found = []
    for name in dict.fromkeys(domain.name for domain in models):
        mine = {domain.model: domain for domain in models if domain.name == name}
        documents = sorted({document for domain, _, _, document in scores if domain == name})
        pairs = {pair: np.stack([scores[name, *pair, document] for document in documents]) for pair in product(mine, repeat=2)}
        found.append(Domain(name, mine, pairs, halves(len(documents), seeds.stream(seed, "split half", name))))
    return found


def halves(documents: int, rng: np.random.Generator) -> np.ndarray:
    """[SPLITS, documents] bool: a random half of the documents, the smaller where their number is odd."""
    return np.stack([rng.permutation(documents) < documents // 2 for _ in range(SPLITS)])


def fixed_routes(weights: np.ndarray, losses: np.ndarray, halves: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """[replicates] total loss of the best single route, and of single routes chosen on other documents than they serve.

    losses [documents, routes] in nats; halves [splits, documents]. For the latter, each half of the documents is served by the route
    that is best for the other half, and the total is averaged over the splits. A document drawn twice is twice in one half, so nothing
    leaks. As a half chooses worse than the whole, the difference is, in expectation, no less than what the whole gains by choosing on
    the documents that it serves.
    Of equals, or where a half has no document in a replicate, the lowest code is taken.
    """
    sums = stats.weighted_sums(weights, losses)
    replicate = np.arange(len(sums))
    total = np.zeros(len(sums))
    for half in halves:
        mine, rest = (stats.weighted_sums(weights[:, part], losses[part]) for part in (half, ~half))
        total += rest[replicate, mine.argmin(axis=1)] + mine[replicate, rest.argmin(axis=1)]
    return sums.min(axis=1), total / len(halves)


def contrasts(losses: stats.Numbers, budgets: list[int], layers: int) -> stats.Numbers:
    """What one model's losses by (strategy, budget) say at every budget k that has a choice, differences in nats, each [replicates].

    `held_out_k-fixed_k`: what a fixed route gains by being chosen on the documents that it serves. Where there are other models,
    `fixed_k-other_k`: what choosing token by token gains though another model chose; `transfer_k`: that as a share of what it gains
    where the model chose itself; `other_k-all_big`; and `other_budget`, at which OTHER is lowest.
    """
    found = {}
    for budget in budgets:
        if comb(layers, budget) == 1:
            continue
        own, fixed = losses[OWN, budget], losses[FIXED, budget]
        found[f"held_out_{budget}-fixed_{budget}"] = losses[HELD_OUT, budget] - fixed
        if (OTHER, budget) in losses:
            other, claimed = losses[OTHER, budget], fixed - own
            found[f"fixed_{budget}-other_{budget}"] = fixed - other
            found[f"transfer_{budget}"] = np.divide(fixed - other, claimed, out=np.zeros_like(own), where=claimed > 0)
            found[f"other_{budget}-all_big"] = other - losses[OWN, layers]
    if (OTHER, budgets[0]) in losses:
        found["other_budget"] = np.array(budgets, np.float64)[np.argmin([losses[OTHER, budget] for budget in budgets], axis=0)]
    return found


def pair_curves(domain: Domain, found: dict) -> pa.Table:
    """CROSS_SEED of one domain."""
    keys = [key for key in found if key[0] == "pair"]
    return _table(domain, [dict(zip(("chooser", "scorer", "budget"), key[1:], strict=True)) | _loss(found[key]) for key in keys])


def mean_curves(domain: Domain, found: dict) -> pa.Table:
    """CROSS_SEED_MEANS of one domain."""
    keys = [key for key in found if key[0] == "mean"]
    return _table(domain, [{"strategy": key[1], "budget": key[2]} | _loss(found[key]) for key in keys])


def statistics(domain: Domain, found: dict) -> pa.Table:
    """CROSS_SEED_STATISTICS of one domain; the model is the scorer."""
    keys = [key for key in found if key[0] == "contrast"]
    return _table(domain, [{"model": key[1], "name": key[2], **found[key]._asdict()} for key in keys])


def _loss(estimate: stats.Interval) -> dict[str, float]:
    return {"loss": estimate.value, "low": estimate.low, "high": estimate.high, "perplexity": exp(estimate.value)}


def _table(domain: Domain, rows: list[dict]) -> pa.Table:
    return pa.Table.from_pylist([{"domain": domain.name} | row for row in rows])
