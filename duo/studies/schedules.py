"""Budgets that change along a sequence (paper, figure 4c): is it better to spend big layers early, late or evenly?

Nothing is computed anew: a token's loss under a schedule is its loss at the budget of its position.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from math import exp
from typing import Any

import numpy as np
import pyarrow as pa

from duo import stats
from duo.stats import Intervals, Statistic, Study
from duo.studies.documents import by_cluster, clusters_of, part
from duo.tables.studies import SCHEDULE_POSITIONS, SCHEDULE_STATISTICS, SCHEDULES

STRATEGIES = {"oracle": "oracle_loss", "mean": "mean_loss"}  # and their columns in SELECTIONS
CONTRASTS = [("falling", "constant"), ("rising", "constant"), ("falling", "shuffled"), ("rising", "shuffled")]
FAMILIES = {"oracle": "oracle_difference", "mean": "mean_difference"}  # of the statistics, by strategy
STRETCHES = 8  # of a sequence: the losses by position are means over one


@dataclass(frozen=True)
class ScheduleLoss:
    """Key of a strategy's mean loss under a schedule, over the whole sequence."""

    schedule: str
    strategy: str


@dataclass(frozen=True)
class StretchLoss:
    """Key of a strategy's mean loss under a schedule, over the positions from `first` to `last`."""

    schedule: str
    strategy: str
    first: int
    last: int


ORDER_COST = Statistic(
    "order_cost",
    "oracle",
    "shuffled",
    words="oracle with a budget that falls or rises along the sequence, mean of both, less the same budgets in random "
    "order",
)


def difference(strategy: str, schedule: str, reference: str) -> Statistic:
    """A strategy's loss under a schedule, less its loss under another, over the whole sequence."""
    subject = {"oracle": "oracle", "mean": "mean of all routes"}[strategy]
    verb = {"falling": "falls", "rising": "rises"}[schedule]
    other = {"constant": "a constant budget of the same total", "shuffled": "the same budgets in random order"}[
        reference
    ]
    words = f"{subject} with a budget that {verb} along the sequence, less {other}"
    return Statistic(FAMILIES[strategy], schedule, reference, words=words)


def staircase(first: int, last: int, length: int) -> np.ndarray:
    """[length] whole budgets from about `first` to about `last`, as even as possible and antisymmetric about the
    middle.

    Antisymmetric: a position and its mirror image have twice the mean (first + last) / 2 between them, so that the
    staircase, its reverse and the constant mean spend the same total, whatever the length. The mean must be whole.
    """
    steps = abs(first - last) + 1
    offsets = np.rint(steps * (2 * np.arange(length) + 1 - length) / (2 * length)).astype(np.int64)
    return (first + last) // 2 + np.sign(last - first) * offsets


def schedules(first: int, last: int, length: int) -> dict[str, np.ndarray]:
    """Budgets [length] of every schedule that has one at each position, all of the same total; first is above last."""
    falling = staircase(first, last, length)
    return {"falling": falling, "rising": falling[::-1], "constant": np.full(length, (first + last) // 2)}


class BudgetSchedules(Study):
    """One model's losses on one domain under every schedule.

    budgets: [length] by schedule; losses: sums [clusters, length], nats, by ScheduleLoss; documents [clusters]: how
    many each has.
    """

    stream = ("schedules",)

    def __init__(
        self,
        model: str,
        domain: str,
        budgets: dict[str, np.ndarray],
        losses: dict[ScheduleLoss, np.ndarray],
        documents: np.ndarray,
    ) -> None:
        self.ids = {"model": model, "domain": domain}
        self.budgets, self.losses, self.documents = budgets, losses, documents
        self.clusters, self.length = next(iter(losses.values())).shape

    def numbers(self, weights: np.ndarray) -> stats.Numbers:
        """Losses by ScheduleLoss and by StretchLoss, and their differences, each [replicates]."""
        total = stats.weighted_sums(weights, self.documents)
        numbers = {}
        for key, losses in self.losses.items():
            numbers[key] = stats.weighted_sums(weights, losses.mean(axis=1)) / total
            for stretch in stretches(self.length):
                at = StretchLoss(key.schedule, key.strategy, int(stretch[0]), int(stretch[-1]))
                numbers[at] = stats.weighted_sums(weights, losses[:, stretch].mean(axis=1)) / total
        for (schedule, reference), strategy in product(CONTRASTS, STRATEGIES):
            loss, other = (numbers[ScheduleLoss(name, strategy)] for name in (schedule, reference))
            numbers[difference(strategy, schedule, reference)] = loss - other
        numbers[ORDER_COST] = (
            sum(numbers[difference("oracle", order, "shuffled")] for order in ("falling", "rising")) / 2
        )
        return numbers

    def tables(self, estimates: Intervals) -> dict[Any, Any]:
        losses, by_stretch = (self.rows(estimates, kind, "loss") for kind in (ScheduleLoss, StretchLoss))
        return {
            SCHEDULES: [row | {"perplexity": exp(row["loss"])} for row in losses],
            SCHEDULE_POSITIONS: [row | {"budget": self._mean_budget(row)} for row in by_stretch],
            SCHEDULE_STATISTICS: self.rows(estimates, Statistic),
        }

    def _mean_budget(self, row: dict[str, Any]) -> float:
        """Mean budget of the row's schedule over its stretch."""
        return self.budgets[row["schedule"]][row["first"] : row["last"] + 1].mean()


def stretches(length: int) -> list[np.ndarray]:
    """Positions of each stretch of a sequence; stretches as equal as possible."""
    return np.array_split(np.arange(length), min(STRETCHES, length))


def gather(tables: Mapping[int, pa.Table], first: int, last: int) -> list[BudgetSchedules]:
    """The study of every model and domain; tables are SELECTIONS at each budget from `last` to `first`.

    Beside the three of `schedules` stands `shuffled`: the staircase's budgets in random order, in expectation. It has
    no order to gain by, so what it loses against the constant is the price of unequal budgets alone.
    """
    table = tables[first]
    return [
        _study({budget: part(rows, model, domain) for budget, rows in tables.items()}, model, domain, first, last)
        for model, domain in product(table["model"].unique().to_pylist(), table["domain"].unique().to_pylist())
    ]


def _study(parts: dict[int, pa.Table], model: str, domain: str, first: int, last: int) -> BudgetSchedules:
    length, clusters = len(parts[first]["position"].unique()), clusters_of(parts[first])
    budgets, losses = schedules(first, last, length), {}
    for strategy, column in STRATEGIES.items():
        at = {
            budget: by_cluster(clusters, rows[column].to_numpy().astype(np.float64).reshape(-1, length))
            for budget, rows in parts.items()
        }
        for schedule, steps in budgets.items():
            by_position = [at[budget][:, position] for position, budget in enumerate(steps)]
            losses[ScheduleLoss(schedule, strategy)] = np.stack(by_position, axis=1)
        losses[ScheduleLoss("shuffled", strategy)] = np.mean([at[budget] for budget in budgets["falling"]], axis=0)
    mean = np.full(length, budgets["falling"].mean())
    documents = by_cluster(clusters, np.ones(len(clusters)))
    return BudgetSchedules(model, domain, budgets | {"shuffled": mean}, losses, documents)
