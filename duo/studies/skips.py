"""Figure 2d and claims C10, C19: what the oracle skips where every layer has its big FFN or none.

All routes with exactly k of the layers kept (big) are tried for every token; each token takes its best. The numbers
are over kept [documents, length, layers] bool, in which every token keeps k layers. Each measure below takes it and
returns a function of weights [replicates, documents], for stats.intervals.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from duo import seeds, stats
from duo.data.evaluation_set import EvaluationSet
from duo.errors import InputError
from duo.oracle import select as oracle
from duo.routes import RouteSpace
from duo.stats import Intervals, Statistic, Study
from duo.tables.studies import SKIP_HEAT_MAPS, SKIP_LAYERS, SKIP_STATISTICS
from duo.terms import BIG, SKIP

CHOICES = (SKIP, BIG)

Measure = Callable[[np.ndarray], stats.Numbers]  # of weights [replicates, documents]

CONSISTENCY = Statistic(
    "consistency", "oracle", words="variance between layers of the share of tokens that keep them, beyond chance"
)
NULL_CONSISTENCY = CONSISTENCY.of("sampled", "on sampled labels")
CORRECTED_CONSISTENCY = CONSISTENCY.of("corrected", "selection bias taken off")
EARLY_EXIT = Statistic(
    "early_exit",
    "oracle",
    words="share of a token's pairs of a kept and a skipped layer in which the kept one lies below, less 0.75",
)
ORACLE_LESS_FIXED = Statistic(
    "difference", "oracle", "fixed", words="oracle over big and skip, less the best fixed route"
)
_SHUFFLED, _WITHIN = "less the same shuffled", "less the same shuffled, measured from each layer's own mean"
_HALVES = "correlation of a layer's skip share in the first and in the second half of a sequence"
HALVES = Statistic("halves_correlation", "oracle", words=_HALVES)
HALVES_LESS_SHUFFLED = Statistic("halves_correlation", "oracle", "shuffled", words=f"{_HALVES}, {_SHUFFLED}")
HALVES_WITHIN_LAYERS = Statistic(
    "halves_correlation", "oracle", "shuffled_within_layers", words=f"{_HALVES}, {_WITHIN}"
)
_CONSECUTIVE = "correlation of skipping a layer at a token and at the next one"
CONSECUTIVE = Statistic("consecutive_correlation", "oracle", words=_CONSECUTIVE)
CONSECUTIVE_LESS_SHUFFLED = Statistic(
    "consecutive_correlation", "oracle", "shuffled", words=f"{_CONSECUTIVE}, {_SHUFFLED}"
)
CONSECUTIVE_WITHIN_LAYERS = Statistic(
    "consecutive_correlation", "oracle", "shuffled_within_layers", words=f"{_CONSECUTIVE}, {_WITHIN}"
)


def loss(strategy: str) -> Statistic:
    """A strategy's mean loss over big and skip."""
    words = {"oracle": "the oracle", "fixed": "the best fixed route", "mean": "all routes, on average"}[strategy]
    return Statistic("loss", strategy, words=f"loss of {words}, over big and skip, nats per token")


@dataclass(frozen=True)
class KeptShare:
    """Key of the share of tokens that keep a layer."""

    budget: int
    layer: int


def select(model: str, sample: EvaluationSet, losses: np.ndarray, routes: np.ndarray, seed: int) -> pa.Table:
    """SKIPS of one model: each token's best route, among ties by chance, and what the route that serves a domain best
    gets.

    losses [documents, length, routes] nats of the sample's tokens under the routes with codes [routes]. InputError
    where one is not finite.
    """
    for domain, document, part in zip(sample.domains, sample.documents, losses, strict=True):
        if not np.isfinite(part).all():
            raise InputError(
                f"model {model}, domain {domain}, document {document}: a loss is not finite; "
                "the model's training diverged, or its file is damaged"
            )
    rng = seeds.stream(seed, "skips")  # the same for every model, so that models differ by their losses alone
    flat = losses.reshape(-1, len(routes))
    best = oracle.lowest(flat, rng)
    domains = np.array(sample.domains)
    best_of_domain = {
        domain: losses[domains == domain].mean(axis=(0, 1), dtype=np.float64).argmin()
        for domain in dict.fromkeys(sample.domains)
    }
    fixed = np.repeat([best_of_domain[domain] for domain in sample.domains], losses.shape[1])
    rows = np.arange(len(flat))
    chosen = {
        "oracle_route": routes[best],
        "oracle_loss": flat[rows, best],
        "fixed_route": routes[fixed],
        "fixed_loss": flat[rows, fixed],
        "mean_loss": flat.mean(axis=1, dtype=np.float64).astype(np.float32),
    }
    return pa.table({"model": [model] * len(flat)} | sample.columns() | chosen)


def kept(selected: pa.Table, layers: int, documents: int) -> np.ndarray:
    """[documents, length, layers] bool: where the oracle's routes in a part of SKIPS, document by document, are big."""
    return _big(selected["oracle_route"].to_numpy(), layers).reshape(documents, -1, layers)


def kept_on_sampled_labels(losses: np.ndarray, routes: np.ndarray, layers: int, seed: int) -> np.ndarray:
    """[samples, documents, length, layers] bool: where the oracle's routes for sampled labels (duo.oracle.null) are
    big.

    losses [samples, documents, length, routes] nats of the sampled labels under the routes with codes [routes].
    """
    rng = seeds.stream(seed, "skips", "drawn labels")
    best = [oracle.lowest(sample.reshape(-1, len(routes)), rng) for sample in losses]
    return _big(routes[np.stack(best)], layers).reshape(*losses.shape[:-1], layers)


def _big(routes: np.ndarray, layers: int) -> np.ndarray:
    """[..., layers] bool of route codes [...]."""
    return RouteSpace(layers, CHOICES).big(routes)


class SkipPatterns(Study):
    """One model and domain: what its tokens keep and skip, and what that gains.

    losses [documents, length, routes] are nats; the fixed route is chosen anew in each replicate. keeps [documents,
    length, layers] bool is from `kept`, sampled [samples, documents, length, layers] from `kept_on_sampled_labels`.
    """

    stream = ("skips", "intervals")

    def __init__(
        self, model: str, domain: str, budget: int, losses: np.ndarray, keeps: np.ndarray, sampled: np.ndarray
    ) -> None:
        self.ids = {"model": model, "domain": domain}
        self.budget, self.keeps, self.clusters = budget, keeps, len(keeps)
        self.measures = [
            losses_of(losses),
            kept_shares(keeps, budget),
            consistency(keeps),
            early_exit(keeps),
            halves(keeps),
            consecutive(keeps),
            corrected_consistency(keeps, sampled),
        ]

    def numbers(self, weights: np.ndarray) -> stats.Numbers:
        """Statistics, and shares of tokens that keep a layer by KeptShare, each [replicates]."""
        return {key: value for measure in self.measures for key, value in measure(weights).items()}

    def tables(self, estimates: Intervals) -> dict[Any, Any]:
        return {
            SKIP_HEAT_MAPS: self._cells(),
            SKIP_LAYERS: self.rows(estimates, KeptShare, "share"),
            SKIP_STATISTICS: self.rows(estimates, Statistic),
        }

    def _cells(self) -> list[dict[str, Any]]:
        """Rows of SKIP_HEAT_MAPS."""
        return [
            self.ids | {"budget": self.budget, "layer": layer, "position": position, "share": share}
            for layer, shares in enumerate(self.keeps.mean(axis=0).T.tolist())
            for position, share in enumerate(shares)
        ]


def losses_of(losses: np.ndarray) -> Measure:
    """Mean losses of the oracle, the fixed route and the mean route; and what the oracle gains over the fixed one."""
    by_route = losses.mean(axis=1, dtype=np.float64)
    lowest = losses.min(axis=2).mean(axis=1, dtype=np.float64)

    def measure(weights: np.ndarray) -> stats.Numbers:
        routes = _mean(weights, by_route)
        best, fixed = _mean(weights, lowest), routes.min(axis=1)
        numbers = {loss("oracle"): best, loss("fixed"): fixed, loss("mean"): routes.mean(axis=1)}
        return numbers | {ORACLE_LESS_FIXED: best - fixed}

    return measure


def kept_shares(keeps: np.ndarray, budget: int) -> Measure:
    """Share of tokens that keep each layer."""
    by_document = keeps.mean(axis=1)
    return lambda weights: {
        KeptShare(budget, layer): share for layer, share in enumerate(_mean(weights, by_document).T)
    }


def consistency(keeps: np.ndarray) -> Measure:
    """C10: variance between layers of the share of tokens that keep them, estimated without bias.

    Shares that chance alone sets apart would have a variance above 0 as well; the products of a layer's deviations in
    two different documents have the mean 0 then. The paper sees layers mostly kept and layers mostly skipped (figure
    2d): above 0.
    """
    deviations = keeps.mean(axis=1) - keeps.mean()  # every token keeps as many layers, so the mean is no estimate
    return lambda weights: {CONSISTENCY: _pairs(weights, deviations, deviations).mean(axis=1)}


def corrected_consistency(keeps: np.ndarray, sampled: np.ndarray) -> Measure:
    """C10: `consistency` of the oracle's choices for sampled labels [samples, documents, length, layers], and what is
    left without it.

    On sampled labels no choice is better than all big (duo.oracle.null); so layers that are kept there too are kept
    for their noise.
    """
    true, null = consistency(keeps), [consistency(sample) for sample in sampled]

    def measure(weights: np.ndarray) -> stats.Numbers:
        by_chance = np.mean([sample(weights)[CONSISTENCY] for sample in null], axis=0)
        return {NULL_CONSISTENCY: by_chance, CORRECTED_CONSISTENCY: true(weights)[CONSISTENCY] - by_chance}

    return measure


def early_exit(keeps: np.ndarray) -> Measure:
    """C10: share of a token's (kept, skipped) pairs of layers in which the kept one lies below, less 0.75.

    1 is early exit, 0.5 no order; above 0 is nearer to early exit, below 0 nearer to no order, as the paper sees it
    (figure 2d).
    """
    skipped_above = (~keeps)[..., ::-1].cumsum(axis=-1)[..., ::-1]
    ordered = (keeps * skipped_above).sum(axis=-1)
    pairs = keeps.sum(axis=-1) * (~keeps).sum(axis=-1)
    by_document = (ordered / pairs).mean(axis=1)
    return lambda weights: {EARLY_EXIT: _mean(weights, by_document) - 0.75}


def halves(keeps: np.ndarray) -> Measure:
    """C19: correlation, over documents and layers, of a layer's skip share in the first and in the second half of the
    sequence.

    `HALVES` counts what layers have in common in all documents; its mean is 0 where each document's layers are
    shuffled. `HALVES_LESS_SHUFFLED` is less the same where, for each layer apart, the positions of the second half are
    those of another document (exactly, over all pairs of documents): what is left is of the same sequence.
    `HALVES_WITHIN_LAYERS` takes the deviations from each layer's own mean, so that the preferred layers
    don't swell the variance that the correlation is of.
    """
    length = keeps.shape[1]
    first, second = (1 - keeps[:, half].mean(axis=1) for half in (slice(length // 2), slice(length // 2, None)))
    overall = 1 - keeps.mean()

    def measure(weights: np.ndarray) -> stats.Numbers:
        together, apart = _mean(weights, first * second), _pairs(weights, first, second)
        means = _mean(weights, first), _mean(weights, second)
        squares = _mean(weights, first**2), _mean(weights, second**2)
        around_overall = [
            (square - 2 * overall * mean + overall**2).mean(axis=1) for square, mean in zip(squares, means, strict=True)
        ]
        around_layers = [
            (square - _pairs(weights, half, half)).mean(axis=1)
            for square, half in zip(squares, (first, second), strict=True)
        ]
        beyond = (together - apart).mean(axis=1)
        return {
            HALVES: _correlation((together - overall * sum(means) + overall**2).mean(axis=1), *around_overall),
            HALVES_LESS_SHUFFLED: _correlation(beyond, *around_overall),
            HALVES_WITHIN_LAYERS: _correlation(beyond, *around_layers),
        }

    return measure


def consecutive(keeps: np.ndarray) -> Measure:
    """C19: correlation, over documents, positions and layers, of skipping a layer at a token and at the next one.

    `CONSECUTIVE` counts what layers have in common; `CONSECUTIVE_LESS_SHUFFLED` is less the same where each document's
    positions are shuffled for each layer (exactly, over all orders), which keeps how often a document skips each
    layer: what is left is of neighbours. `CONSECUTIVE_WITHIN_LAYERS` takes the deviations from each layer's
    own mean.
    """
    skipped = (~keeps).astype(np.float64)
    length = keeps.shape[1]
    overall = skipped.mean()
    totals = skipped.sum(axis=1)
    share = totals / length
    pairs = (skipped[:, :-1] * skipped[:, 1:]).mean(axis=1)
    ends = (skipped[:, :-1] + skipped[:, 1:]).mean(axis=1) / 2
    any_two = totals * (totals - 1) / (length * (length - 1))  # mean product of two different positions

    def measure(weights: np.ndarray) -> stats.Numbers:
        means = {
            name: _mean(weights, values)
            for name, values in (("share", share), ("pair", pairs), ("end", ends), ("any", any_two))
        }

        def beyond_shuffled(centre: np.ndarray | float) -> np.ndarray:
            covariance = means["pair"] - means["any"] - 2 * centre * (means["end"] - means["share"])
            return _ratio(covariance.mean(axis=1), variance(centre))

        def variance(centre: np.ndarray | float) -> np.ndarray:
            return (means["share"] - 2 * centre * means["share"] + centre**2).mean(axis=1)

        plain = (means["pair"] - 2 * overall * means["end"] + overall**2).mean(axis=1)
        return {
            CONSECUTIVE: _ratio(plain, variance(overall)),
            CONSECUTIVE_LESS_SHUFFLED: beyond_shuffled(overall),
            CONSECUTIVE_WITHIN_LAYERS: beyond_shuffled(means["share"]),
        }

    return measure


def _mean(weights: np.ndarray, by_document: np.ndarray) -> np.ndarray:
    """[replicates, ...] means of by_document [documents, ...]; all documents have as many tokens."""
    total = weights.sum(axis=1).reshape(-1, *[1] * (by_document.ndim - 1))
    return stats.weighted_sums(weights, by_document) / total


def _pairs(weights: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """[replicates, layers] means of first[d] * second[e] over all pairs of different documents, of [documents,
    layers] each.

    A document sampled twice makes no pair with itself. 0 in a replicate of one document alone.
    """
    squares = weights**2
    products = stats.weighted_sums(weights, first) * stats.weighted_sums(weights, second) - stats.weighted_sums(
        squares, first * second
    )
    return _ratio(products, (weights.sum(axis=1) ** 2 - squares.sum(axis=1))[:, None])


def _correlation(covariance: np.ndarray, *variances: np.ndarray) -> np.ndarray:
    """[replicates] from [replicates] each; a variance estimated below 0 is none."""
    first, second = (np.sqrt(np.maximum(variance, 0)) for variance in variances)
    return _ratio(covariance, first * second)


def _ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """numerator / denominator; 0 where nothing varies, and so nothing can go together."""
    numerator, denominator = np.broadcast_arrays(numerator, denominator)
    varies = denominator > 1e-12
    return np.divide(numerator, denominator, out=np.zeros_like(numerator), where=varies)
