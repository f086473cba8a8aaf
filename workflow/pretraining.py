"""A training of a backbone as a stage does it, whichever model it is: watched, continued after a kill, saved."""

from typing import Any, NamedTuple

from duo.model import transformer
from duo.model.device import Device
from duo.settings import Pretrain
from duo.tables import files
from duo.tables.training import CHECKPOINT
from duo.training import loop, pretrain
from workflow import stage, track


class Backbone(NamedTuple):
    """What is trained: the model as errors call it, its seed, its shape, and how."""

    name: str
    seed: int
    shape: transformer.Shape
    settings: Pretrain


class Outs(NamedTuple):
    """The files that are written."""

    model: files.File
    history: files.Table
    metrics: files.Metrics


def run(
    words: tuple[str, ...], backbone: Backbone, device: Device, data: loop.Data, outs: Outs, **options: Any
) -> None:
    """Train a model on the splits train and validation of data, and write its outs.

    words: of the stage instance, for its checkpoint and its live curves; options: of duo.training.pretrain.train.
    """
    name, seed, shape, settings = backbone
    checkpoint = CHECKPOINT.path(fingerprint=stage.fingerprint(*words))
    with track.live("@".join(words)) as live, stage.advice("pretrain and model in params.yaml hold its settings"):
        run = loop.TrainingRun(name, seed, checkpoint, live.log)
        duo, history = pretrain.train(shape, settings, device, data, run, **options)
    with files.atomic(outs.model.path()) as temporary:
        transformer.save(duo, temporary)
    per_step = settings.batch * shape.sequence
    outs.history.write(loop.history_columns(history, per_step))
    outs.metrics.write(loop.final_values(history, per_step) | {"precision": device.precision})
    run.remove_checkpoints()
