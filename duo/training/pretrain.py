"""Stage 1: training under random routes (paper, section 3.1).

Dense models and models whose small FFNs come later are settings of it: the chance of the big FFN, `big_first`,
`pretrained`.
"""

from pathlib import Path

import numpy as np
import torch

from duo.model import opt
from duo.model.transformer import Duo, Shape
from duo.routes import SMALL
from duo.seeds import stream
from duo.settings import Pretrain, Runtime
from duo.training import loop
from duo.training.random_routes import RandomRoutes


def train(
    shape: Shape,
    settings: Pretrain,
    machine: Runtime,
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
    model = Duo(shape).initialise(generator).to(machine.device)

    def phase(part: Pretrain, *words: object, **options: object) -> loop.History:
        objective = RandomRoutes(model, part, machine, seed, validation)
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
