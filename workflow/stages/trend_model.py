"""Train one point of the trend over scale."""

from dataclasses import replace

from duo.model import transformer
from duo.model.device import Device
from duo.tables.data import packed
from duo.tables.trend import TREND_HISTORY, TREND_MODEL, TREND_PACKED, TREND_TRAINING
from duo.training import points
from workflow import compute, pretraining, stage
from workflow.params import load_params


def main(name: str) -> None:
    params = load_params()
    compute.prepare(params.runtime)
    point = points.whole(params.trend.points[name], params.pretrain, params.model)
    settings = params.pretrain.model_copy(update={"tokens": point.tokens})
    shape = transformer.Shape.of(params.tokens, points.shape(point, params.model))
    table = TREND_PACKED.instance(vocabulary=point.vocabulary)
    pretraining.run(
        ("trend_model", name),
        pretraining.Backbone(f"point {name}", params.trend.seed, replace(shape, vocabulary=point.vocabulary), settings),
        Device.of(params.runtime, settings.precision),
        {split: packed(split, table) for split in ("train", "validation")},
        pretraining.Outs(*(file.instance(point=name) for file in (TREND_MODEL, TREND_HISTORY, TREND_TRAINING))),
    )


if __name__ == "__main__":
    stage.run(main)
