"""Training of a backbone under random routes (paper, section 3.1).

Dense models, and models whose small FFNs come later, are settings of it: the chance of the big FFN, `big_first` and
`pretrained`.
"""

from dataclasses import replace

import torch

from duo.model import opt
from duo.model.device import Device
from duo.model.transformer import Duo, Shape
from duo.seeds import stream
from duo.settings import Pretrain
from duo.terms import SMALL
from duo.training import loop
from duo.training.random_routes import RandomRoutes


def train(
    shape: Shape,
    settings: Pretrain,
    device: Device,
    data: loop.Data,
    run: loop.TrainingRun,
    big_first: float = 0.0,
    pretrained: str | None = None,
) -> tuple[Duo, loop.History]:
    """A trained Duo model and the history of its training, from scratch or from the run's checkpoint.

    With `big_first`, all tokens take the big FFN for this share of the training. Then all weights but those of the
    small FFNs are frozen, and these train for the rest, under random routes and with a schedule of their own (the
    paper's figure 8c). With `pretrained`, the name of an OPT as in duo.model.opt, that first part is taken as done:
    all weights but those of the small FFNs are the OPT's, and frozen (appendix A).

    data: the splits train and validation. The caller removes the run's checkpoints.
    """
    generator = torch.Generator().manual_seed(int(stream(run.seed, "initialise").integers(2**63)))
    model = Duo(shape).initialise(generator).to(device.name)

    def fit(part: Pretrain, part_run: loop.TrainingRun) -> loop.History:
        objective = RandomRoutes(model, part, device, run.seed, data["validation"])
        return loop.train(objective, part, data["train"], settings.mix, part_run)

    if pretrained:
        opt.fill(model, pretrained)
        _freeze_all_but_small(model)
    if not big_first:
        return model.eval(), fit(settings, run)
    total = loop.step_count(settings, shape.sequence)
    steps = max(1, round(big_first * total))
    first, second = (count * settings.batch * shape.sequence for count in (steps, total - steps))
    history = fit(settings.model_copy(update={"tokens": first, "p_big": 1.0, "p_skip": 0.0}), replace(run, keep=True))
    _freeze_all_but_small(model)
    later = fit(
        settings.model_copy(update={"tokens": second}),
        replace(
            run,
            checkpoint=run.checkpoint.with_stem(run.checkpoint.stem + "-small"),
            observe=lambda step, values: run.observe(steps + step, values),
            seen=steps * settings.batch,
        ),
    )
    return model.eval(), history + [(steps + step, series, value) for step, series, value in later]


def _freeze_all_but_small(model: Duo) -> None:
    for name, weight in model.named_parameters():
        weight.requires_grad_(f".ffns.{SMALL}." in name)
