"""Train a model of the synthetic domain, whose difficulty is known, under random routes."""

from dataclasses import replace

from duo.data import synthetic
from duo.model import transformer
from duo.model.device import Device
from duo.tables import files
from duo.tables.training import CHECKPOINT, SYNTHETIC_HISTORY, SYNTHETIC_METRICS, SYNTHETIC_MODEL
from duo.training import loop, pretrain
from workflow import compute, stage, track
from workflow.params import load_params


def main() -> None:
    params = load_params()
    compute.prepare(params.runtime)
    seed, sequence = params.synthetic.seed, params.tokens.sequence
    changes = {"tokens": params.synthetic.tokens, "batch": params.synthetic.batch, "mix": {synthetic.NAME: 1.0}}
    settings = params.pretrain.model_copy(update=changes)
    shape = replace(transformer.Shape.of(params.tokens, params.model), vocabulary=synthetic.VOCABULARY)
    rows = {"train": settings.tokens // sequence + 1, "validation": settings.validation_sequences}
    data = {
        split: {synthetic.NAME: synthetic.draw(count, sequence + 1, seed, split)["id"]} for split, count in rows.items()
    }
    checkpoint = CHECKPOINT.path(fingerprint=stage.fingerprint("synthetic_model"))
    with track.live("synthetic_model") as live, stage.advice("pretrain in params.yaml holds its settings"):
        run = loop.TrainingRun("synthetic model", seed, checkpoint, live.log)
        duo, history = pretrain.train(shape, settings, Device.of(params.runtime, settings.precision), data, run)
    with files.atomic(SYNTHETIC_MODEL.path()) as temporary:
        transformer.save(duo, temporary)
    per_step = settings.batch * sequence
    SYNTHETIC_HISTORY.write(loop.history_columns(history, per_step))
    SYNTHETIC_METRICS.write(loop.final_values(history, per_step))
    run.remove_checkpoints()


if __name__ == "__main__":
    stage.run(main)
