"""Train a model of the synthetic domain, whose difficulty is known, under random routes."""

from dataclasses import replace

from duo.data import synthetic
from duo.model import transformer
from duo.model.device import Device
from duo.tables.training import SYNTHETIC_HISTORY, SYNTHETIC_METRICS, SYNTHETIC_MODEL
from workflow import compute, pretraining, stage
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
    pretraining.run(
        ("synthetic_model",),
        pretraining.Backbone("synthetic model", seed, shape, settings),
        Device.of(params.runtime, settings.precision),
        data,
        pretraining.Outs(SYNTHETIC_MODEL, SYNTHETIC_HISTORY, SYNTHETIC_METRICS),
    )


if __name__ == "__main__":
    stage.run(main)
