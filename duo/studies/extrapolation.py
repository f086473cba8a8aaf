"""How much of the oracle's gain grows with the number of routes that it may try? A second estimator of luck.

The best of m routes that differ by nothing but independent normal noise of standard deviation sigma lies c(m) sigma
below their mean in expectation, c(m) being the expected maximum of m standard normals. So the gain of the best of m
random routes over the mean route is drawn over c(m): the slope of a line through its upper end is what grows with the
number of tries, the bias of a minimum, and where the line meets c = 0 is what doesn't grow, the remainder.

It takes the routes of a budget to be alike but for noise that is near normal and independent, and is a check, no proof.
The curve begins at 0, the best of one being the mean, so the remainder measures how the curve bends, and whatever bends
it looks like a remainder, or hides one:

- Noise that routes share in clusters, as routes that have big layers in common do, bends it down: the first tries fall
  into different clusters, the last ones into clusters already tried. The remainder is then above 0 though all is luck.
  With 12 layers of independent normal effects and nothing else, it is 29 % of the gain at budget 6, 14 % at budget 2
  and none at budget 1; with noise of each route's own on top that is three times as large in variance, below 1 %. With
  4 to 16 clusters of routes that share half of their variance, it is 6 to 8 % at budget 6.
- Losses can't fall below 0. Noise that is skewed like that bends it down, too, and by more: of gamma noise of shape 4,
  the remainder is half of the gain at budget 6. Tails that reach far down bend it up: the remainder is below 0.
- Routes that are better for all tokens, and those that are better for a token on its own, look the same; and where the
  difference is below the noise, it hardly bends the curve: half of the routes better by one standard deviation leave
  3 % at budget 6, by two 13 %.

So a remainder near 0 speaks for luck, while a large one may be either. tests/studies/test_extrapolation.py has these.
"""

from dataclasses import asdict, dataclass
from functools import cache
from math import comb
from typing import Any

import numpy as np
import pyarrow as pa

from duo import stats
from duo.routes import RouteSpace
from duo.stats import Intervals, Statistic, Study
from duo.studies import all_routes
from duo.studies.all_routes import DomainSums, Measures, Sums
from duo.studies.spectrum import expected_maximum
from duo.tables.studies import EXTRAPOLATION_CURVES, EXTRAPOLATION_STATISTICS
from duo.terms import MEAN, ORACLE

EITHER = "above 0 it may be luck that routes share, and is no real gain by itself"  # beside every remainder


@dataclass(frozen=True)
class BestOf:
    """Key of the gain of the best of so many random routes of a budget over their mean, in nats per token."""

    budget: int
    tries: int


def ladder(routes: int) -> list[int]:
    """1, 2, 4 and so on below the number of routes, and all of them."""
    return [2**power for power in range((routes - 1).bit_length())] + [routes]


def upper(rungs: int) -> slice:
    """The upper half of so many rungs of a ladder, the middle one included: two at least, where there are two."""
    return slice((rungs - 1) // 2, rungs)


@cache
def gain_weights(routes: int) -> np.ndarray:
    """[rungs, routes] what each of a token's losses, lowest first, counts in the gain of the best of m over the mean.

    Of the comb(routes, m) sets of m different routes, comb(routes - 1 - i, m - 1) have loss i as their lowest.
    """
    ranks = range(routes)
    lowest = [[comb(routes - 1 - i, m - 1) / comb(routes, m) for i in ranks] for m in ladder(routes)]
    return 1 / routes - np.array(lowest)


def measure(losses: np.ndarray, space: RouteSpace, budgets: list[int]) -> Measures:
    """By budget [tokens, rungs]: the expected gain of the best of m routes of the budget, drawn without replacement,
    over their mean, in nats; m as in `ladder`. losses [tokens, routes] in nats, in order of code.
    """
    ordered = {budget: np.sort(losses[:, space.with_budget(budget)], axis=1) for budget in budgets}
    return {
        budget: np.einsum("tr,mr->tm", values.astype(np.float64), gain_weights(values.shape[1]))
        for budget, values in ordered.items()
    }


def line(tries: list[int], gains: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Slope and value at c = 0, each [replicates], of the least squares line through the upper half of gains [rungs,
    replicates] over c(tries).

    Two routes leave two points, of which the first is 0: the value is 0, whatever the losses.
    """
    maxima = np.array([expected_maximum(count) for count in tries])[upper(len(tries))]
    gains = gains[upper(len(tries))]
    slope = stats.slopes(maxima[:, None], gains)
    return slope, gains.mean(axis=0) - slope * maxima.mean()


class Extrapolation(Study):
    """One model and domain: the gains of the best of m, by budget, summed by cluster [clusters, rungs]."""

    stream = ("extrapolation",)

    def __init__(self, model: str, layers: int, domain: DomainSums) -> None:
        self.ids = {"model": model, "domain": domain.name}
        self.tokens, self.sums, self.clusters = domain.tokens, domain.sums, len(domain.tokens)
        self.ladders = {budget: ladder(comb(layers, budget)) for budget in domain.sums}

    def numbers(self, weights: np.ndarray) -> stats.Numbers:
        tokens = stats.weighted_sums(weights, self.tokens)
        numbers = {}
        for budget, tries in self.ladders.items():
            gains = stats.weighted_sums(weights, self.sums[budget]).T / tokens
            numbers |= {BestOf(budget, count): gain for count, gain in zip(tries, gains, strict=True)}
            if len(tries) > 1:
                slope, value = line(tries, gains)
                share = np.divide(value, gains[-1], out=np.zeros_like(value), where=gains[-1] > 0)
                numbers |= {growth(budget): slope, remainder(budget): value, remainder_share(budget): share}
        return numbers

    def tables(self, estimates: Intervals) -> dict[Any, Any]:
        gains = {key: interval for key, interval in estimates.items() if isinstance(key, BestOf)}
        return {
            EXTRAPOLATION_CURVES: [
                self.ids | asdict(key) | self._place(key) | stats.ends("gain", interval)
                for key, interval in gains.items()
            ],
            EXTRAPOLATION_STATISTICS: self.rows(estimates, Statistic),
        }

    def _place(self, key: BestOf) -> dict[str, float | bool]:
        """Where the point lies, and whether the line goes through it."""
        tries = self.ladders[key.budget]
        fitted = len(tries) > 1 and key.tries in tries[upper(len(tries))]
        return {"expected_maximum": expected_maximum(key.tries), "fitted": fitted}


def document_sums(table: pa.Table, space: RouteSpace, budgets: list[int]) -> Sums:
    """Tokens, and the gains summed over them, of each document in a shard of ROUTE_LOSSES."""
    return all_routes.document_sums(table, space, lambda losses: measure(losses, space, budgets), "extrapolation")


def gather(model: str, layers: int, sums: Sums) -> list[Extrapolation]:
    """The study of every domain of a model, from document_sums of all its shards."""
    return [Extrapolation(model, layers, domain) for domain in all_routes.domains(sums)]


def growth(budget: int) -> Statistic:
    """What grows with the number of tries: the slope of the line, in nats per standard deviation of the best."""
    words = (
        f"gain of the best of some random routes at budget {budget} over the mean route, per unit of the expected "
        "maximum of as many standard normals: what grows with the number of tries"
    )
    return Statistic("growth", ORACLE, MEAN, budget, words=words)


def remainder(budget: int) -> Statistic:
    """What doesn't grow: the line's value where that maximum is 0, in nats."""
    words = f"part of the oracle's gain over the mean route at budget {budget} that does not grow with the tries"
    words += f"; {EITHER}"
    return Statistic("remainder", ORACLE, MEAN, budget, words=words)


def remainder_share(budget: int) -> Statistic:
    """The same as a share of the gain of the best of all routes; 0 where there is none."""
    words = f"share of the oracle's gain over the mean route at budget {budget} that does not grow with the tries"
    words += f"; {EITHER}"
    return Statistic("remainder_share", ORACLE, MEAN, budget, words=words)
