"""Figures of luck: the oracle's gain taken apart, where big layers go by luck, and which claims are left."""

from dataclasses import asdict

from duo import config, gain_artifacts
from duo.figures import base, luck
from workflow import stage
from workflow.stages.headline import setting


def main() -> None:
    params = config.load()
    shown, settings, budgets = setting(), params.luck, params.figures.heat_maps
    used = {name: value for name, value in asdict(shown).items() if name != "random_routes"} | {"luck": settings.model_dump()}
    picture = luck.decomposition(gain_artifacts.GAIN_CURVES.read(), gain_artifacts.GAIN_STATISTICS.read(), settings, shown)
    base.save(picture, "luck", "figures_luck", used, [gain_artifacts.GAIN_CURVES, gain_artifacts.GAIN_STATISTICS])

    picture = luck.heat_maps(gain_artifacts.GAIN_HEAT_MAPS.read(), gain_artifacts.GAIN_LAYERS.read(), budgets, settings, shown)
    files = [gain_artifacts.GAIN_HEAT_MAPS, gain_artifacts.GAIN_LAYERS]
    base.save(picture, "luck-heat-maps", "figures_luck", used | {"heat_maps": budgets}, files)

    others = [model for model in params.skips.models if model not in params.enumerate.models]  # trained otherwise, for C10
    survival = gain_artifacts.SURVIVAL.read()
    survival = survival.filter([model in (shown.model, *others) for model in survival["model"].to_pylist()])
    base.save(luck.survival(survival, settings, shown), "survival", "figures_luck", used | {"others": others}, [gain_artifacts.SURVIVAL])


if __name__ == "__main__":
    stage.run(main)
