"""Is the gain of few departures from all big real? What an oracle gains over them, and what of that would be luck.

The rest, what the model's own prediction does not explain, is 0 in expectation where that prediction is right
(docs/gain.md). The prediction is taken at a temperature that other documents fit; what it says as it is stands beside.
All numbers come from the same replicates of documents.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from duo import seeds, stats
from duo.oracle.walked import Walked
from duo.routes import RouteSpace
from duo.stats import Interval
from duo.terms import BIG


class ByDepartures(NamedTuple):
    """Gains over the model as it is, all big, nats per token with intervals over documents; at most so many departures.

    gain: of the oracle, which takes each token's best route. null_gain: what it would be if labels came as the tempered
    prediction says. unexplained: the one less the other, 0 in expectation where that prediction is right. share: the
    null gain over the gain. foreseen: gain of the routes that the tempered prediction expects to be best, which see no
    label. fixed: of the one route that is best on other documents. plain_null_gain, plain_unexplained: by the
    prediction as it is.
    """

    departures: int
    routes: int
    gain: Interval
    null_gain: Interval
    unexplained: Interval
    share: Interval
    foreseen: Interval
    fixed: Interval
    plain_null_gain: Interval
    plain_unexplained: Interval


class BySampled(NamedTuple):
    """The same of losses alone, where labels were sampled; null_gain: the oracle's gain on these."""

    departures: int
    routes: int
    gain: Interval
    null_gain: Interval
    unexplained: Interval
    share: Interval
    fixed: Interval


class Calibrated(NamedTuple):
    """How well the model's prediction, all big, knows the labels, nats per token with intervals over documents.

    cross_entropy and entropy: of the tempered prediction, plain_... of the prediction as it is. One that is as sure as
    it should be has both alike; one that is too sure has less entropy. temperatures: of the first document and every
    other one from there, and of the rest, each fitted on the others.
    """

    cross_entropy: Interval
    entropy: Interval
    plain_cross_entropy: Interval
    plain_entropy: Interval
    temperatures: tuple[float, float]


class Audited(NamedTuple):
    """What is found of a model: a row for each number of departures from 1, and how its prediction was calibrated."""

    rows: list[ByDepartures]
    calibration: Calibrated


Sums = dict[tuple[str, int], np.ndarray]  # [documents], of a number's name and the most departures


def by_departures(found: Walked, space: RouteSpace, resamples: int, confidence: float, seed: int) -> Audited:
    """What a walk over routes of the space found. InputError of fewer than two documents.

    Intervals of the null gain, and of what is left, know that other documents would have made another temperature;
    which routes the prediction expects to be best stays as it is.
    """
    departures = space.places - space.counts(BIG)
    documents, length, _ = found.losses.shape
    tokens = np.full(documents, length)
    document = np.repeat(np.arange(documents), length)
    sums = _gains(found.losses.reshape(len(document), -1), document, departures)
    plain = found.losses[..., departures == 0].sum(axis=(1, 2), dtype=np.float64)
    for most in range(1, departures.max() + 1):
        among = np.flatnonzero(departures <= most)
        chosen = found.expected[..., among].argmin(axis=-1)
        foreseen = np.take_along_axis(found.losses, among[chosen][..., None], axis=-1)
        sums |= {
            ("foreseen", most): plain - foreseen.sum(axis=(1, 2), dtype=np.float64),
            ("null_gain", most): found.null_gain[most].sum(axis=1),
            ("plain_null_gain", most): found.plain_null_gain[most].sum(axis=1),
        }
        sums["plain_unexplained", most] = sums["gain", most] - sums["plain_null_gain", most]
    entropies = {
        "cross_entropy": found.surprisal,
        "entropy": found.entropy,
        "plain_cross_entropy": found.losses[..., departures == 0][..., 0],
        "plain_entropy": found.plain_entropy,
    }
    sums |= {(name, 0): values.sum(axis=1, dtype=np.float64) for name, values in entropies.items()}
    slopes = {("null_gain", most): found.null_slopes[most].sum(axis=1) for most in range(1, departures.max() + 1)}

    def refitted(weights: np.ndarray) -> stats.Numbers:
        """What null gains sum up to beyond their sums, as drawn documents have temperatures of their own."""
        steps = _refit(weights, found.fit_slopes, found.fit_curvatures)
        return {key: stats.weighted_sums(weights * steps, slope) for key, slope in slopes.items()}

    intervals = _intervals(sums, tokens, resamples, confidence, seed, refitted)
    calibration = {name: intervals[name, 0] for name in entropies}
    temperatures = tuple(float(each) for each in found.temperatures[:2])
    rows = _rows(ByDepartures, intervals, departures)
    return Audited(rows, Calibrated(**calibration, temperatures=temperatures))


def by_sampled(
    losses: np.ndarray,
    sampled: np.ndarray,
    document: np.ndarray,
    sampled_document: np.ndarray,
    departures: np.ndarray,
    resamples: int,
    confidence: float,
    seed: int,
) -> list[BySampled]:
    """A row for each number of departures from 1, of losses alone.

    losses [tokens, routes] of true labels, sampled [draws, routes] of labels drawn from what the reference route
    predicts, each token's as often as any other's; document [tokens], sampled_document [draws]: numbers of their
    documents from 0, ascending. departures [routes]: how far each route is from the reference, which alone has 0.
    InputError of fewer than two documents.
    """
    tokens = np.bincount(document)
    draws = np.bincount(sampled_document) / tokens  # for each token
    sums = _gains(losses, document, departures)
    null = _gains(sampled, sampled_document, departures)
    for most in range(1, departures.max() + 1):
        sums["null_gain", most] = null["gain", most] / draws
    return _rows(BySampled, _intervals(sums, tokens, resamples, confidence, seed), departures)


def _gains(losses: np.ndarray, document: np.ndarray, departures: np.ndarray) -> Sums:
    """Gains over the reference of the oracle and of the best route of other documents.

    losses [tokens, routes]; document [tokens]: numbers from 0, ascending.
    """
    tokens = np.bincount(document)
    starts = np.flatnonzero(np.diff(document, prepend=-1))
    by_route = np.add.reduceat(losses, starts, axis=0, dtype=np.float64)  # [documents, routes]
    (reference,) = by_route[:, departures == 0].T
    found = {}
    for most in range(1, departures.max() + 1):
        among = np.flatnonzero(departures <= most)
        oracle = np.bincount(document, losses[:, among].min(axis=-1))
        found["gain", most] = reference - oracle
        found["fixed", most] = reference - stats.kept(by_route[:, among], tokens)
    return found


def _refit(weights: np.ndarray, slopes: np.ndarray, curvatures: np.ndarray) -> np.ndarray:
    """[replicates, documents] how much one over each document's temperature changes where the documents that it is
    fitted on count as often as weights [replicates, documents] say: one step of Newton's method, none of none.

    slopes, curvatures [documents] as Walked's fit_slopes and fit_curvatures.
    """
    steps = np.zeros_like(weights)
    for half in (0, 1):
        own = slice(half, None, 2)
        slope, curvature = (stats.weighted_sums(weights[:, own], each[own]) for each in (slopes, curvatures))
        steps[:, 1 - half :: 2] = -np.divide(slope, curvature, out=np.zeros_like(slope), where=curvature > 0)[:, None]
    return steps


def _intervals(
    sums: Sums,
    tokens: np.ndarray,
    resamples: int,
    confidence: float,
    seed: int,
    more: Callable[[np.ndarray], stats.Numbers] = lambda weights: {},
) -> Mapping[tuple[str, int], Interval]:
    """Means over tokens of sums [documents], with what is unexplained, and the share that the null gain makes up.

    more: what else the sums come to for weights [replicates, documents], by key; nothing where all weights are 1.
    """
    bounds = [most for name, most in sums if name == "null_gain"]

    def numbers(weights: np.ndarray) -> stats.Numbers:
        total, beyond = stats.weighted_sums(weights, tokens), more(weights)
        found = {key: (stats.weighted_sums(weights, each) + beyond.get(key, 0)) / total for key, each in sums.items()}
        for most in bounds:
            gain, null = found["gain", most], found["null_gain", most]
            found["unexplained", most] = gain - null
            found["share", most] = np.divide(null, gain, out=np.zeros_like(gain), where=gain > 0)
        return found

    return stats.intervals(numbers, len(tokens), resamples, confidence, seeds.stream(seed, "audit"))


def _rows(kind: type, intervals: Mapping[tuple[str, int], Interval], departures: Sequence[int]) -> list:
    """A row of the kind, ByDepartures or BySampled, for each number of departures."""
    return [
        kind(most, int((departures <= most).sum()), *(intervals[name, most] for name in kind._fields[2:]))
        for most in range(1, max(departures) + 1)
    ]
