"""All figures but 4b, which is the headline's."""

from dataclasses import asdict

from duo import artifacts, config, figures
from workflow import stage


def main() -> None:
    params = config.load()
    setting = figures.Setting(
        layers=params.model.layers,
        documents=params.enumerate.documents,
        tokens=params.enumerate.tokens,
        context=params.enumerate.context,
        random_routes=params.oracle.random_routes,
        confidence=params.evaluate.confidence,
    )
    budgets = params.figures.heat_maps
    pictures = {
        "figure-4a": (figures.oracle_against_random(artifacts.CURVES.read(), setting), asdict(setting), [artifacts.CURVES]),
        "figure-2": (
            figures.heat_maps(artifacts.HEAT_MAPS.read(), artifacts.LAYER_SHARES.read(), budgets, setting),
            asdict(setting) | {"heat_maps": budgets},
            [artifacts.HEAT_MAPS, artifacts.LAYER_SHARES],
        ),
        "training": (figures.training(artifacts.HISTORY.read()), {}, [artifacts.HISTORY]),
    }
    for name, (picture, used, inputs) in pictures.items():
        figures.save(picture, name, "figures", used, inputs)


if __name__ == "__main__":
    stage.run(main)
