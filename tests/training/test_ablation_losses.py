"""Losses under random routes: what they are at each chance of the big FFN, and what their random numbers depend on."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from duo.data.evaluation_set import EvaluationSet
from duo.model.device import Device
from duo.model.transformer import Duo, Shape, forward_flops
from duo.training import ablation_losses

SHAPE = Shape(vocabulary=300, sequence=16, layers=3, width=16, heads=2, big=48, small=8)
DEVICE = Device()


@pytest.fixture(scope="module")
def model() -> Duo:
    return Duo(SHAPE).initialise(torch.Generator().manual_seed(0)).requires_grad_(False)


@pytest.fixture(scope="module")
def sample() -> EvaluationSet:
    ids = np.random.default_rng(0).integers(0, 300, (4, 13))
    return EvaluationSet(
        ["text", "text", "code", "code"], ["a", "b", "c", "d"], ["a", "b", "c", "d"], ids[:, :-1], ids[:, 1:]
    )


def plain(model: Duo, sample: EvaluationSet, big: torch.Tensor) -> torch.Tensor:
    """Losses by the model's own forward pass under a route."""
    logits = model(torch.from_numpy(sample.tokens), big)
    return F.cross_entropy(logits.transpose(1, 2), torch.from_numpy(sample.labels), reduction="none")


def losses(model, sample, p_big, routings=1, seed=1):
    return torch.from_numpy(ablation_losses.losses(model, sample, p_big, routings, DEVICE, seed)).float()


@pytest.mark.parametrize("p_big", [0.0, 1.0])
def test_at_the_ends_every_layer_is_small_or_big(model, sample, p_big):
    torch.testing.assert_close(losses(model, sample, p_big), plain(model, sample, torch.full((3,), p_big == 1)))


def test_losses_are_means_over_routings_that_depend_on_the_seed_and_the_document_alone(model, sample):
    once, twice = losses(model, sample, 0.5), losses(model, sample, 0.5, routings=2)
    assert not torch.equal(once, twice) and not torch.equal(once, losses(model, sample, 0.5, seed=2))
    torch.testing.assert_close(losses(model, sample.take(np.array([2, 1])), 0.5), once[[2, 1]])


def test_batches_change_nothing(model, sample, monkeypatch):
    once = losses(model, sample, 0.5)
    monkeypatch.setattr(ablation_losses, "BATCH", 3)
    torch.testing.assert_close(losses(model, sample, 0.5), once)


@pytest.mark.parametrize("p_big", [0.0, 0.25, 1.0])
def test_flops_are_those_of_the_mean_number_of_big_layers(p_big):
    assert ablation_losses.flops(SHAPE, p_big) == forward_flops(SHAPE, 16, 3 * p_big)
