"""Training under random routes: which weights learn, under which routes, and exact resume."""

import numpy as np
import pytest
import torch
from made_up import OPTIMIZER
from safetensors import safe_open

from duo.model.device import Device
from duo.model.switched import FFN
from duo.model.transformer import Duo, Shape
from duo.settings import Pretrain
from duo.terms import SMALL
from duo.training import loop, pretrain

SHAPE = Shape(vocabulary=40, sequence=12, layers=3, width=16, heads=2, big=24, small=6)
DEVICE = Device()
SETTINGS = Pretrain(
    tokens=12 * 4 * 10,
    batch=4,
    mix={"a": 0.75, "b": 0.25},
    p_big=0.5,
    p_skip=0.0,
    **OPTIMIZER,
    validate_every=5,
)


def rows(seed: int, count: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, SHAPE.vocabulary, (count, SHAPE.sequence + 1)).astype(np.uint16)


DATA = {"a": rows(0, 20), "b": rows(1, 8)}
VALIDATION = {"a": rows(2, 5), "b": rows(3, 5)}


def train(path, settings=SETTINGS, observe=lambda step, values: None, seed=1, big_first=0.0):
    data = {"train": DATA, "validation": VALIDATION}
    return pretrain.train(
        SHAPE,
        settings,
        Device(precision=settings.precision),
        data,
        loop.TrainingRun("model", seed, path, observe),
        big_first,
    )


def weights(duo: Duo, part: str = "") -> dict[str, torch.Tensor]:
    return {name: weight for name, weight in duo.named_parameters() if part in name}


def equal(ones: dict[str, torch.Tensor], others: dict[str, torch.Tensor]) -> list[bool]:
    return [torch.equal(one, other) for one, other in zip(ones.values(), others.values(), strict=True)]


class Killed(Exception):
    pass


def kill_at(step: int):
    def observe(now: int, values: dict) -> None:
        if now == step:
            raise Killed

    return observe


@pytest.mark.parametrize(
    ("change", "big_first"),
    [
        ({}, 0.0),
        ({"precision": "bf16"}, 0.0),
        ({"optimizer": "muon"}, 0.0),
        ({"p_big": 1.0, "batch": 16, "tokens": 12 * 16 * 10}, 0.0),
        ({"p_skip": 0.2}, 0.0),
        ({}, 0.6),
        ({"optimizer": "muon"}, 0.6),
    ],
    ids=str,
)
def test_resume_is_bitwise(tmp_path, change, big_first):
    """Also where the small FFNs get no gradient at all, and so have no moments, and in both phases of big_first."""
    settings = SETTINGS.model_copy(update=change | {"checkpoint_every": 2})
    whole, history = train(tmp_path / "never", settings, big_first=big_first)
    for step in (
        3,
        5,
        9,
    ):  # killed after the checkpoints of steps 2, 4 and 8: with big_first twice in its first phase of 6 steps
        with pytest.raises(Killed):
            train(tmp_path / "checkpoint", settings, kill_at(step), big_first=big_first)
        assert list(tmp_path.glob("checkpoint*"))
    steps_run = []
    resumed, resumed_history = train(
        tmp_path / "checkpoint", settings, lambda step, values: steps_run.append(step), big_first=big_first
    )
    assert steps_run == [9, 10]
    assert resumed_history == history
    assert all(equal(weights(whole), weights(resumed)))


def test_muon_moves_the_matrices_but_the_embedding_and_adamw_the_rest():
    duo = Duo(SHAPE)
    muon, adamw = loop.optimizers(duo, SETTINGS.model_copy(update={"optimizer": "muon"}))
    moved = {id(weight) for group in muon.param_groups for weight in group["params"]}
    by_name = {name: id(weight) in moved for name, weight in duo.named_parameters()}
    assert {name for name, by_muon in by_name.items() if by_muon} == {
        name for name in by_name if name.startswith("layers.") and "norm" not in name
    }
    others = [weight for group in adamw.param_groups for weight in group["params"]]
    assert len(others) + len(moved) == len(by_name) and not moved & set(map(id, others))


def test_big_first_trains_the_big_ffns_and_then_the_small_ones_alone(tmp_path):
    """Its first phase is a training of the big FFNs alone on as many tokens; nothing that this phase trained changes
    after it.
    """
    start, _ = train(tmp_path / "start", SETTINGS.model_copy(update={"learning_rate": 1e-30, "weight_decay": 0.0}))
    both, history = train(tmp_path / "both", big_first=0.6)
    with pytest.raises(Killed):
        train(tmp_path / "first", observe=kill_at(7), big_first=0.6)
    with safe_open(tmp_path / "first", "pt") as checkpoint:
        after_first = {name: checkpoint.get_tensor(f"weight.{name}") for name in weights(both)}
    small = {name for name in weights(both) if f".ffns.{SMALL}." in name}
    assert len(small) == 2 * SHAPE.layers
    for name, weight in weights(both).items():
        if name in small:
            assert torch.equal(after_first[name], weights(start)[name]) and not torch.equal(
                weight, after_first[name]
            ), name
        else:
            assert torch.equal(weight, after_first[name]), name
            assert not torch.equal(weight, weights(start)[name]), name
    series = {step: {name for at, name, _ in history if at == step} for step in (6, 10)}
    assert "validation/a/all_small" not in series[6] and "validation/a/all_small" in series[10]
    assert [step for step, name, _ in history if name == "train"] == list(range(1, 11))
    rates = [value for _, name, value in history if name == "learning_rate"]
    assert rates[0] == rates[6] == SETTINGS.learning_rate > rates[5]  # a schedule each


def test_a_dense_model_computes_the_big_ffns_alone(tmp_path, monkeypatch):
    calls = []
    forward = FFN.forward
    monkeypatch.setattr(FFN, "forward", lambda self, x: calls.append(self.down.in_features) or forward(self, x))
    settings = SETTINGS.model_copy(update={"p_big": 1.0, "batch": 16, "tokens": 12 * 16 * 4, "validate_every": 100})
    run = loop.TrainingRun("dense", 1, tmp_path / "dense")
    pretrain.train(SHAPE, settings, DEVICE, {"train": DATA, "validation": {}}, run)
    assert set(calls) == {SHAPE.big}
    dense, _ = train(tmp_path / "again", settings)
    untrained, _ = train(tmp_path / "start", settings.model_copy(update={"learning_rate": 1e-30}))
    assert all(equal(weights(dense, SMALL), weights(untrained, SMALL)))
    assert {name.split("/")[-1] for _, name, _ in train(tmp_path / "more", settings)[1] if "/" in name} == {"all_big"}


def test_it_learns_and_reports(tmp_path):
    easy = {domain: np.tile(np.arange(SHAPE.sequence + 1, dtype=np.uint16), (8, 1)) for domain in DATA}
    settings = SETTINGS.model_copy(update={"tokens": 12 * 4 * 60})
    data = {"train": easy, "validation": easy}
    _, history = pretrain.train(SHAPE, settings, DEVICE, data, loop.TrainingRun("easy", 1, tmp_path / "c"))
    losses = [value for _, series, value in history if series == "train"]
    assert len(losses) == 60
    assert losses[0] == pytest.approx(np.log(SHAPE.vocabulary), abs=0.2)
    assert losses[-1] < 0.5 * losses[0]
    final = {series: value for step, series, value in history if step == 60}
    assert {f"validation/{d}/{r}" for d in "ab" for r in ("all_small", "all_big")} < set(final)
    assert final["validation/a/all_big"] < 0.5 * losses[0]


def test_seeds_differ(tmp_path):
    first, second = (train(tmp_path / "c", seed=seed)[1] for seed in (1, 2))
    assert first != second
