"""Figures of skipping: 2d, its statistics, and the oracle over small, big and skip."""

from dataclasses import asdict

import pyarrow as pa

from duo import artifacts, config
from duo.figures import base, skips
from workflow import stage
from workflow.stages.headline import setting


def main() -> None:
    params = config.load()
    shown, models, big, skip = setting(), params.skips.models, params.skips.big, params.skips.skip
    used = {name: value for name, value in asdict(shown).items() if name not in ("model", "random_routes")} | {"skip": skip}
    maps = {model: (artifacts.SKIP_HEAT_MAPS.read(model=model), artifacts.SKIP_LAYERS.read(model=model)) for model in models}
    files = [file.instance(model=model) for model in models for file in (artifacts.SKIP_HEAT_MAPS, artifacts.SKIP_LAYERS)]
    base.save(skips.heat_maps(maps, big, skip, shown), "figure-2d", "figures_skips", used | {"models": models, "big": big}, files)

    statistics = pa.concat_tables([artifacts.SKIP_STATISTICS.read(model=model) for model in models])
    files = [artifacts.SKIP_STATISTICS.instance(model=model) for model in models]
    base.save(skips.statistics(statistics, big, skip, shown), "skips", "figures_skips", used | {"models": models, "big": big}, files)

    documents, tokens = params.three_way.documents, params.three_way.tokens
    picture = skips.three_way(artifacts.THREE_WAY_CURVES.read(), documents, tokens, skip, shown)
    used |= {"model": params.three_way.model, "documents": documents, "tokens": tokens}
    base.save(picture, "figure-three-way", "figures_skips", used, [artifacts.THREE_WAY_CURVES])


if __name__ == "__main__":
    stage.run(main)
