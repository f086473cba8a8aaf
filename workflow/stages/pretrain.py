"""Stage 1: train one of the models under random routes."""

from dataclasses import replace

import numpy as np

from duo.model import device, transformer
from duo.model.device import Device
from duo.tables import files
from duo.tables.data import packed
from duo.tables.training import CHECKPOINT, HISTORY, MODEL, PRETRAIN_METRICS
from duo.training import pretrain
from workflow import stage, track
from workflow.params import load_params


def main(name: str) -> None:
    params = load_params()
    device.prepare(params.runtime.device, params.runtime.threads)
    variant = params.models[name]
    settings = variant.settings(params.pretrain)
    shape = replace(transformer.Shape.of(params.tokens, params.model), big=variant.big or params.model.big)
    checkpoint = CHECKPOINT.path(fingerprint=stage.fingerprint("pretrain", name))
    train, validation = packed("train"), packed("validation")
    options = {"big_first": variant.big_first or 0.0, "pretrained": params.model.pretrained}
    where = Device.of(params.runtime, settings.precision)
    with track.live(f"pretrain@{name}") as live:
        duo, history = pretrain.train(
            shape, settings, where, variant.seed, train, validation, checkpoint, live.log, **options
        )
    with files.atomic(MODEL.path(model=name)) as temporary:
        transformer.save(duo, temporary)
    per_step = settings.batch * params.tokens.sequence
    steps, series, values = zip(*history, strict=True)
    HISTORY.write({"step": steps, "tokens": np.array(steps) * per_step, "series": series, "value": values}, model=name)
    last = {name: value for step, name, value in history if step == steps[-1]}
    PRETRAIN_METRICS.write({"steps": steps[-1], "tokens": steps[-1] * per_step, **last}, model=name)
    for left in checkpoint.parent.glob(f"{checkpoint.stem}*"):
        left.unlink()


if __name__ == "__main__":
    stage.run(main)
