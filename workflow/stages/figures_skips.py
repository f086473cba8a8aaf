"""Figures of skipping: 2d, its statistics, and the oracle over small, big and skip."""

from dataclasses import asdict

import pyarrow as pa

from duo.figures import base, skips
from duo.tables.studies import SKIP_HEAT_MAPS, SKIP_LAYERS, SKIP_STATISTICS, THREE_WAY_CURVES
from workflow import stage
from workflow.params import load_params
from workflow.stages.headline import setting


def main() -> None:
    params = load_params()
    shown, models, big, skip = setting(), params.skips.models, params.skips.big, params.skips.scope
    used = {name: value for name, value in asdict(shown).items() if name not in ("model", "random_routes")} | {
        "skip": skip
    }
    maps = {model: (SKIP_HEAT_MAPS.read(model=model), SKIP_LAYERS.read(model=model)) for model in models}
    files = [file.instance(model=model) for model in models for file in (SKIP_HEAT_MAPS, SKIP_LAYERS)]
    base.save(
        skips.heat_maps(maps, big, skip, shown),
        "figure-2d",
        "figures_skips",
        used | {"models": models, "big": big},
        files,
    )

    statistics = pa.concat_tables([SKIP_STATISTICS.read(model=model) for model in models])
    files = [SKIP_STATISTICS.instance(model=model) for model in models]
    base.save(
        skips.statistics(statistics, big, skip, shown),
        "skips",
        "figures_skips",
        used | {"models": models, "big": big},
        files,
    )

    documents, tokens = params.three_way.documents, params.three_way.tokens
    picture = skips.three_way(THREE_WAY_CURVES.read(), documents, tokens, skip, shown)
    used |= {"model": params.three_way.model, "documents": documents, "tokens": tokens}
    base.save(picture, "figure-three-way", "figures_skips", used, [THREE_WAY_CURVES])


if __name__ == "__main__":
    stage.run(main)
