"""Stage 1: train one of the models under random routes."""

from dataclasses import replace

import numpy as np

from duo import artifacts, config, files, model, pretrain, runtime, track
from workflow import stage


def main(name: str) -> None:
    params = config.load()
    runtime.prepare(params.runtime.device, params.runtime.threads)
    variant = params.models[name]
    settings = variant.settings(params.pretrain)
    shape = replace(model.Shape.of(params.tokens, params.model), big=variant.big or params.model.big)
    checkpoint = artifacts.CHECKPOINT.path(fingerprint=stage.fingerprint("pretrain", name))
    train, validation = artifacts.packed("train"), artifacts.packed("validation")
    options = {"big_first": variant.big_first or 0.0, "pretrained": params.model.pretrained}
    with track.live(f"pretrain@{name}") as live:
        duo, history = pretrain.train(shape, settings, params.runtime, variant.seed, train, validation, checkpoint, live.log, **options)
    with files.atomic(artifacts.MODEL.path(model=name)) as temporary:
        model.save(duo, temporary)
    per_step = settings.batch * params.tokens.sequence
    steps, series, values = zip(*history, strict=True)
    artifacts.HISTORY.write({"step": steps, "tokens": np.array(steps) * per_step, "series": series, "value": values}, model=name)
    last = {name: value for step, name, value in history if step == steps[-1]}
    artifacts.PRETRAIN_METRICS.write({"steps": steps[-1], "tokens": steps[-1] * per_step, **last}, model=name)
    for left in checkpoint.parent.glob(f"{checkpoint.stem}*"):
        left.unlink()


if __name__ == "__main__":
    stage.run(main)
