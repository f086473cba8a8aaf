"""Stage 1: training under random routes (paper, section 3.1).

Dense models and models whose small FFNs come later are settings of it: the chance of the big FFN, `big_first`,
`pretrained`.
"""

import math
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from duo.model import opt
from duo.model.device import Device
from duo.model.transformer import Duo, Grouping, Shape
from duo.seeds import stream
from duo.settings import Pretrain
from duo.terms import SMALL
from duo.training import loop


def train(
    shape: Shape,
    settings: Pretrain,
    device: Device,
    seed: int,
    sequences: dict[str, np.ndarray],
    validation: dict[str, np.ndarray],
    checkpoint: Path,
    observe: loop.Observer = lambda step, values: None,
    big_first: float = 0.0,
    pretrained: str | None = None,
) -> tuple[Duo, loop.History]:
    """Train a Duo model from scratch, or from `checkpoint` where that file exists; the file is removed by whoever
    calls.

    sequences, validation: by domain, [rows, sequence + 1] token ids. With `big_first`, all tokens take the big FFN
    for this share of the training; then all weights but those of the small FFNs are frozen, and these are trained on
    the rest, under random routes and with a schedule of their own (the paper's figure 8c). With `pretrained`, an OPT
    as duo.model.opt names it, the first part is taken as done: all weights but those of the small FFNs are the OPT's,
    and frozen (appendix A).
    """
    generator = torch.Generator().manual_seed(int(stream(seed, "initialise").integers(2**63)))
    model = Duo(shape).initialise(generator).to(device.name)

    def phase(part: Pretrain, *words: object, **options: object) -> loop.History:
        objective = RandomRoutes(model, part, device, seed, validation)
        return loop.train(objective, part, sequences, settings.mix, seed, "pretrain", *words, **options)

    if pretrained:
        opt.fill(model, pretrained)
        _freeze_all_but_small(model)
    if not big_first:
        return model.eval(), phase(settings, checkpoint, observe)
    total = loop.step_count(settings, shape.sequence)
    steps = max(1, round(big_first * total))
    first, second = (steps * settings.batch * shape.sequence, (total - steps) * settings.batch * shape.sequence)
    history = phase(
        settings.model_copy(update={"tokens": first, "p_big": 1.0, "p_skip": 0.0}), checkpoint, observe, keep=True
    )
    _freeze_all_but_small(model)
    later = phase(
        settings.model_copy(update={"tokens": second}),
        checkpoint.with_stem(checkpoint.stem + "-small"),
        lambda step, values: observe(steps + step, values),
        seen=steps * settings.batch,
    )
    return model.eval(), history + [(steps + step, series, value) for step, series, value in later]


def _freeze_all_but_small(model: Duo) -> None:
    for name, weight in model.named_parameters():
        weight.requires_grad_(f".ffns.{SMALL}." in name)


class RandomRoutes:
    """The objective of stage 1: at each layer every token takes the big FFN, the small one or none, by chance."""

    def __init__(self, model: Duo, settings: Pretrain, device: Device, seed: int, validation: dict[str, np.ndarray]):
        self.module, self.settings, self.device, self.seed, self.validation = (
            model,
            settings,
            device,
            seed,
            validation,
        )
        self._layer = device.compiled(lambda layer, x, positions, grouping: layer(x, positions, grouping))
        self._loss = device.compiled(_cross_entropy)

    def loss(self, batch: Tensor, step: int, steps: int) -> tuple[Tensor, dict[str, float]]:
        """Mean loss of a batch [sequences, sequence + 1] under the step's random routes."""
        batch = batch.to(self.device.name)
        tokens, labels = batch[:, :-1], batch[:, 1:]
        draws = stream(self.seed, "routes", step).random((len(self.module.layers), tokens.numel()), dtype=np.float32)
        groupings = group(draws, self.settings.p_big, self.settings.p_skip, self.device.name)
        positions = self.module.positions(tokens.shape[1])
        with self.device.autocast():
            x = self.module.embed(tokens)
            for layer, grouping in zip(self.module.layers, groupings, strict=True):
                x = self._layer(layer, x, positions, grouping)
            return self._loss(self.module, x, labels), {}

    @torch.no_grad()
    def validate(self, step: int, steps: int) -> dict[str, float]:
        """Loss of the all-big and, where it is trained, the all-small route on each domain's first validation
        sequences.
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


def group(draws: np.ndarray, p_big: float, p_skip: float, device: str) -> list[Grouping]:
    """One grouping a layer from uniform draws [layers, tokens]: big below p_big, skip from 1 - p_skip on, small
    between.
    """
    tokens = draws.shape[1]
    big, skip = draws < p_big, draws >= 1 - p_skip
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
    """Multiples of 64 between which the number of big tokens lies, but for one layer in a hundred million; exact
    where it is sure.
    """
    if chance in (0, 1):
        return round(tokens * chance), round(tokens * chance)
    mean, spread = tokens * chance, 6 * math.sqrt(tokens * chance * (1 - chance))
    return max(0, math.floor((mean - spread) / 64) * 64), min(tokens, math.ceil((mean + spread) / 64) * 64)


def _cross_entropy(model: Duo, x: Tensor, labels: Tensor) -> Tensor:
    """Mean loss of the residual stream x [batch, time, width] on labels [batch, time]."""
    return F.cross_entropy(model.logits(x).flatten(0, 1).float(), labels.flatten())
