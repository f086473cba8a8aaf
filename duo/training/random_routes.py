"""Random routes: at every layer each token takes the big FFN, the small one or none, by chance.

A model that is trained this way works under any route (paper, section 3.1): each of its layers has seen what every
choice below it leaves in the residual stream. The same chances serve to evaluate a model (figure 8).
"""

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from duo.model.device import Device
from duo.model.switched import Grouping, Positions, Switched
from duo.seeds import stream
from duo.settings import Pretrain


class RandomRoutes:
    """The objective of training under random routes, as duo.training.loop wants one: the mean loss per token."""

    def __init__(
        self, model: Switched, settings: Pretrain, device: Device, seed: int, validation: dict[str, np.ndarray]
    ):
        self.module, self.settings, self.device = model, settings, device
        self.seed, self.validation = seed, validation
        self._layer = device.compiled(lambda layer, x, positions, grouping: layer(x, positions, grouping))
        self._cross_entropy = device.compiled(_cross_entropy)

    def loss(self, batch: Tensor, step: int, steps: int) -> tuple[Tensor, dict[str, float]]:
        """Mean loss of a batch [sequences, sequence length + 1] under the random routes of this step."""
        batch = batch.to(self.device.name)
        tokens, labels = batch[:, :-1], batch[:, 1:]
        uniform = stream(self.seed, "routes", step).random((len(self.module.layers), tokens.numel()), dtype=np.float32)
        groupings = group(uniform, self.settings.p_big, self.settings.p_skip, self.device.name)
        positions = self.module.positions(tokens.shape[1])
        with self.device.autocast():
            x = self.module.embed(tokens)
            for layer, grouping in zip(self.module.layers, groupings, strict=True):
                x = self._layer(layer, x, positions, grouping)
            return self._cross_entropy(self.module, x, labels), {}

    @torch.no_grad()
    def validate(self, step: int, steps: int) -> dict[str, float]:
        """Mean loss of the all-big route and, where small FFNs are trained, of the all-small one, by domain.

        Measured on the first validation sequences of each domain: the cheapest two routes to watch a run by.
        """
        routes = {"all_small": False, "all_big": True} if self.settings.p_big < 1 else {"all_big": True}
        return {
            f"validation/{domain}/{name}": self._mean_loss(rows[: self.settings.validation_sequences], big)
            for domain, rows in self.validation.items()
            for name, big in routes.items()
        }

    def _mean_loss(self, rows: np.ndarray, big: bool) -> float:
        route = torch.full((len(self.module.layers),), big, device=self.device.name)
        losses = []
        for start in range(0, len(rows), self.settings.batch):
            batch = torch.from_numpy(rows[start : start + self.settings.batch].astype(np.int64)).to(self.device.name)
            with self.device.autocast():
                logits = self.module(batch[:, :-1], route)
            losses.append(F.cross_entropy(logits.float().transpose(1, 2), batch[:, 1:], reduction="none").mean(1))
        return torch.cat(losses).double().mean().item()


def final_streams(model: Switched, tokens: Tensor, uniform: np.ndarray, p_big: float) -> Tensor:
    """Residual streams [batch, length, width] after the last layer, under random routes of big and small.

    tokens [batch, length]; uniform [batch, length, layers], numbers between 0 and 1: a layer is big where its number
    is below p_big.
    """
    return routed(model, model.embed(tokens), model.positions(tokens.shape[1]), uniform, p_big)


@torch.no_grad()
def routed(
    model: Switched, x: Tensor, positions: Positions, uniform: np.ndarray, p_big: float, mask: Tensor | None = None
) -> Tensor:
    """The same of the streams x [batch, length, width] before the first layer, at any positions.

    mask [batch, 1, length, length]: 0 where a token may look, -inf elsewhere; by default at itself and those before.
    """
    by_layer = uniform.reshape(-1, uniform.shape[-1]).T
    for layer, grouping in zip(model.layers, group(by_layer, p_big, 0.0, x.device), strict=True):
        x = layer(x, positions, grouping, mask)
    return x


def group(uniform: np.ndarray, p_big: float, p_skip: float, device: str) -> list[Grouping]:
    """The tokens of every layer sorted by their choice, so that each FFN computes only the tokens that take it.

    uniform [layers, tokens], numbers between 0 and 1: big below p_big, skip from 1 - p_skip on, small between.
    """
    tokens = uniform.shape[1]
    big, skip = uniform < p_big, uniform >= 1 - p_skip
    order = np.argsort(1 - big.astype(np.int8) + skip, axis=1, kind="stable")
    inverse = np.empty_like(order)
    np.put_along_axis(inverse, order, np.arange(tokens)[None], axis=1)
    counts, kept = big.sum(axis=1), tokens - skip.sum(axis=1)
    start, stop = _likely_range(tokens, p_big)
    if not start <= counts.min() <= counts.max() <= stop:
        start, stop = 0, tokens
    columns = (torch.from_numpy(array).to(device) for array in (order, inverse, counts, kept))
    return [Grouping(*row, start, stop) for row in zip(*columns, strict=True)]


def _likely_range(tokens: int, chance: float) -> tuple[int, int]:
    """Multiples of 64 between which the number of big tokens lies; exact where the chance is 0 or 1.

    Six standard deviations each way, so it lies outside in one layer of a hundred million. With few different ranges
    compiled code is compiled once.
    """
    if chance in (0, 1):
        return round(tokens * chance), round(tokens * chance)
    mean, spread = tokens * chance, 6 * math.sqrt(tokens * chance * (1 - chance))
    return max(0, math.floor((mean - spread) / 64) * 64), min(tokens, math.ceil((mean + spread) / 64) * 64)


def _cross_entropy(model: Switched, x: Tensor, labels: Tensor) -> Tensor:
    """Mean loss of the residual stream x [batch, length, width] on labels [batch, length]."""
    return F.cross_entropy(model.logits(x).flatten(0, 1).float(), labels.flatten())
