"""Attention written out is torch's own, and no less exact."""

import pytest
import torch
import torch.nn.functional as F

from duo.model.attention import attention


@pytest.fixture
def heads() -> tuple[torch.Tensor, ...]:
    return tuple(2 * torch.randn(3, 2, 3, 7, 8, generator=torch.Generator().manual_seed(0)))


@pytest.mark.parametrize("gradients", [False, True])
def test_it_is_torchs(heads, gradients):
    q, k, v = (part.requires_grad_(gradients) for part in heads)
    mask = torch.randint(0, 2, (7, 7), generator=torch.Generator().manual_seed(1)).bool() | torch.eye(7).bool()
    for found, expected in (
        (attention(q, k, v), F.scaled_dot_product_attention(q, k, v, is_causal=True)),
        (
            attention(q, k, v, torch.zeros(7, 7).masked_fill(~mask, -torch.inf)),
            F.scaled_dot_product_attention(q, k, v, attn_mask=mask),
        ),
    ):
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)


def test_in_bf16_scores_are_not_rounded(heads):
    """Rounded as well, the error would be larger by half than that of the values alone."""
    rounded = [(2 * part).bfloat16() for part in heads]
    exact = attention(*(part.float() for part in rounded))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = attention(*rounded)
        with torch.enable_grad():  # as in training, where they are
            of_training = attention(*(part.detach().requires_grad_() for part in rounded))
    assert found.dtype == torch.bfloat16
    assert (found - exact).abs().mean() < 0.75 * (of_training - exact).abs().mean()
