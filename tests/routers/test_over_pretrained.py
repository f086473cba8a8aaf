"""The paper's routers over a pretrained decoder with small FFNs beside its own."""

import numpy as np
import pytest
import torch
from made_up_decoders import LLAMA, NEOX, made_up
from project import default_params

from duo.model.device import Device
from duo.model.extended import Extended, extend
from duo.routers import gate
from duo.settings import OneRouter
from duo.training import loop

MODELS = {"shared keys": ("Llama", LLAMA), "parallel": ("GPTNeoX", NEOX)}
CHOICES = {"paper's first": ["small", "big"], "second": ["skip", "big"], "third": ["small", "big", "skip"]}
ROWS = {domain: np.random.default_rng(0).integers(0, 61, (8, 13)).astype(np.uint32) for domain in "ab"}
TOKENS, LABELS = (ROWS["a"][:, part].astype(np.int64) for part in (slice(None, -1), slice(1, None)))


def backbone(name: str = "shared keys") -> Extended:
    model = extend(made_up(*MODELS[name]), 6)
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for weight in model.parameters():
            weight.normal_(0.0, 0.5, generator=generator)
    return model.requires_grad_(False)


def wanted(choices: list[str]) -> OneRouter:
    skip = 0.5 if len(choices) == 3 else None
    return OneRouter(model="tiny", mix={"a": 0.5, "b": 0.5}, choices=choices, big=1.0, skip=skip)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("kind", CHOICES)
@pytest.mark.parametrize("scope", ["ffn", "layer"])
def test_hard_routing_is_the_plain_model_under_the_routes_that_it_reports(name, kind, scope):
    model, choices = backbone(name), tuple(CHOICES[kind])
    routed = gate.Routed(model, gate.Router(3, model.width, choices, scope))
    for layer in routed.router.gates:
        torch.nn.init.normal_(layer.weight, std=1.0, generator=torch.Generator().manual_seed(1))
    found = gate.execute(routed.requires_grad_(False), TOKENS, LABELS, gate.hard, Device())
    taken = torch.from_numpy(found["weights"].argmax(-1))
    big, skip = (
        taken == choices.index(choice) if choice in choices else torch.zeros(taken.shape).bool()
        for choice in ("big", "skip")
    )
    logits = model(torch.from_numpy(TOKENS), big, skip, scope)
    expected = torch.nn.functional.cross_entropy(logits.mT, torch.from_numpy(LABELS), reduction="none")
    assert 0 < big.float().mean() < 1
    np.testing.assert_allclose(found["loss"], expected, atol=1e-4)


def test_it_trains_beside_what_stays_and_keeps_its_budget(tmp_path):
    model, settings = backbone(), default_params().router
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    changes = {"tokens": 12 * 4 * 150, "batch": 4, "precision": "fp32", "validation_sequences": 3, "alpha": 100.0}
    one, data = wanted(["small", "big"]), {"train": ROWS, "validation": ROWS}
    run = loop.TrainingRun("router", 1, tmp_path / "c")
    routed, history = gate.train(model, one, "ffn", settings.model_copy(update=changes), Device(), data, run)
    assert all(torch.equal(weight, before[name]) for name, weight in model.state_dict().items())
    spent = [value for _, series, value in history if series == "big"]
    assert spent[0] == pytest.approx(1.5) and spent[-1] == pytest.approx(1.0, abs=0.1)
    scored = gate.score(routed, one, 0.2, TOKENS, LABELS, Device())
    assert set(scored["exact"]["big"].ravel()) == {1.0}
    assert gate.means(scored, np.array(["a"] * len(TOKENS)))["a"]["exact"]["big"] == 1.0
    gate.save(routed, tmp_path / "router", backbone=False)
    again = gate.score(gate.load(tmp_path / "router", backbone()), one, 0.2, TOKENS, LABELS, Device())
    np.testing.assert_array_equal(again["hard"]["loss"], scored["hard"]["loss"])
