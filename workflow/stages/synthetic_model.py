"""The domain of known difficulty: train a model of its own, under random routes as in stage 1."""

from dataclasses import replace

import numpy as np

from duo.data import synthetic
from duo.model import device, transformer
from duo.model.device import Device
from duo.tables import files
from duo.tables.training import CHECKPOINT, SYNTHETIC_HISTORY, SYNTHETIC_METRICS, SYNTHETIC_MODEL
from duo.training import pretrain
from workflow import stage, track
from workflow.params import load_params


def main() -> None:
    params = load_params()
    device.prepare(params.runtime.device, params.runtime.threads)
    seed, sequence = params.synthetic.seed, params.tokens.sequence
    changes = {"tokens": params.synthetic.tokens, "batch": params.synthetic.batch, "mix": {synthetic.NAME: 1.0}}
    settings = params.pretrain.model_copy(update=changes)
    shape = replace(transformer.Shape.of(params.tokens, params.model), vocabulary=synthetic.VOCABULARY)
    rows = {"train": settings.tokens // sequence + 1, "validation": settings.validation_sequences}
    data = {
        split: {synthetic.NAME: synthetic.draw(count, sequence + 1, seed, split)["id"]} for split, count in rows.items()
    }
    checkpoint = CHECKPOINT.path(fingerprint=stage.fingerprint("synthetic_model"))
    where = Device.of(params.runtime, settings.precision)
    with track.live("synthetic_model") as live:
        duo, history = pretrain.train(shape, settings, where, seed, *data.values(), checkpoint, live.log)
    with files.atomic(SYNTHETIC_MODEL.path()) as temporary:
        transformer.save(duo, temporary)
    per_step = settings.batch * sequence
    steps, series, values = zip(*history, strict=True)
    SYNTHETIC_HISTORY.write({"step": steps, "tokens": np.array(steps) * per_step, "series": series, "value": values})
    last = {name: value for step, name, value in history if step == steps[-1]}
    SYNTHETIC_METRICS.write({"steps": steps[-1], "tokens": steps[-1] * per_step, **last})
    checkpoint.unlink(missing_ok=True)


if __name__ == "__main__":
    stage.run(main)
