"""Train one of the models under random routes."""

from dataclasses import replace

from duo.model import transformer
from duo.model.device import Device
from duo.tables.data import packed
from duo.tables.training import HISTORY, MODEL, PRETRAIN_METRICS
from duo.training import variants
from workflow import compute, pretraining, stage
from workflow.params import load_params


def main(name: str) -> None:
    params = load_params()
    compute.prepare(params.runtime)
    variant = params.models[name]
    settings = variants.pretraining(variant, params.pretrain)
    shape = replace(transformer.Shape.of(params.tokens, params.model), big=variant.big or params.model.big)
    outs = pretraining.Outs(*(file.instance(model=name) for file in (MODEL, HISTORY, PRETRAIN_METRICS)))
    pretraining.run(
        ("pretrain", name),
        pretraining.Backbone(f"model {name}", variant.seed, shape, settings),
        Device.of(params.runtime, settings.precision),
        {split: packed(split) for split in ("train", "validation")},
        outs,
        big_first=variant.big_first or 0.0,
        pretrained=params.model.pretrained,
    )


if __name__ == "__main__":
    stage.run(main)
