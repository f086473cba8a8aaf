"""Figure 2d and claims C10, C19: what the oracle skips where every layer has its big FFN or none.

All routes with exactly k of the layers kept (big) are tried for every token; each token takes its best. The numbers
are over kept [documents, length, layers] bool, in which every token keeps k layers. Each measure below takes it, with
the cluster of every document, and returns a function of weights [replicates, clusters], for stats.intervals.
"""

from collections.abc import Callable, Mapping, Sequence
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
from duo.studies.documents import by_cluster
from duo.studies.excess import Excess
from duo.tables.studies import SKIP_HEAT_MAPS, SKIP_LAYERS, SKIP_STATISTICS
from duo.terms import BIG, SKIP, TRUE

CHOICES = (SKIP, BIG)

Measure = Callable[[np.ndarray], stats.Numbers]  # of weights [replicates, clusters]

CONSISTENT_LAYERS = Statistic(
    "consistent_layers",
    "oracle",
    words="share of tokens that keep the layer which is kept most, or that skip the one which is skipped most: the "
    "lower of the two",
)
CONSISTENCY = Statistic(
    "consistency", "oracle", words="variance between layers of the share of tokens that keep them, beyond chance"
)
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
PERSISTENCE = Statistic("halves_correlation", "oracle", "shuffled", words=f"{_HALVES}, {_SHUFFLED}")
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
    """SKIPS of one model: each token's best route, among ties by chance, and what the fixed route gets: of those that
    serve a whole domain, the one that is best on other clusters than the token's.

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
    by_document = losses.sum(axis=1, dtype=np.float64)
    fixed = np.repeat(oracle.fixed(by_document, sample.domains, sample.clusters), losses.shape[1])
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


def kept_on(losses: np.ndarray, routes: np.ndarray, layers: int, rng: np.random.Generator) -> np.ndarray:
    """[documents, length, layers] bool: where the oracle's routes for other labels than the true ones are big.

    losses [documents, length, routes] nats of these labels under the routes with codes [routes]; rng: among ties.
    """
    best = oracle.lowest(losses.reshape(-1, len(routes)), rng)
    return _big(routes[best], layers).reshape(*losses.shape[:-1], layers)


def _big(routes: np.ndarray, layers: int) -> np.ndarray:
    """[..., layers] bool of route codes [...]."""
    return RouteSpace(layers, CHOICES).big(routes)


class SkipChoices(Study):
    """What one model's oracle keeps and skips on one domain, whichever labels it chose by.

    keeps [documents, length, layers] bool; clusters [documents] ids.
    """

    stream = ("skips", "intervals")

    def __init__(self, model: str, domain: str, keeps: np.ndarray, clusters: np.ndarray) -> None:
        self.ids = {"model": model, "domain": domain}
        self.clusters = len(np.unique(clusters))
        measures = (consistent_layers, consistency, early_exit, halves, consecutive)
        self.measures = [measure(keeps, clusters) for measure in measures]

    def numbers(self, weights: np.ndarray) -> stats.Numbers:
        return {key: value for measure in self.measures for key, value in measure(weights).items()}


class SkipPatterns(Study):
    """One model and domain: what its tokens keep and skip, what of that is more than luck, and what it gains.

    selected: its part of SKIPS. keeps: by labels as in duo.studies.excess, [documents, length, layers] bool of each set
    of labels; those of the true ones from `kept`, the others from `kept_on`.
    """

    stream = SkipChoices.stream

    def __init__(
        self, model: str, domain: str, budget: int, selected: pa.Table, keeps: Mapping[str, Sequence[np.ndarray]]
    ) -> None:
        self.ids = {"model": model, "domain": domain}
        (true,) = keeps[TRUE]
        clusters = selected["cluster"].to_numpy()[:: true.shape[1]]
        self.budget, self.heat, self.clusters = budget, true.mean(axis=0), len(np.unique(clusters))
        self.excess = Excess(
            {
                labels: [SkipChoices(model, domain, each, clusters) for each in several]
                for labels, several in keeps.items()
            }
        )
        self.measures = [losses_of(selected), kept_shares(true, clusters, budget)]

    def numbers(self, weights: np.ndarray) -> stats.Numbers:
        """Statistics, and shares of tokens that keep a layer by KeptShare, each [replicates]."""
        beside = {key: value for measure in self.measures for key, value in measure(weights).items()}
        return beside | self.excess.numbers(weights)

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
            for layer, shares in enumerate(self.heat.T.tolist())
            for position, share in enumerate(shares)
        ]


def losses_of(selected: pa.Table) -> Measure:
    """Mean losses of the oracle, the fixed route and the mean route; and what the oracle gains over the fixed one."""
    clusters = stats.Clusters(selected["cluster"].to_numpy())
    columns = {name: selected[f"{name}_loss"].to_numpy().astype(np.float64) for name in ("oracle", "fixed", "mean")}
    every = np.ones(len(selected), bool)

    def measure(weights: np.ndarray) -> stats.Numbers:
        numbers = {loss(name): clusters.mean(weights, values, every) for name, values in columns.items()}
        return numbers | {ORACLE_LESS_FIXED: numbers[loss("oracle")] - numbers[loss("fixed")]}

    return measure


def kept_shares(keeps: np.ndarray, clusters: np.ndarray, budget: int) -> Measure:
    """Share of tokens that keep each layer."""
    documents, by_document = _Documents(clusters), keeps.mean(axis=1)
    return lambda weights: {
        KeptShare(budget, layer): share for layer, share in enumerate(documents.mean(weights, by_document).T)
    }


def consistent_layers(keeps: np.ndarray, clusters: np.ndarray) -> Measure:
    """C10: how consistently the oracle keeps one layer and skips another.

    The lower of two shares: of the tokens that keep the layer which is kept most, and of those that skip the layer
    which is skipped most. Which layer that is, other clusters say: the highest of many shares would be high by chance.
    """
    kept, tokens = by_cluster(clusters, keeps.sum(axis=1)), by_cluster(clusters, np.full(len(keeps), keeps.shape[1]))
    most, least = (sign * stats.kept(sign * kept, tokens) for sign in (-1, 1))

    def measure(weights: np.ndarray) -> stats.Numbers:
        total = stats.weighted_sums(weights, tokens)
        highest, lowest = (stats.weighted_sums(weights, layer) / total for layer in (most, least))
        return {CONSISTENT_LAYERS: np.minimum(highest, 1 - lowest)}

    return measure


def consistency(keeps: np.ndarray, clusters: np.ndarray) -> Measure:
    """C10: variance between layers of the share of tokens that keep them, estimated without bias.

    Shares that chance alone sets apart would have a variance above 0 as well; the products of a layer's deviations in
    documents of two different clusters have the mean 0 then. The paper sees layers mostly kept and layers mostly
    skipped (figure 2d): above 0.
    """
    documents = _Documents(clusters)
    deviations = keeps.mean(axis=1) - keeps.mean()  # every token keeps as many layers, so the mean is no estimate
    return lambda weights: {CONSISTENCY: documents.pairs(weights, deviations, deviations).mean(axis=1)}


def early_exit(keeps: np.ndarray, clusters: np.ndarray) -> Measure:
    """C10: share of a token's (kept, skipped) pairs of layers in which the kept one lies below, less 0.75.

    1 is early exit, 0.5 no order; above 0 is nearer to early exit, below 0 nearer to no order, as the paper sees it
    (figure 2d).
    """
    skipped_above = (~keeps)[..., ::-1].cumsum(axis=-1)[..., ::-1]
    ordered = (keeps * skipped_above).sum(axis=-1)
    pairs = keeps.sum(axis=-1) * (~keeps).sum(axis=-1)
    documents, by_document = _Documents(clusters), (ordered / pairs).mean(axis=1)
    return lambda weights: {EARLY_EXIT: documents.mean(weights, by_document) - 0.75}


def halves(keeps: np.ndarray, clusters: np.ndarray) -> Measure:
    """C19: correlation, over documents and layers, of a layer's skip share in the first and in the second half of the
    sequence.

    `HALVES` counts what layers have in common in all documents; its mean is 0 where each document's layers are
    shuffled. `PERSISTENCE` is less the same where, for each layer apart, the positions of the second half are those of
    a document of another cluster (exactly, over all pairs of them): what is left is of the same sequence, and of what
    its cluster is like.
    `HALVES_WITHIN_LAYERS` takes the deviations from each layer's own mean, so that the preferred layers
    don't swell the variance that the correlation is of.
    """
    length = keeps.shape[1]
    first, second = (1 - keeps[:, half].mean(axis=1) for half in (slice(length // 2), slice(length // 2, None)))
    overall, documents = 1 - keeps.mean(), _Documents(clusters)

    def measure(weights: np.ndarray) -> stats.Numbers:
        together, apart = documents.mean(weights, first * second), documents.pairs(weights, first, second)
        means = documents.mean(weights, first), documents.mean(weights, second)
        squares = documents.mean(weights, first**2), documents.mean(weights, second**2)
        around_overall = [
            (square - 2 * overall * mean + overall**2).mean(axis=1) for square, mean in zip(squares, means, strict=True)
        ]
        around_layers = [
            (square - documents.pairs(weights, half, half)).mean(axis=1)
            for square, half in zip(squares, (first, second), strict=True)
        ]
        beyond = (together - apart).mean(axis=1)
        return {
            HALVES: _correlation((together - overall * sum(means) + overall**2).mean(axis=1), *around_overall),
            PERSISTENCE: _correlation(beyond, *around_overall),
            HALVES_WITHIN_LAYERS: _correlation(beyond, *around_layers),
        }

    return measure


def consecutive(keeps: np.ndarray, clusters: np.ndarray) -> Measure:
    """C19: correlation, over documents, positions and layers, of skipping a layer at a token and at the next one.

    `CONSECUTIVE` counts what layers have in common; `CONSECUTIVE_LESS_SHUFFLED` is less the same where each document's
    positions are shuffled for each layer (exactly, over all orders), which keeps how often a document skips each
    layer: what is left is of neighbours. `CONSECUTIVE_WITHIN_LAYERS` takes the deviations from each layer's
    own mean.
    """
    documents, skipped = _Documents(clusters), (~keeps).astype(np.float64)
    length = keeps.shape[1]
    overall = skipped.mean()
    totals = skipped.sum(axis=1)
    share = totals / length
    pairs = (skipped[:, :-1] * skipped[:, 1:]).mean(axis=1)
    ends = (skipped[:, :-1] + skipped[:, 1:]).mean(axis=1) / 2
    any_two = totals * (totals - 1) / (length * (length - 1))  # mean product of two different positions

    def measure(weights: np.ndarray) -> stats.Numbers:
        means = {
            name: documents.mean(weights, values)
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


class _Documents:
    """Means over documents of as many tokens each, under weights [replicates, clusters]; clusters: ids [documents]."""

    def __init__(self, clusters: np.ndarray):
        self._clusters, self._count = clusters, by_cluster(clusters, np.ones(len(clusters)))

    def mean(self, weights: np.ndarray, values: np.ndarray) -> np.ndarray:
        """[replicates, ...] means of values [documents, ...]."""
        sums = by_cluster(self._clusters, values)
        total = stats.weighted_sums(weights, self._count).reshape(-1, *[1] * (sums.ndim - 1))
        return stats.weighted_sums(weights, sums) / total

    def pairs(self, weights: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """[replicates, layers] means of first[d] * second[e] over all pairs of documents of different clusters, of
        [documents, layers] each.

        A cluster sampled twice makes no pair with itself. 0 in a replicate of one cluster alone.
        """
        squares, (first, second) = weights**2, (by_cluster(self._clusters, each) for each in (first, second))
        products = stats.weighted_sums(weights, first) * stats.weighted_sums(weights, second)
        pairs = stats.weighted_sums(weights, self._count) ** 2 - stats.weighted_sums(squares, self._count**2)
        return _ratio(products - stats.weighted_sums(squares, first * second), pairs[:, None])


def _correlation(covariance: np.ndarray, *variances: np.ndarray) -> np.ndarray:
    """[replicates] from [replicates] each; a variance estimated below 0 is none."""
    first, second = (np.sqrt(np.maximum(variance, 0)) for variance in variances)
    return _ratio(covariance, first * second)


def _ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """numerator / denominator; 0 where nothing varies, and so nothing can go together."""
    numerator, denominator = np.broadcast_arrays(numerator, denominator)
    varies = denominator > 1e-12
    return np.divide(numerator, denominator, out=np.zeros_like(numerator), where=varies)
