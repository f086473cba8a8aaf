"""Random-routing training: routes, schedule, exact resume, what stops it."""

import numpy as np
import pytest
import torch

from duo import pretrain
from duo.config import Pretrain, Runtime
from duo.errors import InputError
from duo.model import Duo, Shape

SHAPE = Shape(vocabulary=40, sequence=12, layers=3, width=16, heads=2, big=24, small=6)
MACHINE = Runtime(device="cpu", threads=1, compile=False)
SETTINGS = Pretrain(
    tokens=12 * 4 * 10,
    batch=4,
    mix={"a": 0.75, "b": 0.25},
    p_big=0.5,
    p_skip=0.0,
    learning_rate=1e-2,
    warmup=0.2,
    final=0.1,
    betas=[0.9, 0.95],
    weight_decay=0.1,
    clip=1.0,
    precision="fp32",
    validate_every=5,
    validation_sequences=3,
    checkpoint_every=4,
)


def rows(seed: int, count: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, SHAPE.vocabulary, (count, SHAPE.sequence + 1)).astype(np.uint16)


DATA = {"a": rows(0, 20), "b": rows(1, 8)}
VALIDATION = {"a": rows(2, 5), "b": rows(3, 5)}


def train(path, settings=SETTINGS, observe=lambda step, values: None, seed=1):
    return pretrain.train(SHAPE, settings, MACHINE, seed, DATA, VALIDATION, path, observe)


class Killed(Exception):
    pass


def kill_at(step: int):
    def observe(now: int, values: dict) -> None:
        if now == step:
            raise Killed

    return observe


@pytest.mark.parametrize("change", [{}, {"precision": "bf16"}, {"p_big": 1.0, "batch": 16, "tokens": 12 * 16 * 10}], ids=str)
def test_resume_is_bitwise(tmp_path, change):
    """Also where the small FFNs get no gradient at all, and so have no moments."""
    settings = SETTINGS.model_copy(update=change)
    whole, history = train(tmp_path / "never", settings)
    for step in (7, 10):  # killed twice: after the checkpoint of step 4, then after that of step 8
        with pytest.raises(Killed):
            train(tmp_path / "checkpoint", settings, kill_at(step))
        assert (tmp_path / "checkpoint").exists()
    steps_run = []
    resumed, resumed_history = train(tmp_path / "checkpoint", settings, lambda step, values: steps_run.append(step))
    assert steps_run == [9, 10]
    assert resumed_history == history
    for (name, expected), (_, found) in zip(whole.named_parameters(), resumed.named_parameters(), strict=True):
        assert torch.equal(expected, found), name


def test_it_learns_and_reports(tmp_path):
    easy = {domain: np.tile(np.arange(SHAPE.sequence + 1, dtype=np.uint16), (8, 1)) for domain in DATA}
    settings = SETTINGS.model_copy(update={"tokens": 12 * 4 * 60})
    _, history = pretrain.train(SHAPE, settings, MACHINE, 1, easy, easy, tmp_path / "c")
    losses = [value for _, series, value in history if series == "train"]
    assert len(losses) == 60
    assert losses[0] == pytest.approx(np.log(SHAPE.vocabulary), abs=0.2)
    assert losses[-1] < 0.5 * losses[0]
    final = {series: value for step, series, value in history if step == 60}
    assert {f"validation/{d}/{r}" for d in "ab" for r in ("all_small", "all_big")} < set(final)
    assert final["validation/a/all_big"] < 0.5 * losses[0]


def test_a_diverging_run_stops_and_keeps_its_checkpoint(tmp_path):
    settings = SETTINGS.model_copy(update={"learning_rate": 1e30, "warmup": 0.0, "checkpoint_every": 1})
    with pytest.raises(InputError, match=r"at step \d+ the loss is .*nan.*learning_rate"):
        train(tmp_path / "checkpoint", settings)
    assert (tmp_path / "checkpoint").exists()
    assert not list(tmp_path.glob("*.tmp"))


def test_a_damaged_checkpoint_is_one_clear_error(tmp_path):
    (tmp_path / "checkpoint").write_bytes(b"no safetensors")
    with pytest.raises(InputError, match="checkpoint: damaged checkpoint"):
        train(tmp_path / "checkpoint")


@pytest.mark.parametrize(("p_big", "p_skip"), [(0.5, 0.0), (0.5, 0.2), (0.0, 0.0), (1.0, 0.0), (0.4, 0.3), (0.0, 1.0)])
def test_grouped_layers_equal_the_plain_forward(p_big, p_skip):
    """Training computes each FFN on slices of a permuted batch; the plain model computes all and selects."""
    duo = Duo(SHAPE).initialise(torch.Generator().manual_seed(0))
    tokens = torch.from_numpy(DATA["a"][:, :-1].astype(np.int64))
    draws = np.random.default_rng(1).random((SHAPE.layers, tokens.numel()), dtype=np.float32)
    masks = (torch.from_numpy(mask) for mask in (draws < p_big, draws >= 1 - p_skip))
    big, skip = (mask.view(SHAPE.layers, *tokens.shape).permute(1, 2, 0) for mask in masks)

    def grouped():
        x = duo.embedding(tokens)
        for layer, grouping in zip(duo.layers, pretrain.group(draws, p_big, p_skip, "cpu"), strict=True):
            x = layer(x, duo.positions(tokens.shape[1]), grouping)
        return duo.logits(x)

    def gradients(logits):
        duo.zero_grad()
        logits.square().mean().backward()
        return {name: torch.zeros(1) if weight.grad is None else weight.grad.clone() for name, weight in duo.named_parameters()}

    torch.testing.assert_close(grouped(), duo(tokens, big, skip))
    expected, found = gradients(duo(tokens, big, skip)), gradients(grouped())
    for name in expected:
        torch.testing.assert_close(found[name].expand_as(expected[name]), expected[name], rtol=1e-4, atol=1e-7, msg=name)


@pytest.mark.parametrize("draw", [0.0, 0.99])
def test_unlikely_routes_are_computed_all_the_same(draw):
    """The slices grow to the whole batch where more, or fewer, tokens are big than six deviations allow."""
    groupings = pretrain.group(np.full((2, 4096), draw, np.float32), 0.5, 0.0, "cpu")
    assert all((grouping.start, grouping.stop) == (0, 4096) for grouping in groupings)
    assert all(grouping.big == (4096 if draw < 0.5 else 0) for grouping in groupings)


def test_routes_are_independent_and_of_the_asked_chance():
    draws = np.random.default_rng(0).random((3, 100_000), dtype=np.float32)
    groupings = pretrain.group(draws, 0.3, 0.2, "cpu")
    for layer, grouping in enumerate(groupings):
        assert grouping.big / 100_000 == pytest.approx(0.3, abs=0.01)
        assert grouping.kept / 100_000 == pytest.approx(0.8, abs=0.01)
        assert 0 < grouping.start <= grouping.big <= grouping.stop < 40_000
        assert torch.equal(grouping.order[grouping.inverse], torch.arange(100_000))
        assert np.all(draws[layer][grouping.order[: grouping.big]] < 0.3)
        assert np.all(draws[layer][grouping.order[grouping.kept :]] >= 0.8)


def test_schedule_keeps_shares_and_epochs():
    order = pretrain.schedule({"a": 20, "b": 8}, {"a": 0.75, "b": 0.25}, 80, seed=1)
    from_a, from_b = order[order < 20], order[order >= 20]
    assert (len(from_a), len(from_b)) == (60, 20)
    for epoch in range(3):
        assert sorted(from_a[20 * epoch : 20 * (epoch + 1)]) == list(range(20))
    assert sorted(from_b[:8]) == list(range(20, 28))
    assert not np.array_equal(from_a[:20], from_a[20:40])
    assert not np.array_equal(order, pretrain.schedule({"a": 20, "b": 8}, {"a": 0.75, "b": 0.25}, 80, seed=2))


def test_learning_rate_warms_up_and_falls():
    rates = [pretrain.learning_rate(step, 100, SETTINGS) for step in range(100)]
    assert rates[19] == max(rates) == SETTINGS.learning_rate
    assert rates[:20] == sorted(rates[:20])
    assert rates[20:] == sorted(rates[20:], reverse=True)
    assert rates[-1] == pytest.approx(0.1 * SETTINGS.learning_rate)


def test_seeds_differ(tmp_path):
    first, second = (train(tmp_path / "c", seed=seed)[1] for seed in (1, 2))
    assert first != second
