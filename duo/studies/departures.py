"""Is the gain of few departures from all big real? What an oracle gains over them, and what of that would be luck.

The rest, what the model's own prediction does not explain, is 0 in expectation where that prediction is right
(docs/gain.md). All numbers come from the same replicates of documents.
"""

from typing import NamedTuple

import numpy as np

from duo import seeds, stats
from duo.routes import RouteSpace
from duo.stats import Interval
from duo.terms import BIG


class ByDepartures(NamedTuple):
    """Gains over the model as it is, all big, nats per token with intervals over documents; at most so many departures.

    gain: of the oracle, which takes each token's best route. null_gain: what it would be if labels came as the model
    predicts them. unexplained: the one less the other, 0 in expectation where the prediction is right. foreseen: of the
    routes that the prediction expects to be best, which see no label. fixed: of the one route that is best on other
    documents.
    """

    departures: int
    routes: int
    gain: Interval
    null_gain: Interval
    unexplained: Interval
    foreseen: Interval
    fixed: Interval


NAMES = ByDepartures._fields[2:]  # of its numbers


def by_departures(
    losses: np.ndarray,
    expected: np.ndarray,
    null: np.ndarray,
    space: RouteSpace,
    resamples: int,
    confidence: float,
    seed: int,
) -> list[ByDepartures]:
    """A row for each number of departures from 1.

    losses, expected [documents, length, routes] and null [departures + 1, documents, length] as
    duo.oracle.departures.Walked has them. InputError of fewer than two documents.
    """
    departures = space.places - space.counts(BIG)
    reference = int(np.flatnonzero(departures == 0)[0])
    tokens = np.full(len(losses), losses.shape[1])
    sums = losses.sum(axis=1, dtype=np.float64)  # [documents, routes]
    plain, expected_plain = sums[:, reference], expected[..., reference].sum(axis=1, dtype=np.float64)
    gains: dict[tuple[str, int], np.ndarray] = {}
    for most in range(1, departures.max() + 1):
        among = np.flatnonzero(departures <= most)
        chosen = expected[..., among].argmin(axis=-1)[..., None]
        foreseen = np.take_along_axis(losses[..., among], chosen, axis=-1)[..., 0]
        gains |= {
            ("gain", most): plain - losses[..., among].min(axis=-1).sum(axis=1, dtype=np.float64),
            ("null_gain", most): expected_plain - null[most].sum(axis=1),
            ("foreseen", most): plain - foreseen.sum(axis=1, dtype=np.float64),
            ("fixed", most): plain - stats.kept(sums[:, among], tokens),
        }
        gains["unexplained", most] = gains["gain", most] - gains["null_gain", most]

    def means(weights: np.ndarray) -> stats.Numbers:
        total = stats.weighted_sums(weights, tokens)
        return {key: stats.weighted_sums(weights, each) / total for key, each in gains.items()}

    found = stats.intervals(means, len(tokens), resamples, confidence, seeds.stream(seed, "audit"))
    return [
        ByDepartures(most, int((departures <= most).sum()), *(found[name, most] for name in NAMES))
        for most in range(1, departures.max() + 1)
    ]
