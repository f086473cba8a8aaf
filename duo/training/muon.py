"""Muon: steps for matrices that turn and stretch all directions alike (Jordan and others 2024).

What Adam does for each number of a matrix by itself, Muon does for its singular values: the gradient, smoothed by
momentum, is replaced by the nearest matrix whose singular values are all near 1. So directions that the gradient hardly
shows are learned as fast as those that it shows most, which takes fewer tokens for the same loss.

torch.optim.Muon goes through the matrices one by one. A small model has many of few shapes; here those of a shape are
multiplied together, which takes a fraction of the time.
"""

from collections.abc import Iterable

import torch
from torch import Tensor

# Of the polynomial a x + b x^3 + c x^5, which, applied five times, takes all singular values from about 0.001 to 1 to
# somewhere between 0.7 and 1.2; Jordan's.
COEFFICIENTS = (3.4445, -4.7750, 2.0315)
STEPS = 5
# Of a step's numbers, over the learning rate: about AdamW's, so that its learning rates do (Liu and others 2025).
RMS = 0.2


class Muon(torch.optim.Optimizer):
    """For matrices alone, with Nesterov's momentum; arguments as of torch.optim.Muon with match_rms_adamw.

    bf16: as of `orthogonal`.
    """

    def __init__(self, params: Iterable, lr: float, weight_decay: float, momentum: float = 0.95, bf16: bool = False):
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay, "momentum": momentum, "bf16": bf16})

    @torch.no_grad()
    def step(self) -> None:
        """Move every matrix that has a gradient."""
        for group in self.param_groups:
            by_shape: dict[torch.Size, list[Tensor]] = {}
            for weight in group["params"]:
                if weight.grad is not None:
                    by_shape.setdefault(weight.shape, []).append(weight)
            for shape, weights in by_shape.items():
                smoothed = torch.stack(self._smoothed(weights, group["momentum"]))
                updates = orthogonal(smoothed, group["bf16"]).unbind()
                torch._foreach_mul_(weights, 1 - group["lr"] * group["weight_decay"])
                torch._foreach_add_(weights, updates, alpha=-group["lr"] * RMS * max(shape) ** 0.5)

    def _smoothed(self, weights: list[Tensor], momentum: float) -> list[Tensor]:
        """The gradients, smoothed by momentum, a step ahead."""
        for weight in weights:
            if "momentum_buffer" not in self.state[weight]:
                self.state[weight]["momentum_buffer"] = torch.zeros_like(weight)
        gradients = [weight.grad for weight in weights]
        buffers = [self.state[weight]["momentum_buffer"] for weight in weights]
        torch._foreach_lerp_(buffers, gradients, 1 - momentum)
        return list(torch._foreach_lerp(gradients, buffers, momentum))


def orthogonal(matrices: Tensor, bf16: bool) -> Tensor:
    """Matrices [number, rows, columns] with the same singular vectors and singular values near 1, by Newton and Schulz.

    bf16: multiply in it. A singular value that is off by a hundredth moves a weight as well.
    """
    wide = matrices.shape[-2] <= matrices.shape[-1]
    x = matrices / matrices.norm(dim=(-2, -1), keepdim=True).clamp(min=1e-7)
    x = x.to(torch.bfloat16) if bf16 else x
    x = x if wide else x.mT  # the products of rows with rows should be the small ones
    a, b, c = COEFFICIENTS
    for _ in range(STEPS):
        squares = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(squares, squares, squares, beta=b, alpha=c), x, beta=a)
    return (x if wide else x.mT).to(matrices.dtype)
