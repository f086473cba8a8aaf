"""Intervals by cluster bootstrap: documents are drawn with replacement, never tokens, since tokens of a document are
alike.
"""

from collections.abc import Callable, Hashable
from typing import NamedTuple

import numpy as np
from scipy.stats import bootstrap, rankdata

from duo.errors import InputError


class Interval(NamedTuple):
    """An estimate, with the ends of its percentile interval."""

    value: float
    low: float
    high: float


Numbers = dict[Hashable, np.ndarray]


def intervals(
    statistic: Callable[[np.ndarray], Numbers],
    documents: int,
    resamples: int,
    confidence: float,
    rng: np.random.Generator,
) -> dict[Hashable, Interval]:
    """Estimates and intervals of all numbers that `statistic` returns, from the same replicates, so differences are
    paired.

    statistic(weights [replicates, documents]) says, for each replicate, what the numbers are where every document
    counts as often as its weight; it returns {name: [replicates]}. A winner that it chooses is thus chosen anew in
    each replicate. A number that no replicate changes gets an interval of width zero. InputError below two documents.
    """
    if documents < 2:
        raise InputError(f"{documents} document: an interval needs at least 2 a domain (evaluation_set.documents)")
    estimate = statistic(np.ones((1, documents)))

    def replicate(drawn: np.ndarray, axis: int) -> np.ndarray:
        numbers = statistic(_weights(drawn, documents))
        return np.stack([numbers[name] for name in estimate])

    result = bootstrap(
        (np.arange(documents),),
        replicate,
        n_resamples=resamples,
        confidence_level=confidence,
        method="percentile",
        vectorized=True,
        rng=rng,
    )
    ends = zip(estimate.items(), *result.confidence_interval, strict=True)
    return {name: Interval(float(value[0]), float(low), float(high)) for (name, value), low, high in ends}


def _weights(drawn: np.ndarray, documents: int) -> np.ndarray:
    """How often each document was drawn: [replicates, documents] of drawn [replicates, draws]."""
    cells = drawn + documents * np.arange(len(drawn))[:, None]
    return (
        np.bincount(cells.ravel(), minlength=len(drawn) * documents).reshape(len(drawn), documents).astype(np.float64)
    )


def weighted_sums(weights: np.ndarray, sums: np.ndarray) -> np.ndarray:
    """[replicates, ...] totals of sums [documents, ...] under weights [replicates, documents].

    Not a BLAS product: its last digits would depend on the number of threads.
    """
    return np.einsum("rd,d...->r...", weights, sums)


class Clusters:
    """Numbers of single tokens, made statistics for `intervals`: tokens are drawn with their document. documents
    [tokens]: ids.
    """

    def __init__(self, documents: np.ndarray):
        self.documents, self._document = np.unique(documents, return_inverse=True)

    def sums(self, values: np.ndarray) -> np.ndarray:
        """[documents] sums of values [tokens]."""
        return np.bincount(self._document, values, minlength=len(self.documents))

    def enough(self, tokens: np.ndarray, documents: int) -> bool:
        """Whether so many documents, or all where there are fewer, have any of the tokens [tokens] bool."""
        return (self.sums(tokens) > 0).sum() >= min(documents, len(self.documents))

    def mean(self, weights: np.ndarray, values: np.ndarray, tokens: np.ndarray) -> np.ndarray:
        """[replicates] mean of values over the tokens [tokens] bool; a replicate that draws none of them has the full
        sample's.
        """
        total, count = (weighted_sums(weights, self.sums(each)) for each in (values * tokens, tokens))
        return np.divide(total, count, out=np.full(len(weights), values[tokens].mean()), where=count > 0)

    def rank_correlation(self, weights: np.ndarray, x: np.ndarray, y: np.ndarray, tokens: np.ndarray) -> np.ndarray:
        """[replicates] Spearman's correlation of x and y over the tokens [tokens] bool, 0 where one doesn't vary.

        What rank a token has is settled on the full sample; only documents are drawn anew.
        """
        x, y = (_centred_ranks(values, tokens) for values in (x, y))
        count = np.maximum(weighted_sums(weights, self.sums(tokens)), 1)
        mean_x, mean_y, xx, yy, xy = (
            weighted_sums(weights, self.sums(each)) / count for each in (x, y, x * x, y * y, x * y)
        )
        spread = np.sqrt(np.maximum((xx - mean_x**2) * (yy - mean_y**2), 0))
        return np.divide(xy - mean_x * mean_y, spread, out=np.zeros(len(weights)), where=spread > 0)


def _centred_ranks(values: np.ndarray, tokens: np.ndarray) -> np.ndarray:
    """[tokens] ranks of values among the tokens [tokens] bool, less their mean; 0 for the others."""
    ranks = np.zeros(len(values))
    ranks[tokens] = rankdata(values[tokens])
    ranks[tokens] -= ranks[tokens].mean()
    return ranks


def slopes(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """[replicates] slopes of the least-squares lines through points y [points, replicates] over x, [points,
    replicates] or [points, 1].

    0 where all x are one.
    """
    x = x - x.mean(axis=0)
    spread, together = (x**2).sum(axis=0), (x * y).sum(axis=0)
    return np.divide(together, spread, out=np.zeros_like(together), where=spread > 0)
