"""Small, big or skip at every layer: what the oracle and the mean of all routes cost by how many layers are big and how
many are skipped.
"""

from dataclasses import dataclass
from math import exp
from typing import Any

import numpy as np
import pyarrow as pa

from duo import stats
from duo.stats import Intervals, Study
from duo.studies import curves
from duo.tables.studies import THREE_WAY_CURVES
from duo.terms import ALL_BIG


@dataclass(frozen=True)
class CellLoss:
    """Key of a strategy's mean loss over the routes with so many big and so many skipped layers."""

    strategy: str
    big: int
    skip: int


class ThreeWayCurves(Study):
    """One domain's THREE_WAY, summed by cluster."""

    stream = ("three_way",)

    def __init__(self, table: pa.Table) -> None:
        self.ids = {name: table[name][0].as_py() for name in ("model", "domain")}
        names, cluster = np.unique(table["cluster"].to_numpy(), return_inverse=True)
        big_and_skip = np.stack([table["big"].to_numpy(), table["skip"].to_numpy()])
        pairs, cell = np.unique(big_and_skip, axis=1, return_inverse=True)
        losses = {
            "oracle": table["oracle_loss"].to_numpy(),
            "mean": table["loss_sum"].to_numpy() / table["routes"].to_numpy(),
        }
        shape = (len(names), pairs.shape[1])
        at, size = np.ravel_multi_index((cluster, cell), shape), np.prod(shape)
        self.clusters = len(names)
        self.cells, self.all_big = pairs.T.tolist(), int(pairs[0].argmax())  # (big, skip) of each; which is all-big
        self.tokens = np.bincount(at, minlength=size).reshape(shape)  # [clusters, cells]
        self.sums = {name: np.bincount(at, values, minlength=size).reshape(shape) for name, values in losses.items()}

    def numbers(self, weights: np.ndarray) -> stats.Numbers:
        """Losses by CellLoss, and less that of all layers big, each [replicates]."""
        tokens = stats.weighted_sums(weights, self.tokens)
        numbers, all_big = {}, {}
        for strategy, sums in self.sums.items():
            means = stats.weighted_sums(weights, sums) / tokens
            for (big, skip), mean in zip(self.cells, means.T, strict=True):
                numbers[CellLoss(strategy, big, skip)] = mean
                all_big[CellLoss(strategy, big, skip)] = means[:, self.all_big]
        return numbers | curves.paired(numbers, {ALL_BIG: all_big})

    def tables(self, estimates: Intervals) -> dict[Any, Any]:
        rows = []
        for row in self.rows(estimates, CellLoss, "loss"):
            key = CellLoss(row["strategy"], row["big"], row["skip"])
            rows.append(row | {"perplexity": exp(row["loss"])} | curves.differences(estimates, key, ALL_BIG))
        return {THREE_WAY_CURVES: rows}
