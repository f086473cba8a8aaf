"""Figures of luck: the oracle's gain taken apart, where big layers go by luck, and which claims are left."""

from dataclasses import asdict

from duo import artifacts, config
from duo.figures import base, luck
from workflow import stage
from workflow.stages.headline import setting


def main() -> None:
    params = config.load()
    shown, settings, budgets = setting(), params.luck, params.figures.heat_maps
    used = {name: value for name, value in asdict(shown).items() if name != "random_routes"} | {"luck": settings.model_dump()}
    picture = luck.decomposition(artifacts.GAIN_CURVES.read(), artifacts.GAIN_STATISTICS.read(), settings, shown)
    base.save(picture, "luck", "figures_luck", used, [artifacts.GAIN_CURVES, artifacts.GAIN_STATISTICS])

    picture = luck.heat_maps(artifacts.GAIN_HEAT_MAPS.read(), artifacts.GAIN_LAYERS.read(), budgets, settings, shown)
    files = [artifacts.GAIN_HEAT_MAPS, artifacts.GAIN_LAYERS]
    base.save(picture, "luck-heat-maps", "figures_luck", used | {"heat_maps": budgets}, files)

    others = [model for model in params.skips.models if model not in params.enumerate.models]  # trained otherwise, for C10
    survival = artifacts.SURVIVAL.read()
    survival = survival.filter([model in (shown.model, *others) for model in survival["model"].to_pylist()])
    base.save(luck.survival(survival, settings, shown), "survival", "figures_luck", used | {"others": others}, [artifacts.SURVIVAL])


if __name__ == "__main__":
    stage.run(main)
