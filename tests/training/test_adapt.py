"""Training of small FFNs beside pretrained ones: what learns, what it learns, and exact resume."""

import numpy as np
import pytest
import torch
from made_up import OPTIMIZER
from made_up_decoders import LLAMA, made_up

from duo.adapted_settings import Adapted
from duo.model.device import Device
from duo.model.extended import Extended, extend
from duo.settings import Pretrain
from duo.terms import BIG, SMALL
from duo.training import adapt, loop

LENGTH = 12
PRETRAIN = Pretrain(tokens=1, batch=1, mix={"a": 0.5, "b": 0.5}, p_big=0.9, p_skip=0.0, **OPTIMIZER, validate_every=5)
ADAPTED = Adapted(
    seed=1,
    small=16,
    sequence=LENGTH,
    batch=4,
    optimizer="adamw",
    validation_sequences=3,
    p_big=0.5,
    p_skip=0.1,
    fit={"tokens": 6 * 4 * LENGTH, "learning_rate": 1e-2},
    routes={"tokens": 4 * 4 * LENGTH, "learning_rate": 2e-3},
    router={"tokens": 1, "learning_rate": 1e-2},
)
GENERATOR = np.random.default_rng(0)
ROWS = {domain: GENERATOR.integers(0, 61, (40, LENGTH + 1)).astype(np.uint32) for domain in "ab"}
DATA = {"train": ROWS, "validation": ROWS}


def train(path, adapted=ADAPTED, observe=lambda step, values: None, **changes) -> tuple[Extended, loop.History]:
    model = extend(made_up("Llama", LLAMA | changes), adapted.small)
    run = loop.TrainingRun("adapted", adapted.seed, path, observe)
    return model, adapt.train(model, adapted, PRETRAIN, Device(), DATA, run)


def of_series(history: loop.History, series: str) -> dict[int, float]:
    return {step: value for step, name, value in history if name == series}


def test_what_was_pretrained_stays_as_it_was(tmp_path):
    before, theirs = (made_up("Llama", LLAMA) for _ in range(2))
    model = extend(theirs, ADAPTED.small)
    adapt.train(model, ADAPTED, PRETRAIN, Device(), DATA, loop.TrainingRun("adapted", 1, tmp_path / "c"))
    for (name, one), other in zip(before.state_dict().items(), theirs.state_dict().values(), strict=True):
        assert one.numpy().tobytes() == other.numpy().tobytes(), name
    assert all(weight.abs().sum() > 0 for weight in model.state_dict().values())  # also those that began as zeros


def test_what_is_narrow_is_copied(tmp_path):
    """Small FFNs four times as wide as the big ones learn what these say."""
    changes = {"intermediate_size": 4, "num_hidden_layers": 2}
    fit = {"tokens": 600 * 4 * LENGTH, "learning_rate": 2e-2}
    _, history = train(tmp_path / "c", ADAPTED.model_validate(ADAPTED.model_dump() | {"fit": fit}), **changes)
    missed = of_series(history, "fit/train")
    assert missed[1] == pytest.approx(1.0)
    assert missed[600] < 0.02
    small, big = (of_series(history, f"fit/validation/a/all_{each}") for each in (SMALL, BIG))
    assert abs(small[600] - big[600]) < 0.2 * abs(small[0] - big[0])


def test_the_share_missed_is_one_where_nothing_is_said():
    wanted = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
    assert adapt.share_missed(torch.zeros(5, 3), wanted).item() == pytest.approx(1.0)
    assert adapt.share_missed(wanted, wanted).item() == 0.0
    assert adapt.share_missed(0.5 * wanted, wanted).item() == pytest.approx(0.25)


def test_the_history_tells_both_parts_one_after_the_other(tmp_path):
    _, history = train(tmp_path / "c")
    assert list(of_series(history, "fit/train")) == [1, 2, 3, 4, 5, 6]
    assert list(of_series(history, "train")) == [7, 8, 9, 10]
    assert set(of_series(history, "fit/validation/a/all_small")) == {0, 5, 6}
    assert max(of_series(history, "fit/learning_rate").values()) == pytest.approx(1e-2)
    assert max(of_series(history, "learning_rate").values()) == pytest.approx(2e-3)
    big = {value for name in ("fit/", "") for value in of_series(history, f"{name}validation/b/all_big").values()}
    assert len(big) == 1  # the model as it was


class Killed(Exception):
    pass


@pytest.mark.parametrize("killed", [5, 9])
def test_resume_is_bitwise(tmp_path, killed):
    """In the first part, whose last checkpoint is of step 4, and in the second, of its step 2."""
    pretrain = PRETRAIN.model_copy(update={"checkpoint_every": 2})

    def run(name: str, at: int = 0) -> tuple[dict, loop.History, list[int]]:
        model, steps = extend(made_up("Llama", LLAMA), ADAPTED.small), []

        def observe(step: int, values: dict) -> None:
            steps.append(step)
            if step == at:
                raise Killed

        training = loop.TrainingRun("adapted", 1, tmp_path / name, observe)
        history = adapt.train(model, ADAPTED, pretrain, Device(), DATA, training)
        return model.state_dict(), history, steps

    whole, history, _ = run("never")
    with pytest.raises(Killed):
        run("checkpoint", killed)
    resumed, resumed_history, steps = run("checkpoint")
    assert steps == list(range(5 if killed == 5 else 9, 11))
    assert resumed_history == history
    assert all(map(torch.equal, whole.values(), resumed.values()))
