"""The rule that makes an estimate a verdict; docs/claims.md says it in words and why.

A test cuts the numbers that its statistic may have into regions, each of which is a verdict: above the smallest effect
of interest, within it, or beyond it the other way. A region is shown where both of its ends are refuted by one-sided
t-tests (two one-sided tests). All functions work along the last axis of arrays.
"""

from dataclasses import dataclass
from math import inf, log10

import numpy as np
from scipy.special import stdtrit

HOLDS, NO_EFFECT, FAILS, UNDECIDED = "holds", "no such effect", "fails", "undecided"
NOT_APPLICABLE = "not applicable"
VERDICTS = (HOLDS, NO_EFFECT, FAILS, UNDECIDED, NOT_APPLICABLE)
# Whether what a claim rests on is more than the oracle's luck; and, of a chooser that doesn't see the label, whether it
# shows the same. Such a chooser knows less than another might, so that it can't say "like luck".
MORE, LIKE_LUCK, LESS = "more than luck", "like luck", "less than luck"
FORESEEN_LITTLE, NOT_JUDGED = "too little foreseen", "not judged"
BEYOND_LUCK = (MORE, LIKE_LUCK, LESS, FORESEEN_LITTLE, UNDECIDED, NOT_JUDGED, NOT_APPLICABLE)
# What a number is to a claim: what judges it as claimed, and beyond luck, beside PLACEBO of duo.terms; or beside it.
CLAIMED, BEYOND, SHOWN = "claimed", "beyond luck", "shown"
HALVINGS = 40  # of the range of p-values: one is exact to a millionth of a millionth of itself
# In which of few ways a verdict looks.
LOOKS = {HOLDS: "holds", MORE: "holds", FAILS: "fails", LESS: "fails"}
LOOKS |= dict.fromkeys((NO_EFFECT, LIKE_LUCK, FORESEEN_LITTLE), "nothing")
LOOKS |= dict.fromkeys((UNDECIDED, NOT_JUDGED, NOT_APPLICABLE), "undecided")
# Kinds of tests, by where the statistic must lie for a claim to hold: beyond a smallest effect of interest, above or
# below a bound, within a margin of zero.
EFFECT, ABOVE, BELOW, WITHIN = "effect", "above", "below", "within"


@dataclass(frozen=True)
class Pooled:
    """Means over models that differ by their seed alone, with their variances; all arrays of one shape."""

    value: np.ndarray
    of_clusters: np.ndarray  # variance of the mean, by the choice of clusters
    of_seeds: np.ndarray  # variance of the mean, by the seeds of training
    clusters: int
    seeds: int

    @property
    def error(self) -> np.ndarray:
        """Standard error of the mean."""
        return np.sqrt(self.of_clusters + self.of_seeds)

    def reach(self, p_value: np.ndarray | float) -> np.ndarray:
        """How far from the truth the mean lies with this chance at most, on one side."""
        return reach(p_value, (self.of_clusters, self.clusters), (self.of_seeds, self.seeds))


def reach(p_value: np.ndarray | float, *parts: tuple[np.ndarray, int]) -> np.ndarray:
    """How far from the truth an estimate lies with this chance at most, on one side.

    parts: the variance that each of several independent things adds to the estimate's, and how many of them were drawn.
    These are few, seeds most often three. Cochran's rule takes the mean of all Student's quantiles, by what each part
    adds to the variance. Satterthwaite's, which reckons how many degrees of freedom all have together, is wrong too
    often where seeds differ by much: 7 times in 100 instead of 5, and at the levels that many tests need, up to nine
    times as often as it should (tests/test_verdicts.py).
    """
    error = np.sqrt(sum(variance for variance, _ in parts))
    shares = [-variance * stdtrit(max(1, count - 1), p_value) for variance, count in parts]
    return np.divide(sum(shares), error, out=np.zeros_like(error), where=error != 0)  # no error is no number


def pooled(values: np.ndarray, errors: np.ndarray, clusters: int) -> Pooled:
    """Over clusters and seeds of training crossed, from values [..., models] and their errors over clusters, likewise.

    All models are of the same clusters, so that their errors may be one: the mean of them is taken, not what errors
    independent of each other would leave. A single model's error is over clusters alone, and what it shows holds of
    that model.
    """
    seeds = values.shape[-1]
    of_clusters = errors.mean(axis=-1) ** 2
    of_seeds = values.var(axis=-1, ddof=1) / seeds if seeds > 1 else np.zeros_like(of_clusters)
    return Pooled(values.mean(axis=-1), of_clusters, of_seeds, clusters, seeds)


def ends(estimate: Pooled, confidence: float) -> tuple[np.ndarray, np.ndarray]:
    """Lower and upper ends of the interval, of one statistic at a time."""
    reach = estimate.reach((1 - confidence) / 2)
    return estimate.value - reach, estimate.value + reach


def regions(kind: str, delta: float) -> list[tuple[str, float, float]]:
    """(verdict, lower end, upper end) of every region, from below."""
    return {
        EFFECT: [(FAILS, -inf, -delta), (NO_EFFECT, -delta, delta), (HOLDS, delta, inf)],
        ABOVE: [(FAILS, -inf, delta), (HOLDS, delta, inf)],
        BELOW: [(HOLDS, -inf, delta), (FAILS, delta, inf)],
        WITHIN: [(FAILS, -inf, -delta), (HOLDS, -delta, delta), (FAILS, delta, inf)],
    }[kind]


def best_shown(estimate: Pooled, kind: str, delta: float) -> tuple[np.ndarray, np.ndarray]:
    """The verdict of the region that is shown best, and its p-value; each of the estimate's shape.

    The larger one-sided p-value of the region's ends, doubled: a truth between two regions can be missed either way.
    """
    names, lows, highs = zip(*regions(kind, delta), strict=True)
    above = {-inf: np.zeros_like(estimate.value), inf: np.ones_like(estimate.value)}
    above |= {bound: _above(estimate, bound) for bound in lows if bound > -inf}
    one_sided = np.stack([np.maximum(above[low], 1 - above[high]) for low, high in zip(lows, highs, strict=True)])
    return np.array(names)[one_sided.argmin(axis=0)], np.minimum(1, 2 * one_sided.min(axis=0))


def _above(estimate: Pooled, bound: float) -> np.ndarray:
    """One-sided p-value against a truth that is not above the bound: with this chance the mean lies so far off.

    Found by halving, from the smallest that a float tells apart from none up to a half.
    """
    distance = abs(estimate.value - bound)
    low, high = (np.full_like(distance, log10(end)) for end in (1e-16, 0.5))
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        farther = estimate.reach(10**middle) > distance
        low, high = np.where(farther, middle, low), np.where(farther, high, middle)
    chance = np.where((estimate.error == 0) & (distance == 0), 0.5, 10**high)
    return np.where(estimate.value > bound, chance, 1 - chance)


def holm(p_values: np.ndarray) -> np.ndarray:
    """P-values [..., tests] adjusted for the number of tests, by Holm: any that is at most alpha is shown at alpha."""
    tests = p_values.shape[-1]
    order = p_values.argsort(axis=-1)
    steps = np.take_along_axis(p_values, order, axis=-1) * np.arange(tests, 0, -1)
    adjusted = np.empty_like(p_values)
    np.put_along_axis(adjusted, order, np.minimum(1, np.maximum.accumulate(steps, axis=-1)), axis=-1)
    return adjusted


def given(verdicts: np.ndarray, p_values: np.ndarray, alpha: float) -> np.ndarray:
    """Each verdict where its p-value is at most alpha, else undecided."""
    return np.where(p_values <= alpha, verdicts, UNDECIDED)
