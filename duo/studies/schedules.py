"""Budgets that change along a sequence (paper, figure 4c): is it better to spend big layers early, late or evenly?

Nothing is computed anew: a token's loss under a schedule is its loss at the budget of its position.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from math import exp

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from duo import seeds, stats

STRATEGIES = {"oracle": "oracle_loss", "mean": "mean_loss"}  # and their columns in SELECTIONS
CONTRASTS = [("falling", "constant"), ("rising", "constant"), ("falling", "shuffled"), ("rising", "shuffled")]
BINS = 8  # stretches of a sequence that the losses by position are means over


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


@dataclass(frozen=True)
class Scheduled:
    """What the schedules make of one model's losses on one domain.

    budgets: [time] by schedule; losses: [documents, time], nats, by (schedule, strategy).
    """

    model: str
    domain: str
    budgets: dict[str, np.ndarray]
    losses: dict[tuple[str, str], np.ndarray]

    def numbers(self, weights: np.ndarray) -> stats.Numbers:
        """Means by (schedule, strategy) and by (schedule, strategy, bin), and contrasts by name, each [replicates]."""
        drawn = weights.sum(axis=1)
        found = {}
        for key, losses in self.losses.items():
            found[key] = stats.weighted_sums(weights, losses.mean(axis=1)) / drawn
            for index, part in enumerate(bins(losses.shape[1])):
                found[*key, index] = stats.weighted_sums(weights, losses[:, part].mean(axis=1)) / drawn
        for first, second in CONTRASTS:
            found[f"{first}-{second}"] = found[first, "oracle"] - found[second, "oracle"]
            found[f"{first}_mean-{second}_mean"] = found[first, "mean"] - found[second, "mean"]
        return found

    def intervals(self, resamples: int, confidence: float, seed: int) -> dict:
        """`numbers` of all documents, each an Interval."""
        documents = len(self.losses["constant", "oracle"])
        return stats.intervals(self.numbers, documents, resamples, confidence, seeds.stream(seed, "schedules"))


def bins(length: int) -> list[np.ndarray]:
    """Positions of each stretch of a sequence; stretches as equal as possible."""
    return np.array_split(np.arange(length), min(BINS, length))


def scheduled(tables: Mapping[int, pa.Table], first: int, last: int) -> list[Scheduled]:
    """Every model's domains under every schedule; tables are SELECTIONS at each budget from `last` to `first`.

    Beside the three of `schedules` stands `shuffled`: the staircase's budgets in random order, in expectation. It has
    no order to gain by, so what it loses against the constant is the price of unequal budgets alone.
    """
    table = tables[first]
    return [
        _scheduled({budget: _part(each, model, domain) for budget, each in tables.items()}, model, domain, first, last)
        for model, domain in product(table["model"].unique().to_pylist(), table["domain"].unique().to_pylist())
    ]


def _scheduled(parts: dict[int, pa.Table], model: str, domain: str, first: int, last: int) -> Scheduled:
    length = len(parts[first]["position"].unique())
    budgets, losses = schedules(first, last, length), {}
    for strategy, column in STRATEGIES.items():
        at = {budget: part[column].to_numpy().astype(np.float64).reshape(-1, length) for budget, part in parts.items()}
        for name, steps in budgets.items():
            losses[name, strategy] = np.stack(
                [at[budget][:, position] for position, budget in enumerate(steps)], axis=1
            )
        losses["shuffled", strategy] = np.mean([at[budget] for budget in budgets["falling"]], axis=0)
    mean = np.full(length, budgets["falling"].mean())
    return Scheduled(model, domain, budgets | {"shuffled": mean}, losses)


def _part(table: pa.Table, model: str, domain: str) -> pa.Table:
    """The rows of one model and domain, by document and position."""
    part = table.filter(pc.and_(pc.equal(table["model"], model), pc.equal(table["domain"], domain)))
    return part.sort_by([("document", "ascending"), ("position", "ascending")])


def curves(domain: Scheduled, found: dict) -> pa.Table:
    """SCHEDULES of one domain; `found` from Scheduled.intervals."""
    rows = []
    for schedule, strategy in domain.losses:
        loss = found[schedule, strategy]
        rows.append({"schedule": schedule, "strategy": strategy} | _ends(loss) | {"perplexity": exp(loss.value)})
    return _table(domain, rows)


def positions(domain: Scheduled, found: dict) -> pa.Table:
    """SCHEDULE_POSITIONS of one domain; `found` from Scheduled.intervals."""
    rows = []
    for (schedule, strategy), losses in domain.losses.items():
        for index, part in enumerate(bins(losses.shape[1])):
            place = {"first": part[0], "last": part[-1], "budget": domain.budgets[schedule][part].mean()}
            rows.append({"schedule": schedule, "strategy": strategy} | place | _ends(found[schedule, strategy, index]))
    return _table(domain, rows)


def statistics(domain: Scheduled, found: dict) -> pa.Table:
    """SCHEDULE_STATISTICS of one domain; `found` from Scheduled.intervals."""
    return _table(domain, [{"name": key, **found[key]._asdict()} for key in found if isinstance(key, str)])


def _ends(loss: stats.Interval) -> dict[str, float]:
    return {"loss": loss.value, "low": loss.low, "high": loss.high}


def _table(domain: Scheduled, rows: list[dict]) -> pa.Table:
    return pa.Table.from_pylist([{"model": domain.model, "domain": domain.domain} | row for row in rows])
