"""Is the choice of a route worth anything to another model, and that of the fixed route to other documents?
(PAPER.md: cross-seed.)

Models that differ by their seed alone have the same tokens in front of them. What one's oracle chose for a token,
scored by another, keeps of its gain what lies in the token, its label and the depth of the layers, and loses what
lies in one model's weights.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from math import comb, exp

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from duo import seeds, stats
from duo.oracle import select
from duo.routes import RouteSpace
from duo.studies import oracle_curves

SPLITS = 20  # random halvings of the documents that the held-out fixed route is averaged over
# Whose choice a route is: the oracle of the model itself, that of another; one route for all tokens, chosen on all
# documents, or on others; nobody's, the mean over all routes.
OWN, OTHER, FIXED, HELD_OUT, MEAN = "own", "other", "fixed", "held_out", "mean"
SINGLE = (FIXED, HELD_OUT, MEAN)

Choices = dict[tuple[str, str, str], np.ndarray]  # by (chooser, domain, document): codes [budgets, tokens]
Scores = dict[
    tuple[str, str, str, str], np.ndarray
]  # by (domain, chooser, scorer, document): sums of losses [budgets], nats


def choices(selections: Mapping[int, pa.Table]) -> Choices:
    """The routes that every model's oracle chose, from SELECTIONS by budget."""
    found: dict[tuple[str, str, str], list[np.ndarray]] = {}
    for table in selections.values():
        for model in table["model"].unique().to_pylist():
            mine = table.filter(pc.equal(table["model"], model))
            routes = mine["oracle_route"].to_numpy()
            for domain, document, rows in select.documents(mine):
                found.setdefault((model, domain, document), []).append(routes[rows])
    return {key: np.stack(routes) for key, routes in found.items()}


def score(scorer: str, losses: pa.Table, chosen: Choices, space: RouteSpace) -> Scores:
    """What the choices cost under a model, from a shard of its ROUTE_LOSSES."""
    choosers = dict.fromkeys(chooser for chooser, *_ in chosen)
    found = {}
    for domain, document, _, part in select.by_document(losses, space):
        for chooser in choosers:
            taken = np.take_along_axis(part.T, chosen[chooser, domain, document], axis=0)
            found[domain, chooser, scorer, document] = taken.sum(axis=1, dtype=np.float64)
    return found


@dataclass(frozen=True)
class Domain:
    """One domain of all models: sums of losses [documents, budgets] in nats, documents in order of id."""

    name: str
    budgets: list[int]
    tokens: np.ndarray  # [documents]
    pairs: dict[tuple[str, str], np.ndarray]  # by (chooser, scorer)
    single: dict[tuple[str, str], np.ndarray]  # by (one of SINGLE, scorer)

    def numbers(self, weights: np.ndarray, layers: int) -> stats.Numbers:
        """Losses in nats, each [replicates]: of ("pair", chooser, scorer, budget); of ("mean", strategy, budget) over
        the scorers, of
        OTHER over the pairs; and contrasts by ("contrast", scorer, name). All choices stay what they are; documents
        are drawn.
        """
        tokens = stats.weighted_sums(weights, self.tokens)[:, None]
        pairs, single = (
            {key: stats.weighted_sums(weights, sums) / tokens for key, sums in of.items()}
            for of in (self.pairs, self.single)
        )
        found = {
            ("pair", *key, budget): part for key, losses in pairs.items() for budget, part in self._by_budget(losses)
        }
        by_scorer = {scorer: _strategies(scorer, pairs, single) for _, scorer in pairs}
        for strategy in next(iter(by_scorer.values())):
            mean = np.mean([losses[strategy] for losses in by_scorer.values()], axis=0)
            found |= {("mean", strategy, budget): part for budget, part in self._by_budget(mean)}
        for scorer, strategies in by_scorer.items():
            of = {
                (strategy, budget): part
                for strategy, losses in strategies.items()
                for budget, part in self._by_budget(losses)
            }
            found |= {("contrast", scorer, name): value for name, value in contrasts(of, self.budgets, layers).items()}
        return found

    def intervals(self, layers: int, resamples: int, confidence: float, seed: int) -> dict:
        """`numbers`, each an Interval. Same seed, same replicates; all models' documents are drawn together."""
        rng = seeds.stream(seed, "cross-seed")
        return stats.intervals(
            lambda weights: self.numbers(weights, layers), len(self.tokens), resamples, confidence, rng
        )

    def _by_budget(self, losses: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
        return zip(self.budgets, losses.T, strict=True)


def _strategies(scorer: str, pairs: stats.Numbers, single: stats.Numbers) -> stats.Numbers:
    """[replicates, budgets] losses under one model by strategy;

    OTHER, the mean over the other choosers, where there are any.
    """
    others = [losses for (chooser, scored), losses in pairs.items() if scored == scorer != chooser]
    found = {OWN: pairs[scorer, scorer]} | ({OTHER: np.mean(others, axis=0)} if others else {})
    return found | {strategy: single[strategy, scorer] for strategy in SINGLE}


def domains(models: list[oracle_curves.Domain], scores: Scores, seed: int) -> list[Domain]:
    """Every domain, from evaluate.domains of all models and every `score` of them."""
    found = []
    for name in dict.fromkeys(domain.name for domain in models):
        mine = {domain.model: domain for domain in models if domain.name == name}
        documents = sorted({document for domain, _, _, document in scores if domain == name})
        pairs = {
            pair: np.stack([scores[name, *pair, document] for document in documents])
            for pair in product(mine, repeat=2)
        }
        split = halves(len(documents), seeds.stream(seed, "split half", name))
        single = {}
        for scorer, domain in mine.items():
            by_budget = [(*fixed_losses(at.route_losses, split), at.losses[MEAN]) for at in domain.budgets.values()]
            single |= {
                (strategy, scorer): np.stack(sums, axis=1)
                for strategy, sums in zip(SINGLE, zip(*by_budget, strict=True), strict=True)
            }
        found.append(Domain(name, list(domain.budgets), domain.tokens, pairs, single))
    return found


def halves(documents: int, rng: np.random.Generator) -> np.ndarray:
    """[SPLITS, documents] bool: a random half of the documents, the smaller where their number is odd."""
    return np.stack([rng.permutation(documents) < documents // 2 for _ in range(SPLITS)])


def fixed_losses(losses: np.ndarray, halves: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """[documents] sums of losses under the best single route, and under single routes chosen on other documents.

    losses [documents, routes] in nats; halves [splits, documents]. For the latter, each half of the documents is
    served by the route that is best for the other half; mean over the splits. As a half chooses worse than the whole,
    the difference is, in expectation, no less than what the whole gains by choosing on the documents that it serves.
    Of equals the lowest code is taken.
    """
    held_out = np.zeros(len(losses))
    for half in halves:
        for served in (half, ~half):
            held_out[served] += losses[served][:, losses[~served].sum(axis=0).argmin()]
    return losses[:, losses.sum(axis=0).argmin()], held_out / len(halves)


def contrasts(losses: stats.Numbers, budgets: list[int], layers: int) -> stats.Numbers:
    """What one model's losses by (strategy, budget) say at every budget k that has a choice, differences in nats,
    each [replicates].

    `held_out_k-fixed_k`: what a fixed route gains by being chosen on the documents that it serves. Where there are
    other models, `fixed_k-other_k`: what choosing token by token gains though another model chose; `transfer_k`: that
    as a share of what it gains where the model chose itself; `mean_k-other_k`: what it gains over any route;
    `other_k-all_big`; and `other_budget`, at which OTHER is lowest.
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
            found[f"mean_{budget}-other_{budget}"] = losses[MEAN, budget] - other
            found[f"other_{budget}-all_big"] = other - losses[OWN, layers]
    if (OTHER, budgets[0]) in losses:
        found["other_budget"] = np.array(budgets, np.float64)[
            np.argmin([losses[OTHER, budget] for budget in budgets], axis=0)
        ]
    return found


def pair_curves(domain: Domain, found: dict) -> pa.Table:
    """CROSS_SEED of one domain."""
    keys = [key for key in found if key[0] == "pair"]
    return _table(
        domain, [dict(zip(("chooser", "scorer", "budget"), key[1:], strict=True)) | _loss(found[key]) for key in keys]
    )


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
