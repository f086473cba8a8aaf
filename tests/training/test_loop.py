"""The training loop by itself, on an objective of one number: schedule, rate, checkpoints, what stops it."""

import numpy as np
import pytest
import torch
from made_up import OPTIMIZER
from torch import nn

from duo.errors import InputError
from duo.model.tensors import write_tensors
from duo.settings import Training
from duo.tables.training import HISTORY
from duo.training import loop

SETTINGS = Training(
    tokens=12 * 4 * 10,
    batch=4,
    **OPTIMIZER,
    validate_every=5,
)
DATA = {
    "a": np.arange(20 * 13, dtype=np.uint16).reshape(20, 13),
    "b": np.arange(8 * 13, dtype=np.uint16).reshape(8, 13),
}
MIX = {"a": 0.75, "b": 0.25}


class Square:
    """Two weights, of which one learns: the loss is the square of what it misses the batch's first token by, in
    thousands.
    """

    def __init__(self):
        self.module = nn.Module()
        self.module.learning = nn.Parameter(torch.zeros(1, 1))
        self.module.frozen = nn.Parameter(torch.ones(1, 1), requires_grad=False)
        self.batches = []

    def loss(self, batch, step, steps):
        self.batches.append(batch[:, 0].tolist())
        return (self.module.learning - batch[:, 0] / 1000).square().mean(), {"share": step / steps}

    def validate(self, step, steps):
        return {"validation/a/distance": self.module.learning.item()}


def train(path, objective=None, settings=SETTINGS, **options):
    return loop.train(objective or Square(), settings, DATA, MIX, loop.TrainingRun("square", 1, path, **options))


def test_history_tells_every_step_and_validates_when_due(tmp_path):
    history = train(tmp_path / "c")
    assert [step for step, name, _ in history if name == "train"] == list(range(1, 11))
    assert [value for _, name, value in history if name == "share"] == [step / 10 for step in range(10)]
    assert [step for step, name, _ in history if name.startswith("validation")] == [5, 10]
    assert {name for _, name, _ in history} >= {"learning_rate", "gradient_norm"}


def test_only_weights_that_want_a_gradient_are_trained_and_kept(tmp_path):
    objective = Square()
    train(tmp_path / "c", objective, keep=True)
    assert objective.module.frozen.item() == 1.0 and objective.module.learning.item() != 0.0
    again = Square()
    history = train(tmp_path / "c", again, keep=True)
    assert again.batches == [] and len(history) > 20  # nothing left to do: all of it comes from the checkpoint
    assert again.module.learning.item() == objective.module.learning.item()


def test_a_later_part_begins_where_the_first_ended(tmp_path):
    first, later, whole = Square(), Square(), Square()
    train(tmp_path / "first", first)
    train(tmp_path / "later", later, seen=10 * 4)
    train(tmp_path / "whole", whole, SETTINGS.model_copy(update={"tokens": 2 * SETTINGS.tokens}))
    assert whole.batches[10:] == later.batches and first.batches != later.batches


@pytest.mark.parametrize(("keep", "left"), [(False, "8"), (True, "10")])
def test_the_last_checkpoint_is_that_of_the_end_only_where_it_is_kept(tmp_path, keep, left):
    train(tmp_path / "c", keep=keep)
    with loop.safe_open(tmp_path / "c", "pt") as file:
        assert file.metadata()["step"] == left


def test_columns_and_final_values_of_a_history(tmp_path):
    history = train(tmp_path / "c")
    columns = loop.history_columns(history, 48)
    assert set(columns) == set(HISTORY.schema.names)
    assert list(columns["tokens"]) == [48 * step for step in columns["step"]]
    final = loop.final_values(history, 48)
    assert (final["steps"], final["tokens"]) == (10, 480)
    assert final["train"] == next(value for step, name, value in history if (step, name) == (10, "train"))
    assert "validation/a/distance" in final


def test_a_run_removes_its_checkpoints_and_those_of_its_parts_alone(tmp_path):
    for name in ("c.safetensors", "c-small.safetensors", "d.safetensors"):
        (tmp_path / name).touch()
    loop.TrainingRun("square", 1, tmp_path / "c.safetensors").remove_checkpoints()
    loop.TrainingRun("square", 1, tmp_path / "missing" / "c.safetensors").remove_checkpoints()
    assert [path.name for path in tmp_path.iterdir()] == ["d.safetensors"]


def test_an_observer_sees_the_values_of_every_step(tmp_path):
    seen = []
    history = train(tmp_path / "c", observe=lambda step, values: seen.extend((step, *item) for item in values.items()))
    assert seen == history


def test_a_diverging_run_stops_and_keeps_its_checkpoint(tmp_path):
    class Diverging(Square):
        def loss(self, batch, step, steps):
            loss, more = super().loss(batch, step, steps)
            return (loss * float("nan") if step == 6 else loss), more

    with pytest.raises(InputError, match=r"square: at step 7 the loss is nan.*learning_rate \(now 0.01\)"):
        train(tmp_path / "checkpoint", Diverging())
    assert (tmp_path / "checkpoint").exists()
    assert not list(tmp_path.glob("*.tmp"))


def test_a_damaged_checkpoint_is_one_clear_error(tmp_path):
    (tmp_path / "checkpoint").write_bytes(b"no safetensors")
    with pytest.raises(InputError, match="checkpoint: damaged checkpoint"):
        train(tmp_path / "checkpoint")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda tensors, words: tensors.pop("weight.learning"), "weight.learning"),
        (lambda tensors, words: tensors.pop("exp_avg_sq.learning"), "exp_avg_sq.learning"),
        (
            lambda tensors, words: tensors.update({"weight.learning": torch.zeros(3)}),
            r"weight.learning is of shape \[3\]",
        ),
        (
            lambda tensors, words: tensors.update({"exp_avg.learning": torch.zeros(3)}),
            r"exp_avg.learning is of shape \[3\]",
        ),
        (lambda tensors, words: words.update(step="999"), "step 999 of 10"),
        (lambda tensors, words: words.update(step="0"), "step 0 of 10"),
        (lambda tensors, words: words.update(step="x"), "invalid literal"),
        (lambda tensors, words: words.pop("history"), "history"),
    ],
)
def test_a_checkpoint_that_is_not_of_this_training_is_refused(tmp_path, damage, message):
    path = tmp_path / "checkpoint"
    train(path, keep=True)
    with loop.safe_open(path, "pt") as file:
        tensors, words = {name: file.get_tensor(name) for name in file.keys()}, file.metadata()  # noqa: SIM118
    damage(tensors, words)
    write_tensors(tensors, path, words)
    with pytest.raises(InputError, match=f"checkpoint: damaged checkpoint .*{message}.*; delete it to train"):
        train(path)


def test_schedule_keeps_shares_and_epochs():
    order = loop.schedule({"a": 20, "b": 8}, {"a": 0.75, "b": 0.25}, 80, seed=1)
    from_a, from_b = order[order < 20], order[order >= 20]
    assert (len(from_a), len(from_b)) == (60, 20)
    for epoch in range(3):
        assert sorted(from_a[20 * epoch : 20 * (epoch + 1)]) == list(range(20))
    assert sorted(from_b[:8]) == list(range(20, 28))
    assert not np.array_equal(from_a[:20], from_a[20:40])
    assert not np.array_equal(order, loop.schedule({"a": 20, "b": 8}, {"a": 0.75, "b": 0.25}, 80, seed=2))


def test_shares_are_equal_where_no_mix_says_others():
    rows = {"a": 20, "b": 8, "c": 9}
    equal = dict.fromkeys(rows, 1 / 3)
    np.testing.assert_array_equal(loop.schedule(rows, None, 30, seed=1), loop.schedule(rows, equal, 30, seed=1))


def test_learning_rate_warms_up_and_falls():
    rates = [loop.learning_rate(step, 100, SETTINGS) for step in range(100)]
    assert rates[19] == max(rates) == SETTINGS.learning_rate
    assert rates[:20] == sorted(rates[:20])
    assert rates[20:] == sorted(rates[20:], reverse=True)
    assert rates[-1] == pytest.approx(0.1 * SETTINGS.learning_rate)


def test_temperature_falls_geometrically():
    temperatures = [loop.temperature(step, 5, [2.0, 0.125]) for step in range(5)]
    assert temperatures == pytest.approx([2.0, 1.0, 0.5, 0.25, 0.125])
    assert loop.temperature(0, 1, [2.0, 0.2]) == 2.0
