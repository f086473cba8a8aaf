"""The paper's routers: what they decide, what they are trained on, how they are scored."""

import numpy as np
import pytest
import torch
from project import default_params

from duo.errors import InputError
from duo.model import transformer
from duo.model.device import Device
from duo.model.transformer import Duo, Shape
from duo.routers import gate as router
from duo.routes import RouteSpace
from duo.settings import OneRouter
from duo.training import loop

SHAPE = Shape(vocabulary=40, sequence=12, layers=4, width=16, heads=2, big=24, small=6)
DEVICE = Device()
SETTINGS = default_params().router.model_copy(
    update={
        "tokens": 12 * 4 * 10,
        "batch": 4,
        "warmup_fraction": 0.2,
        "precision": "fp32",
        "validate_every": 5,
        "validation_sequences": 3,
        "checkpoint_every": 4,
    }
)
TWO, THREE, SKIPPING = ("small", "big"), ("small", "big", "skip"), ("skip", "big")
GENERATOR = np.random.default_rng(0)
DATA = {domain: GENERATOR.integers(0, SHAPE.vocabulary, (8, SHAPE.sequence + 1)).astype(np.uint16) for domain in "ab"}
TOKENS, LABELS = (DATA["a"][:, part].astype(np.int64) for part in (slice(None, -1), slice(1, None)))


def wanted(choices=TWO, big=2.0, skip=None) -> OneRouter:
    return OneRouter(model="duo", mix={"a": 0.5, "b": 0.5}, choices=list(choices), big=big, skip=skip)


def backbone() -> Duo:
    return Duo(SHAPE).initialise(torch.Generator().manual_seed(0)).eval()


def routed(choices=TWO, skip="ffn", scale=1.0) -> router.Routed:
    """A backbone with a router of random weights."""
    made = router.Routed(backbone(), router.Router(SHAPE.layers, SHAPE.width, choices, skip))
    generator = torch.Generator().manual_seed(1)
    for gate in made.router.gates:
        torch.nn.init.normal_(gate.weight, std=scale, generator=generator)
    return made.requires_grad_(False)


def run(made: router.Routed, weigh: router.Weigh, update=router.mixed) -> dict[str, np.ndarray]:
    return router.execute(made, TOKENS, LABELS, weigh, DEVICE, update)


def train(path, one=None, observe=lambda step, values: None, seed=1, **changes):
    settings = SETTINGS.model_copy(update=changes)
    data, run = {"train": DATA, "validation": DATA}, loop.TrainingRun("router", seed, path, observe)
    return router.train(backbone(), one or wanted(), "ffn", settings, DEVICE, data, run)


@pytest.mark.parametrize("choices", [TWO, THREE, SKIPPING])
@pytest.mark.parametrize("skip", ["ffn", "layer"])
def test_soft_becomes_hard_as_the_temperature_falls(choices, skip):
    made = routed(choices, skip)
    exact = run(made, router.hard)["loss"]
    warm, cold = (np.abs(run(made, router.soft(heat))["loss"] - exact).max() for heat in (1.0, 1e-6))
    assert warm > 0.01 and cold < 1e-5


@pytest.mark.parametrize("choices", [TWO, THREE, SKIPPING])
@pytest.mark.parametrize("skip", ["ffn", "layer"])
def test_hard_routing_is_the_plain_model_under_the_routes_that_it_reports(choices, skip):
    made = routed(choices, skip)
    found = run(made, router.hard)
    taken = torch.from_numpy(found["weights"].argmax(-1))
    masks = {choice: taken == choices.index(choice) if choice in choices else None for choice in ("big", "skip")}
    assert set(found["weights"].ravel()) == {0.0, 1.0} and np.all(found["weights"].sum(-1) == 1)
    assert all(0 < mask.float().mean() < 1 for mask in masks.values() if mask is not None)
    logits = made.backbone(torch.from_numpy(TOKENS), masks["big"], masks["skip"], skip)
    expected = torch.nn.functional.cross_entropy(logits.transpose(1, 2), torch.from_numpy(LABELS), reduction="none")
    np.testing.assert_allclose(found["loss"], expected.numpy(), rtol=1e-5)


@pytest.mark.parametrize("choices", [TWO, THREE, SKIPPING])
@pytest.mark.parametrize("skip", ["ffn", "layer"])
def test_computing_only_the_chosen_ffn_gives_the_same(choices, skip):
    made = routed(choices, skip)
    for name, masked in run(made, router.hard).items():
        np.testing.assert_allclose(
            run(made, router.hard, router.grouped)[name], masked, rtol=1e-4, atol=1e-5, err_msg=name
        )


def test_grouped_runs_each_ffn_on_its_own_tokens_alone():
    made, rows = routed(), {"small": 0, "big": 0}
    for layer in made.backbone.layers:
        for choice, ffn in layer.ffns.items():
            ffn.register_forward_hook(
                lambda module, inputs, output, choice=choice: rows.update({choice: rows[choice] + len(inputs[0])})
            )
    used = run(made, router.hard, router.grouped)["weights"].sum((0, 1, 2))
    assert [rows["small"], rows["big"]] == used.tolist() and sum(rows.values()) == TOKENS.size * SHAPE.layers


def test_routing_is_causal():
    made, other = routed(), TOKENS.copy()
    other[:, 6:] = (other[:, 6:] + 1) % SHAPE.vocabulary
    first, second = (router.execute(made, tokens, LABELS, router.hard, DEVICE) for tokens in (TOKENS, other))
    np.testing.assert_array_equal(first["logits"][:, :6], second["logits"][:, :6])
    assert not np.array_equal(first["logits"][:, 6:], second["logits"][:, 6:])


def test_budget_loss_by_hand():
    """Two sequences of two tokens and two layers: mean P(big) is 0.5 and 0.1, wanted 0.25."""
    big = torch.tensor([[[1.0, 0.0], [0.5, 0.5]], [[0.1, 0.1], [0.2, 0.0]]])
    weights = torch.stack([1 - big, big], dim=-1)
    assert router.budget_loss(weights, {1: 0.25}).item() == pytest.approx(((0.5 - 0.25) ** 2 + (0.1 - 0.25) ** 2) / 2)
    three = torch.tensor([0.2, 0.5, 0.3]).expand(1, 2, 4, 3)
    constrained = router.targets(wanted(THREE, big=1.0, skip=2.0), layers=4)
    assert constrained == {1: 0.25, 2: 0.5}
    assert router.budget_loss(three, constrained).item() == pytest.approx(0.25**2 + 0.2**2)


@pytest.mark.parametrize("choices", [TWO, SKIPPING, ("big", "small")])
@pytest.mark.parametrize("budget", [1, 3])
def test_exact_takes_the_likeliest_layers_and_exactly_so_many(choices, budget):
    made = routed(choices)
    scores = router.score(made, wanted(choices, big=float(budget)), 0.2, TOKENS, LABELS, DEVICE)
    digits = made.space.digits[scores["exact"]["route"]]
    big = digits == choices.index("big")
    assert np.all(big.sum(-1) == budget) and np.all(scores["exact"]["big"] == budget)
    logits = run(made, router.soft(0.2))["logits"]
    chance = torch.from_numpy(logits).softmax(-1)[..., choices.index("big")].numpy()
    assert np.all(np.where(big, chance, np.inf).min(-1) >= np.where(big, -np.inf, chance).max(-1))
    assert set(np.unique(scores["hard"]["big"])) > {float(budget)}, "hard routing is not held to the budget"


def test_equal_chances_go_to_the_lower_layers():
    space = RouteSpace(4, TWO)
    assert space.decode(router.likeliest(np.zeros((1, 4, 2)), space, 2)).tolist() == [[1, 1, 0, 0]]


@pytest.mark.parametrize("one", [wanted(big=1.5), wanted(THREE, big=1.0, skip=1.0)])
def test_no_exact_score_without_a_whole_budget_of_two_choices(one):
    made = routed(tuple(one.choices))
    scores = router.score(made, one, 0.2, TOKENS, LABELS, DEVICE)
    assert set(scores) == {"hard", "soft"}
    assert np.all(scores["soft"]["route"] == -1) and np.all(scores["hard"]["route"] >= 0)


@pytest.mark.parametrize("kind", ["frozen", "trained"])
def test_the_backbone_stays_bitwise_unless_trained(tmp_path, kind):
    made, _ = train(tmp_path / "c", backbone=kind)
    same = [
        torch.equal(before, after)
        for before, after in zip(backbone().parameters(), made.backbone.parameters(), strict=True)
    ]
    assert all(same) if kind == "frozen" else not any(same)
    assert all(gate.weight.abs().max() > 0 for gate in made.router.gates)


def test_a_router_is_pulled_to_its_budget(tmp_path):
    """With next to nothing to learn from random tokens, alpha decides what P(big) becomes."""
    _, history = train(tmp_path / "c", wanted(big=1.0), tokens=12 * 4 * 60, alpha=1000.0)
    big = [value for _, series, value in history if series == "big"]
    assert big[0] == pytest.approx(2.0) and big[-1] == pytest.approx(1.0, abs=0.3)


class Killed(Exception):
    pass


@pytest.mark.parametrize("kind", ["frozen", "trained"])
def test_resume_is_bitwise(tmp_path, kind):
    def kill(step, values):
        if step == 7:
            raise Killed

    whole, history = train(tmp_path / "never", backbone=kind)
    with pytest.raises(Killed):
        train(tmp_path / "c", observe=kill, backbone=kind)
    resumed, resumed_history = train(tmp_path / "c", backbone=kind)
    assert resumed_history == history
    for (name, expected), (_, found) in zip(whole.named_parameters(), resumed.named_parameters(), strict=True):
        assert torch.equal(expected, found), name


@pytest.mark.parametrize("kind", ["frozen", "trained"])
def test_saved_and_loaded_it_decides_the_same(tmp_path, kind):
    made, _ = train(tmp_path / "c", wanted(THREE, big=1.0, skip=1.0), backbone=kind)
    for name in ("first", "second"):
        router.save(made, tmp_path / name, kind == "trained")
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()
    loaded = router.load(tmp_path / "first", backbone())
    np.testing.assert_array_equal(run(loaded, router.hard)["loss"], run(made, router.hard)["loss"])


def test_a_router_of_another_model_is_one_clear_error(tmp_path):
    router.save(routed(), tmp_path / "r", False)
    shallow = Duo(Shape(**{**vars(SHAPE), "layers": 3}))
    with pytest.raises(InputError, match=r"r: not a router of this model .*gates\.3"):
        router.load(tmp_path / "r", shallow)
    with pytest.raises(InputError, match="none: is missing"):
        router.load(tmp_path / "none", backbone())
    (tmp_path / "broken").write_bytes(b"no safetensors")
    with pytest.raises(InputError, match="broken: not a router"):
        router.load(tmp_path / "broken", backbone())


def test_flops_count_what_hard_routing_computes():
    made = routed(THREE)
    tokens = TOKENS.shape[1]
    own = 2 * SHAPE.layers * SHAPE.width * 3
    ffn = {name: 2 * 3 * SHAPE.width * inner for name, inner in (("big", SHAPE.big), ("small", SHAPE.small))}
    nothing = router.flops(made, tokens, big=0.0, skip=4.0)
    assert nothing == transformer.forward_flops(SHAPE, tokens, 0) - 4 * ffn["small"] + own
    assert router.flops(made, tokens, big=1.5, skip=0.5) == pytest.approx(nothing + 1.5 * ffn["big"] + 2 * ffn["small"])
    scores = router.score(made, wanted(THREE, big=1.0, skip=1.0), 0.2, TOKENS, LABELS, DEVICE)
    report = router.summary(made, scores, np.array(["a"] * 5 + ["b"] * 3))
    assert report["a"]["hard"]["loss"] == pytest.approx(scores["hard"]["loss"][:5].mean())
    assert report["flops_a_token"]["all_small"] < report["flops_a_token"]["all_big"]
    assert report["b"]["hard"]["perplexity"] == pytest.approx(np.exp(report["b"]["hard"]["loss"]))
