"""Figure 2, and the seeds side by side."""

from duo.figures import base, oracle
from workflow import stage
from workflow.params import load_params
from workflow.stages.headline import setting


def main() -> None:
    params = load_params()
    base.save_all(oracle.pictures(setting(), params.figures.heat_maps, params.seeds()), "figures")


if __name__ == "__main__":
    stage.run(main)
