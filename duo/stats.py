"""Intervals by cluster bootstrap: documents are drawn with replacement, never tokens, as a document's tokens are alike.

What is estimated is named by keys: frozen dataclasses whose fields are the columns that tell the rows of a table apart.
So a table is the numbers of one kind of key, and nothing has to be read back out of a name.
"""

from collections.abc import Callable, Hashable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, NamedTuple, Self

import numpy as np
from scipy.stats import bootstrap, rankdata

from duo import seeds
from duo.errors import InputError


class Interval(NamedTuple):
    """An estimate, with the ends of its percentile interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Statistic:
    """Names one number that a claim, a figure or a page may refer to; two are equal whatever their words.

    family: what is measured, such as difference, slope or depth_bias. subject: whose it is, such as oracle or a
    router's name. reference: what the subject is compared with, if anything. budget: big layers per token (their
    mean, where they are chosen by chance), where it is of one budget. labels: true, sampled (from the model's own
    predictions: the null), corrected (selection bias taken off) or difference (true less sampled). words: all
    that in plain English.
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
        raise InputError(f"{documents} document: an interval needs at least 2 per domain (evaluation_set.documents)")
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


class Study:
    """One question about one model and domain, summed by document: the base of everything in duo.studies.

    A study says what its numbers are where every document counts as often as its weight; intervals and the rows of its
    tables follow. All numbers of a study come from the same replicates, so their differences are paired.
    """

    ids: dict[str, str]  # columns of every row, such as model and domain
    documents: int
    stream: tuple[str, ...]  # purpose of its random numbers: studies of one purpose share their replicates

    def numbers(self, weights: np.ndarray) -> Numbers:
        """Each number [replicates] by its key, for weights [replicates, documents]."""
        raise NotImplementedError

    def intervals(self, resamples: int, confidence: float, seed: int) -> Intervals:
        """Every number with its interval. The same seed gives the same replicates."""
        rng = seeds.stream(seed, *self.stream)
        return intervals(self.numbers, self.documents, resamples, confidence, rng)

    def rows(self, estimates: Intervals, kind: type, value: str = "value") -> list[dict[str, Any]]:
        """Rows of a table: the ids, the fields of every key of this kind, and its interval as value, low and high."""
        return [
            self.ids | asdict(key) | {value: interval.value, "low": interval.low, "high": interval.high}
            for key, interval in estimates.items()
            if type(key) is kind
        ]

    def tables(self, estimates: Intervals) -> dict[Any, Any]:
        """Every table of duo.tables that the study fills: a list of rows, or an Arrow table, by table."""
        raise NotImplementedError


def ends(name: str, interval: Interval) -> dict[str, float]:
    """Columns NAME, NAME_low and NAME_high of a table whose rows hold several estimates."""
    return {name: interval.value, f"{name}_low": interval.low, f"{name}_high": interval.high}


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


def halves(count: int) -> np.ndarray:
    """[count] 1 in the upper half, -1 in the lower, and 0 for the middle one of an odd number."""
    return np.sign(np.arange(count) - (count - 1) / 2)
