"""Train one of the models under random routes."""

from dataclasses import replace

from duo.model import transformer
from duo.model.device import Device
from duo.tables import files
from duo.tables.data import packed
from duo.tables.training import CHECKPOINT, HISTORY, MODEL, PRETRAIN_METRICS
from duo.training import loop, pretrain, variants
from workflow import compute, stage, track
from workflow.params import load_params


def main(name: str) -> None:
    params = load_params()
    compute.prepare(params.runtime)
    variant = params.models[name]
    settings = variants.pretraining(variant, params.pretrain)
    shape = replace(transformer.Shape.of(params.tokens, params.model), big=variant.big or params.model.big)
    checkpoint = CHECKPOINT.path(fingerprint=stage.fingerprint("pretrain", name))
    data = {split: packed(split) for split in ("train", "validation")}
    options = {"big_first": variant.big_first or 0.0, "pretrained": params.model.pretrained}
    with track.live(f"pretrain@{name}") as live, stage.advice("pretrain and model in params.yaml hold its settings"):
        run = loop.TrainingRun(f"model {name}", variant.seed, checkpoint, live.log)
        duo, history = pretrain.train(
            shape, settings, Device.of(params.runtime, settings.precision), data, run, **options
        )
    with files.atomic(MODEL.path(model=name)) as temporary:
        transformer.save(duo, temporary)
    per_step = settings.batch * params.tokens.sequence
    HISTORY.write(loop.history_columns(history, per_step), model=name)
    PRETRAIN_METRICS.write(loop.final_values(history, per_step), model=name)
    run.remove_checkpoints()


if __name__ == "__main__":
    stage.run(main)
