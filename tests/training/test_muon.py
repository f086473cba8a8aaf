"""Muon against torch's own, and against what it promises of singular values."""

import pytest
import torch

from duo.training.muon import Muon, orthogonal


@pytest.mark.parametrize("shape", [(6, 6), (4, 12), (12, 4)])
@pytest.mark.parametrize(("bf16", "error"), [(False, 1e-4), (True, 0.03)])
def test_singular_values_become_alike_and_singular_vectors_stay(bf16, error, shape):
    matrices = torch.randn(3, *shape, generator=torch.Generator().manual_seed(0))
    found = orthogonal(matrices, bf16)
    assert torch.linalg.svdvals(matrices).amax() / torch.linalg.svdvals(matrices).amin() > 2
    assert ((torch.linalg.svdvals(found) > 0.6) & (torch.linalg.svdvals(found) < 1.3)).all()
    u, _, v = torch.linalg.svd(matrices, full_matrices=False)
    torch.testing.assert_close(
        u.mT @ found @ v.mT, torch.diag_embed((u.mT @ found @ v.mT).diagonal(dim1=1, dim2=2)), atol=error, rtol=0
    )


def test_steps_are_those_of_torch_but_for_its_rounding_to_bf16():
    shapes = [(8, 8), (8, 24), (24, 8), (8, 24), (8, 8)]
    ours, theirs = ([torch.nn.Parameter(matrix(row, *shape)) for row, shape in enumerate(shapes)] for _ in range(2))
    mine = Muon(ours, lr=0.02, weight_decay=0.1)
    other = torch.optim.Muon(theirs, lr=0.02, weight_decay=0.1, momentum=0.95, adjust_lr_fn="match_rms_adamw")
    for step in range(4):
        for weights, optimizer in ((ours, mine), (theirs, other)):
            for row, weight in enumerate(weights):
                weight.grad = matrix(100 * step + row, *weight.shape)
            optimizer.step()
    for weight, expected, shape, row in zip(ours, theirs, shapes, range(len(shapes)), strict=True):
        moved = (expected - matrix(row, *shape)).norm()
        assert moved > 0.01 and (weight - expected).norm() < 0.02 * moved


def test_a_weight_without_gradient_stays():
    still, moved = (torch.nn.Parameter(matrix(row, 4, 4)) for row in range(2))
    moved.grad = matrix(2, 4, 4)
    Muon([still, moved], lr=0.1, weight_decay=0.1).step()
    assert torch.equal(still, matrix(0, 4, 4)) and not torch.equal(moved, matrix(1, 4, 4))


def matrix(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))
