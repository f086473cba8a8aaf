"""Intervals by cluster bootstrap: documents are drawn with replacement, never tokens, since tokens of a document are alike."""

from collections.abc import Callable, Hashable
from typing import NamedTuple

import numpy as np
from scipy.stats import bootstrap

from duo.errors import InputError


class Interval(NamedTuple):
    """An estimate, with the ends of its percentile interval."""

    value: float
    low: float
    high: float


Numbers = dict[Hashable, np.ndarray]


def intervals(
    statistic: Callable[[np.ndarray], Numbers], documents: int, resamples: int, confidence: float, rng: np.random.Generator
) -> dict[Hashable, Interval]:
    """Estimates and intervals of all numbers that `statistic` returns, from the same replicates, so differences are paired.

    statistic(weights [replicates, documents]) says, for each replicate, what the numbers are where every document counts
    as often as its weight; it returns {name: [replicates]}. A winner that it chooses is thus chosen anew in each replicate.
    A number that no replicate changes gets an interval of width zero. InputError below two documents.
    """
    if documents < 2:
        raise InputError(f"{documents} document: an interval needs at least 2 a domain (enumerate.documents)")
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
    return np.bincount(cells.ravel(), minlength=len(drawn) * documents).reshape(len(drawn), documents).astype(np.float64)


def weighted_sums(weights: np.ndarray, sums: np.ndarray) -> np.ndarray:
    """[replicates, ...] totals of sums [documents, ...] under weights [replicates, documents].

    Not a BLAS product: its last digits would depend on the number of threads.
    """
    return np.einsum("rd,d...->r...", weights, sums)


def slopes(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """[replicates] slopes of the least-squares lines through points y [points, replicates] over x, [points, replicates] or [points, 1].

    0 where all x are one.
    """
    x = x - x.mean(axis=0)
    spread, together = (x**2).sum(axis=0), (x * y).sum(axis=0)
    return np.divide(together, spread, out=np.zeros_like(together), where=spread > 0)
