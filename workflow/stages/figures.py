"""All figures but 4b, which is the headline's."""

from dataclasses import asdict

from duo import artifacts, config
from duo.figures import base, oracle
from workflow import stage
from workflow.stages.headline import setting


def main() -> None:
    params = config.load()
    shown = setting()
    budgets = params.figures.heat_maps
    pictures = {
        "figure-4a": (oracle.oracle_against_random(artifacts.CURVES.read(), shown), asdict(shown), [artifacts.CURVES]),
        "figure-2": (
            oracle.heat_maps(artifacts.HEAT_MAPS.read(), artifacts.LAYER_SHARES.read(), budgets, shown),
            asdict(shown) | {"heat_maps": budgets},
            [artifacts.HEAT_MAPS, artifacts.LAYER_SHARES],
        ),
        "training": (oracle.training(artifacts.HISTORY.read()), {}, [artifacts.HISTORY]),
    }
    for name, (picture, used, inputs) in pictures.items():
        base.save(picture, name, "figures", used, inputs)


if __name__ == "__main__":
    stage.run(main)
