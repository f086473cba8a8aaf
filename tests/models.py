"""A tiny random model, and the losses of all its routes by one forward pass each."""

import torch
import torch.nn.functional as F

from duo.model.device import Device
from duo.model.transformer import Duo, Shape
from duo.terms import BIG, SKIP

DEVICE = Device()
TINY = Shape(vocabulary=50, sequence=16, layers=3, width=24, heads=2, big=40, small=8)


def make(shape: Shape = TINY, scale: float = 2.0, seed: int = 3) -> Duo:
    """A random model; its weights scaled up so that every part of it matters to the logits."""
    duo = Duo(shape).initialise(torch.Generator().manual_seed(seed)).eval().requires_grad_(False)
    for name, weight in duo.named_parameters():
        weight *= (
            1.0 + 0.3 * torch.rand(len(weight), generator=torch.Generator().manual_seed(len(name)))
            if "norm" in name
            else scale
        )
    return duo


def random_tokens(batch: int, time: int, seed: int = 0) -> torch.Tensor:
    return torch.randint(0, TINY.vocabulary, (batch, time), generator=torch.Generator().manual_seed(seed))


def brute_force(duo, space, tokens, labels, skip="ffn") -> torch.Tensor:
    """One forward pass per route: [sets, batch, time, routes]."""
    losses = []
    for digits in space.by_layer(space.codes):
        big, skipped = (torch.tensor([space.choices[digit] == choice for digit in digits]) for choice in (BIG, SKIP))
        logits = duo(tokens, big, skipped, skip)
        losses.append(
            torch.stack([F.cross_entropy(logits.transpose(1, 2), wanted, reduction="none") for wanted in labels])
        )
    return torch.stack(losses, dim=-1)
