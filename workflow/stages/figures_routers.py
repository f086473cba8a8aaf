"""Figures 3, 4a and 4b: routers, alone and beside the oracle."""

from duo.figures import base, routers
from workflow import stage
from workflow.params import load_params
from workflow.stages.headline import setting


def main() -> None:
    params = load_params()
    base.save_all(routers.pictures(setting(), params.routers, params.figures.heat_maps), "figures_routers")


if __name__ == "__main__":
    stage.run(main)
