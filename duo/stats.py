"""Intervals by cluster bootstrap: whole clusters are drawn with replacement, never tokens, as a cluster's are alike.

A cluster is what is independent of the rest: a document, or a package of many files (EvaluationSet.clusters).

What is estimated is named by keys: frozen dataclasses whose fields are the columns that tell the rows of a table apart.
So a table is the numbers of one kind of key, and nothing has to be read back out of a name.
"""

from collections.abc import Callable, Hashable, Mapping
from dataclasses import asdict, dataclass, field, replace
from math import nan, sqrt
from typing import Any, NamedTuple, Self

import numpy as np
from scipy.special import ndtr, stdtrit

from duo import seeds
from duo.errors import InputError


class Ends(NamedTuple):
    """An estimate, with the ends of its interval."""

    value: float
    low: float
    high: float


class Interval(Ends):
    """An estimate and the ends of its interval, as a tuple of these three; with its standard error as `error`.

    Both are over clusters.
    """

    error: float

    def __new__(cls, value: float, low: float, high: float, error: float = nan) -> Self:
        interval = super().__new__(cls, value, low, high)
        interval.error = error
        return interval


@dataclass(frozen=True)
class Statistic:
    """Names one number that a claim, a figure or a page may refer to; two are equal whatever their words.

    family: what is measured, such as difference, slope or depth_bias. subject: whose it is, such as oracle or a
    router's name. reference: what the subject is compared with, if anything. budget: big layers per token (their
    mean, where they are chosen by chance), where it is of one budget. labels: those that it is of (duo.terms: true,
    sampled, matched), or excess, the true less the matched ones, or placebo. words: all that in plain English.
    """

    family: str
    subject: str
    reference: str = ""
    budget: float | None = None
    labels: str = "true"
    words: str = field(default="", compare=False)

    def of(self, labels: str, words: str = "") -> Self:
        """The same statistic of other labels; `words` are added to its own."""
        return replace(self, labels=labels, words=f"{self.words}, {words}" if words else self.words)


Numbers = dict[Hashable, np.ndarray]
Intervals = Mapping[Hashable, Interval]


def intervals(
    statistic: Callable[[np.ndarray], Numbers],
    clusters: int,
    resamples: int,
    confidence: float,
    rng: np.random.Generator,
) -> dict[Hashable, Interval]:
    """Estimates and intervals of all numbers that `statistic` returns, from the same replicates, so differences are
    paired.

    statistic(weights [replicates, clusters]) says, for each replicate, what the numbers are where every cluster counts
    as often as its weight; it returns {name: [replicates]}. A winner that it chooses by these weights is chosen anew in
    each replicate, and each replicate's own optimism comes on top of the sample's; choices that are to be kept are made
    beforehand (`cross_fitted`). A number that no replicate changes gets an interval of width zero. InputError below two
    clusters.

    Percentiles of few clusters' replicates lie too close together: they lack the factor sqrt(n / (n - 1)), and the
    wider tails of Student's t. So percentiles further out are taken, which make up for both (`expanded`; Hesterberg,
    "What teachers should know about the bootstrap", 2015, section 3.3).
    """
    if clusters < 2:
        raise InputError(f"{clusters} cluster: an interval needs at least 2 per domain (evaluation_set.documents)")
    estimate = statistic(np.ones((1, clusters)))

    def replicate(drawn: np.ndarray, axis: int) -> np.ndarray:
        numbers = statistic(_weights(drawn, clusters))
        return np.stack([numbers[name] for name in estimate])

    from scipy.stats import bootstrap  # takes longer to import than many a stage that names intervals takes to run

    result = bootstrap(
        (np.arange(clusters),),
        replicate,
        n_resamples=resamples,
        confidence_level=expanded(confidence, clusters),
        method="percentile",
        vectorized=True,
        rng=rng,
    )
    errors = result.standard_error * sqrt(clusters / (clusters - 1))
    ends = zip(estimate.items(), *result.confidence_interval, errors, strict=True)
    return {name: Interval(float(value[0]), *map(float, numbers)) for (name, value), *numbers in ends}


def expanded(confidence: float, clusters: int) -> float:
    """The confidence of a percentile interval of the mean of so many normal numbers that covers as often as Student's
    interval of this confidence does.
    """
    ends = sqrt(clusters / (clusters - 1)) * stdtrit(clusters - 1, (1 + confidence) / 2)
    return float(2 * ndtr(ends) - 1)


def cross_fitted(sums: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """[clusters] for each cluster, the index of the option with the lowest mean over the other half of the clusters.

    Whatever is best of many on the very tokens that it is then scored on looks better than it is: the winner's curse.
    So a cluster's own half has no say in what is chosen for it. Halves and not all other clusters: where options are
    nearly equal, a cluster with a high loss under one turns the others away from it and itself towards it, and numbers
    of clusters that should be independent move together. Of 24 clusters and equal options, an interval of 95 % then
    misses the truth in half of all data sets, with two halves in a twentieth (tests/test_stats.py). Every other cluster
    makes a half. sums [clusters, options], counts [clusters] of tokens, in order of the clusters' ids. Of equal options
    the first. InputError below two clusters.
    """
    if len(sums) < 2:
        raise InputError("1 cluster: to choose on others needs at least 2 per domain (evaluation_set.documents)")
    choices = [(sums[half::2].sum(axis=0) / counts[half::2].sum()).argmin() for half in (1, 0)]
    return np.resize(choices, len(sums))


def kept(sums: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """[clusters] the sum of each cluster under the option that the other half chooses for it; sums, counts as there."""
    return sums[np.arange(len(sums)), cross_fitted(sums, counts)]


class Study:
    """One question about one model and domain, summed by cluster: the base of everything in duo.studies.

    A study says what its numbers are where every cluster counts as often as its weight; intervals and the rows of its
    tables follow. All numbers of a study come from the same replicates, so their differences are paired.
    """

    ids: dict[str, str]  # columns of every row, such as model and domain
    clusters: int
    stream: tuple[str, ...]  # purpose of its random numbers: studies of one purpose share their replicates

    def numbers(self, weights: np.ndarray) -> Numbers:
        """Each number [replicates] by its key, for weights [replicates, clusters]."""
        raise NotImplementedError

    def intervals(self, resamples: int, confidence: float, seed: int) -> Intervals:
        """Every number with its interval. The same seed gives the same replicates."""
        rng = seeds.stream(seed, *self.stream)
        return intervals(self.numbers, self.clusters, resamples, confidence, rng)

    def rows(self, estimates: Intervals, kind: type, value: str = "value") -> list[dict[str, Any]]:
        """Rows of a table: the ids, the fields of every key of this kind, its interval as value, low and high, and its
        standard error, over how many clusters.
        """
        return [
            self.ids
            | asdict(key)
            | {value: interval.value, "low": interval.low, "high": interval.high}
            | {"error": interval.error, "clusters": self.clusters}
            for key, interval in estimates.items()
            if type(key) is kind
        ]

    def tables(self, estimates: Intervals) -> dict[Any, Any]:
        """Every table of duo.tables that the study fills: a list of rows, or an Arrow table, by table."""
        raise NotImplementedError


def ends(name: str, interval: Interval) -> dict[str, float]:
    """Columns NAME, NAME_low and NAME_high of a table whose rows hold several estimates."""
    return {name: interval.value, f"{name}_low": interval.low, f"{name}_high": interval.high}


def _weights(drawn: np.ndarray, clusters: int) -> np.ndarray:
    """How often each cluster was drawn: [replicates, clusters] of drawn [replicates, draws]."""
    cells = drawn + clusters * np.arange(len(drawn))[:, None]
    return np.bincount(cells.ravel(), minlength=len(drawn) * clusters).reshape(len(drawn), clusters).astype(np.float64)


def weighted_sums(weights: np.ndarray, sums: np.ndarray) -> np.ndarray:
    """[replicates, ...] totals of sums [clusters, ...] under weights [replicates, clusters].

    Not a BLAS product: its last digits would depend on the number of threads.
    """
    return np.einsum("rd,d...->r...", weights, sums)


class Clusters:
    """Numbers of single tokens, made statistics for `intervals`: tokens are drawn with their cluster. clusters
    [tokens]: ids.
    """

    def __init__(self, clusters: np.ndarray):
        self.names, self._cluster = np.unique(clusters, return_inverse=True)

    def __len__(self) -> int:
        return len(self.names)

    def sums(self, values: np.ndarray) -> np.ndarray:
        """[clusters] sums of values [tokens]."""
        return np.bincount(self._cluster, values, minlength=len(self))

    def enough(self, tokens: np.ndarray, clusters: int) -> bool:
        """Whether so many clusters, or all where there are fewer, have any of the tokens [tokens] bool."""
        return (self.sums(tokens) > 0).sum() >= min(clusters, len(self))

    def mean(self, weights: np.ndarray, values: np.ndarray, tokens: np.ndarray) -> np.ndarray:
        """[replicates] mean of values over the tokens [tokens] bool; a replicate that draws none of them has the full
        sample's.
        """
        total, count = (weighted_sums(weights, self.sums(each)) for each in (values * tokens, tokens))
        return np.divide(total, count, out=np.full(len(weights), values[tokens].mean()), where=count > 0)

    def rank_correlation(self, weights: np.ndarray, x: np.ndarray, y: np.ndarray, tokens: np.ndarray) -> np.ndarray:
        """[replicates] Spearman's correlation of x and y over the tokens [tokens] bool, 0 where one doesn't vary.

        What rank a token has is settled on the full sample; only clusters are drawn anew.
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
    from scipy.stats import rankdata  # likewise

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


def halves(count: int) -> np.ndarray:
    """[count] 1 in the upper half, -1 in the lower, and 0 for the middle one of an odd number."""
    return np.sign(np.arange(count) - (count - 1) / 2)
