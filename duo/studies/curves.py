"""What can be asked of any curve of losses over budgets, whoever chose the routes: the oracle, or who knows less.

What is compared is compared pairwise: the loss less that of a reference on the same tokens, in every replicate. Its
interval is much narrower than those of both losses, which rise and fall together with how hard the drawn documents are.

Answers are shares of a difference that the model itself has, so that models and kinds of text compare. The best of
many options, on the tokens that it is scored on, looks better than it is; so an option is chosen for each half of the
clusters on the other (duo.stats.cross_fitted), and its choice stays as it is in the bootstrap.
"""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from math import nan

import numpy as np

from duo import stats
from duo.stats import Interval, Intervals

NO_NUMBER = Interval(nan, nan, nan)


@dataclass(frozen=True)
class LossFrom:
    """Key of a loss less that of a reference on the same tokens; loss: the key of the loss."""

    loss: Hashable
    reference: str


def paired(losses: stats.Numbers, references: Mapping[str, Mapping[Hashable, np.ndarray]]) -> stats.Numbers:
    """By LossFrom, each of `losses` [replicates] less those of the references, by name, that there are for its key."""
    return {
        LossFrom(key, name): loss - reference[key]
        for name, reference in references.items()
        for key, loss in losses.items()
        if key in reference
    }


def differences(estimates: Intervals, loss: Hashable, *references: str) -> dict[str, float]:
    """Columns from_REFERENCE of the row of a loss, with their ends; no number where there is no such reference."""
    columns = {}
    for name in references:
        columns |= stats.ends(f"from_{name}", estimates.get(LossFrom(loss, name), NO_NUMBER))
    return columns


def taken(sums: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """[clusters] sums [clusters, options] of the option that each cluster has, an index [clusters]."""
    return np.take_along_axis(sums, chosen[:, None], axis=1)[:, 0]


def stacked(curve: Mapping[int, np.ndarray]) -> np.ndarray:
    """[clusters, budgets] of sums [clusters] by budget."""
    return np.stack([*curve.values()], axis=1)


def share_of_depth(weights: np.ndarray, part: np.ndarray, small: np.ndarray, big: np.ndarray) -> np.ndarray:
    """[replicates] part over what all layers big gain over all layers small, sums of losses [clusters] each.

    0 where they gain nothing.
    """
    part, depth = stats.weighted_sums(weights, part), stats.weighted_sums(weights, small - big)
    return np.divide(part, depth, out=np.zeros_like(part), where=depth > 0)


def distance_from_lowest(
    weights: np.ndarray, curve: Mapping[int, np.ndarray], tokens: np.ndarray, layers: int
) -> np.ndarray:
    """[replicates] how far half of the layers big lies above the best other budget, over the depth of the curve.

    curve: sums of losses [clusters] over tokens [clusters], by budget. The depth is how far the better end, none or all
    layers big, lies above the best of all budgets. Which budgets and which end these are, the other half of the
    clusters says. Below 0 where half of the layers is best. From -1 to 1, and 1 where the curve has no depth: no end
    then lies above the best budget. Half is compared with other budgets alone, since against itself it would differ by
    exactly 0, without an error, and any test of that would be passed.
    """
    half = layers // 2
    best, other, end = (
        stats.kept(stacked(part), tokens)
        for part in (curve, {k: curve[k] for k in curve if k != half}, {k: curve[k] for k in (0, layers)})
    )
    above, depth = (stats.weighted_sums(weights, part) for part in (curve[half] - other, end - best))
    return np.clip(np.divide(above, depth, out=np.ones_like(above), where=depth > 0), -1, 1)
