"""Random routes: grouped layers are the plain model, and each choice has the chance that was asked for."""

import numpy as np
import pytest
import torch

from duo.model.transformer import Duo, Shape
from duo.training import random_routes

SHAPE = Shape(vocabulary=40, sequence=12, layers=3, width=16, heads=2, big=24, small=6)
ROWS = np.random.default_rng(0).integers(0, SHAPE.vocabulary, (20, SHAPE.sequence))


@pytest.mark.parametrize(("p_big", "p_skip"), [(0.5, 0.0), (0.5, 0.2), (0.0, 0.0), (1.0, 0.0), (0.4, 0.3), (0.0, 1.0)])
def test_grouped_layers_equal_the_plain_forward(p_big, p_skip):
    """Training computes each FFN on slices of a permuted batch; the plain model computes all and selects."""
    duo = Duo(SHAPE).initialise(torch.Generator().manual_seed(0))
    tokens = torch.from_numpy(ROWS)
    uniform = np.random.default_rng(1).random((SHAPE.layers, tokens.numel()), dtype=np.float32)
    masks = (torch.from_numpy(mask) for mask in (uniform < p_big, uniform >= 1 - p_skip))
    big, skip = (mask.view(SHAPE.layers, *tokens.shape).permute(1, 2, 0) for mask in masks)

    def grouped():
        x = duo.embedding(tokens)
        for layer, grouping in zip(duo.layers, random_routes.group(uniform, p_big, p_skip, "cpu"), strict=True):
            x = layer(x, duo.positions(tokens.shape[1]), grouping)
        return duo.logits(x)

    def gradients(logits):
        duo.zero_grad()
        logits.square().mean().backward()
        return {
            name: torch.zeros(1) if weight.grad is None else weight.grad.clone()
            for name, weight in duo.named_parameters()
        }

    torch.testing.assert_close(grouped(), duo(tokens, big, skip))
    expected, found = gradients(duo(tokens, big, skip)), gradients(grouped())
    for name in expected:
        torch.testing.assert_close(
            found[name].expand_as(expected[name]), expected[name], rtol=1e-4, atol=1e-7, msg=name
        )


@pytest.mark.parametrize("draw", [0.0, 0.99])
def test_unlikely_routes_are_computed_all_the_same(draw):
    """The slices grow to the whole batch where more, or fewer, tokens are big than six deviations allow."""
    groupings = random_routes.group(np.full((2, 4096), draw, np.float32), 0.5, 0.0, "cpu")
    assert all((grouping.start, grouping.stop) == (0, 4096) for grouping in groupings)
    assert all(grouping.big == (4096 if draw < 0.5 else 0) for grouping in groupings)


def test_routes_are_independent_and_of_the_asked_chance():
    uniform = np.random.default_rng(0).random((3, 100_000), dtype=np.float32)
    groupings = random_routes.group(uniform, 0.3, 0.2, "cpu")
    for layer, grouping in enumerate(groupings):
        assert grouping.big / 100_000 == pytest.approx(0.3, abs=0.01)
        assert grouping.kept / 100_000 == pytest.approx(0.8, abs=0.01)
        assert 0 < grouping.start <= grouping.big <= grouping.stop < 40_000
        assert torch.equal(grouping.order[grouping.inverse], torch.arange(100_000))
        assert np.all(uniform[layer][grouping.order[: grouping.big]] < 0.3)
        assert np.all(uniform[layer][grouping.order[grouping.kept :]] >= 0.8)


def test_final_streams_follow_the_random_number_of_every_token_and_layer():
    duo = Duo(SHAPE).initialise(torch.Generator().manual_seed(0)).requires_grad_(False)
    uniform = np.random.default_rng(3).random((*ROWS.shape, SHAPE.layers), np.float32)
    tokens = torch.from_numpy(ROWS)
    logits = duo.logits(random_routes.final_streams(duo, tokens, uniform, 0.4))
    torch.testing.assert_close(logits, duo(tokens, torch.from_numpy(uniform < 0.4)))
