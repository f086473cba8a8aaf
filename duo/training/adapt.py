"""Training of small FFNs beside those of a pretrained model, all of which stay as they are (paper, appendix A).

In two parts. First each small FFN learns to say what the big one beside it says, on what it reads while all layers are
big: it needs no gradient of the rest of the model, and leaves off where the whole is a poor copy. Then all train
together on the loss of the next token, under random routes as models of our own do.
"""

from dataclasses import replace

import torch
from torch import Tensor

from duo.adapted_settings import Adapted
from duo.model.device import Device
from duo.model.extended import Extended
from duo.seeds import stream
from duo.settings import Pretrain
from duo.terms import BIG, SMALL
from duo.training import loop
from duo.training.random_routes import RandomRoutes
from duo.training.variants import adapting

FIT = "fit/"  # begins the names of the first part's series


def train(
    model: Extended, adapted: Adapted, pretrain: Pretrain, device: Device, data: loop.Data, run: loop.TrainingRun
) -> loop.History:
    """Train the small FFNs in place, from the start or from the run's checkpoint; the history of both parts.

    data: the splits train and validation, in the model's own tokens. The caller removes the run's checkpoints.
    """
    generator = torch.Generator().manual_seed(int(stream(run.seed, "initialise").integers(2**63)))
    model.initialise(generator).requires_grad_(True)
    fit, routes = (adapting(adapted, part, pretrain) for part in (adapted.fit, adapted.routes))
    imitation = Imitation(model, fit, device, run.seed, data["validation"])
    before = [(0, series, value) for series, value in imitation.validate(0, 0).items()]
    steps = loop.step_count(fit, adapted.sequence)

    def watch(step: int, values: dict[str, float]) -> None:
        run.observe(step, _of_fit(values))

    first = loop.train(imitation, fit, data["train"], fit.mix, replace(run, observe=watch, keep=True))
    later = loop.train(
        RandomRoutes(model, routes, device, run.seed, data["validation"]),
        routes,
        data["train"],
        routes.mix,
        replace(
            run,
            checkpoint=run.checkpoint.with_stem(run.checkpoint.stem + "-routes"),
            observe=lambda step, values: run.observe(steps + step, values),
        ),
    )
    model.eval().requires_grad_(False)
    fitted = [(step, *named) for step, series, value in before + first for named in _of_fit({series: value}).items()]
    return fitted + [(steps + step, series, value) for step, series, value in later]


def summary(model: Extended, history: loop.History) -> dict:
    """ADAPTED_METRICS: the model's layers, and losses on the validation split at three times, by series."""
    values: dict[str, list[float]] = {}
    for _, series, value in history:
        values.setdefault(series, []).append(value)
    losses = {}
    for series, trained in values.items():
        if series.startswith("validation/"):
            fitted = values[FIT + series]
            losses[series.removeprefix("validation/")] = {
                "before": fitted[0],
                "fitted": fitted[-1],
                "trained": trained[-1],
            }
    return {"layers": len(model.layers), "share_missed": values[f"{FIT}train"][-1], "losses": losses}


def _of_fit(values: dict[str, float]) -> dict[str, float]:
    """The first part's values by series, told from those of the second."""
    return {FIT + series: value for series, value in values.items()}


class Imitation(RandomRoutes):
    """The objective of the first part: how far what the small FFNs say is from what the big ones say."""

    def loss(self, batch: Tensor, step: int, steps: int) -> tuple[Tensor, dict[str, float]]:
        """The mean over layers of the squared error, as a share of the square of what the big FFN says."""
        tokens = batch[:, :-1].to(self.device.name)
        positions, missed = self.module.positions(tokens.shape[1]), []
        with self.device.autocast():
            x = self.module.embed(tokens)
            for layer in self.module.layers:
                with torch.no_grad():
                    attended = layer.attend(x, positions)
                    normed = layer.ffn_norm(x if layer.parallel else attended)
                    update = layer.ffns[BIG](normed)
                missed.append(share_missed(layer.ffns[SMALL](normed), update))
                x = attended + update
        return torch.stack(missed).mean(), {}


def share_missed(found: Tensor, wanted: Tensor) -> Tensor:
    """The squared error as a share of the square of what is wanted: 0 if they are equal, 1 if nothing is said."""
    wanted = wanted.float()
    return (found.float() - wanted).square().mean() / wanted.square().mean()
