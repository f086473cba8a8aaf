"""How many questions of other people's tasks a model answers rightly, by the harness's two metrics."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from duo import stats
from duo.stats import Intervals, Study
from duo.tables.answers import TASK_ACCURACY


@dataclass(frozen=True)
class Accuracy:
    """Key of a share of right answers: acc, acc_norm, or what guessing would have."""

    metric: str


class TaskAccuracy(Study):
    """One model on one task; right: by metric, whether it answers each question rightly [questions], or how likely."""

    stream = ("accuracy", "intervals")

    def __init__(self, model: str, task: str, right: Mapping[str, np.ndarray]):
        self.ids, self.right = {"model": model, "task": task}, right
        (self.clusters,) = {len(values) for values in right.values()}

    def numbers(self, weights: np.ndarray) -> stats.Numbers:
        total = weights.sum(axis=1)
        return {Accuracy(metric): stats.weighted_sums(weights, values) / total for metric, values in self.right.items()}

    def tables(self, estimates: Intervals) -> dict[Any, Any]:
        return {TASK_ACCURACY: [row | {"count": self.clusters} for row in self.rows(estimates, Accuracy)]}


def gather(answers: pa.Table) -> Iterator[TaskAccuracy]:
    """The study of every model and task in columns of PRETRAINED_HARNESS."""
    for model in answers["model"].unique().to_pylist():
        of_model = answers.filter(pc.equal(answers["model"], model))
        for task in of_model["domain"].unique().to_pylist():
            part = of_model.filter(pc.equal(of_model["domain"], task))
            likeliest, label = part["likeliest"].to_numpy(), part["label"].to_numpy()
            right = {"acc": likeliest == label, "acc_norm": part["correct"].to_numpy(zero_copy_only=False)}
            right["guessing"] = 1 / pc.list_value_length(part["lengths"]).to_numpy()
            yield TaskAccuracy(model, task, {metric: np.asarray(each, np.float64) for metric, each in right.items()})
