"""How far searches that may try few routes are from the exact answer, by how many they have tried.

A search's regret is the lowest loss that it has met, less the lowest there is; a token's best route is found where
that is zero. Searches are compared at their last evaluation with random routes, which need no search at all.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from duo import stats
from duo.stats import Intervals, Statistic, Study
from duo.studies.documents import by_cluster
from duo.tables.studies import SEARCH_CURVES, SEARCH_STATISTICS
from duo.terms import RANDOM

MEASURES = ("regret", "found")  # the last axis of what a search reaches


@dataclass(frozen=True)
class SearchMean:
    """Key of the mean regret, or the share of best routes found, of a method after some evaluations of each token."""

    method: str
    budget: int
    evaluations: int
    measure: str


class SearchCurves(Study):
    """What searches reach on one model and domain.

    reached: by method and budget, [documents, evaluations, 2] as `duo.oracle.search.run` gives it for each document,
    all of as many tokens; clusters: ids [documents]. A method has no numbers before every token has a route.
    """

    stream = ("search", "intervals")

    def __init__(
        self, model: str, domain: str, reached: Mapping[tuple[str, int], np.ndarray], clusters: np.ndarray
    ) -> None:
        self.ids = {"model": model, "domain": domain}
        self.reached = {key: by_cluster(clusters, values) for key, values in reached.items()}
        self.documents = by_cluster(clusters, np.ones(len(clusters)))
        self.clusters = len(self.documents)

    def numbers(self, weights: np.ndarray) -> stats.Numbers:
        numbers = {}
        for (method, budget), values in self.reached.items():
            late = int(np.isinf(values[..., 0]).any(axis=0).sum())  # evaluations before every token has a route
            means = stats.weighted_sums(weights, values[:, late:])
            means /= stats.weighted_sums(weights, self.documents)[:, None, None]
            numbers |= {
                SearchMean(method, budget, late + step, measure): means[:, step - 1, column]
                for step in range(1, means.shape[1] + 1)
                for column, measure in enumerate(MEASURES)
            }
        return numbers | self._differences(numbers)

    def tables(self, estimates: Intervals) -> dict[Any, Any]:
        rows: dict[tuple, dict[str, Any]] = {}
        for key in (key for key in estimates if isinstance(key, SearchMean)):
            point = {"method": key.method, "budget": key.budget, "evaluations": key.evaluations}
            row = rows.setdefault(tuple(point.values()), self.ids | point)
            row |= stats.ends(key.measure, estimates[key])
        return {SEARCH_CURVES: list(rows.values()), SEARCH_STATISTICS: self.rows(estimates, Statistic)}

    def _differences(self, numbers: stats.Numbers) -> stats.Numbers:
        """Regrets less those of random routes, at the last evaluation."""
        last = {
            (method, budget): numbers.get(SearchMean(method, budget, values.shape[1], "regret"))
            for (method, budget), values in self.reached.items()
        }
        return {
            regret_less_random(method, budget): regret - last[RANDOM, budget]
            for (method, budget), regret in last.items()
            if method != RANDOM and regret is not None
        }


def regret_less_random(method: str, budget: int) -> Statistic:
    """A method's regret at its last evaluation, less that of random routes."""
    shown = method.replace("_", " ")
    words = f"regret of search {shown} at budget {budget}, less that of random routes, all evaluations spent"
    return Statistic("regret_difference", method, RANDOM, budget, words=words)
