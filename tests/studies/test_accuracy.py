"""Shares of right answers by hand."""

import pyarrow as pa
from made_up import tabled

from duo.studies import accuracy
from duo.tables.answers import PRETRAINED_HARNESS, TASK_ACCURACY

QUESTION = {"p_big": 1.0, "document": "q", "cluster": "q", "item": 0, "log_likelihoods": [0.0]}


def question(task: str, label: int, likeliest: int, correct: bool, answers: int) -> dict:
    row = QUESTION | {"model": "tiny", "domain": task, "label": label, "likeliest": likeliest, "choice": 0}
    return row | {"correct": correct, "lengths": [3] * answers}


def test_acc_and_acc_norm_of_every_task():
    rows = [question("a", 1, 1, False, 4), question("a", 0, 1, True, 2), question("b", 1, 1, True, 5)]
    rows += [question("a", 2, 2, False, 4), question("a", 3, 1, False, 4), question("b", 1, 1, True, 5)]
    studies = list(accuracy.gather(pa.Table.from_pylist(rows, PRETRAINED_HARNESS.schema)))
    found = tabled(TASK_ACCURACY, *((study, study.intervals(100, 0.9, 1)) for study in studies)).to_pylist()
    assert [(row["task"], row["metric"], row["count"], row["value"]) for row in found] == [
        *(("a", "acc", 4, 0.5), ("a", "acc_norm", 4, 0.25), ("a", "guessing", 4, (0.25 * 3 + 0.5) / 4)),
        *(("b", "acc", 2, 1.0), ("b", "acc_norm", 2, 1.0), ("b", "guessing", 2, 0.2)),
    ]
    assert all(row["low"] <= row["value"] <= row["high"] for row in found)
    assert list(accuracy.gather(PRETRAINED_HARNESS.schema.empty_table())) == []
