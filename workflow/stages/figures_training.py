"""Figure of the training curves, with the final losses of all models."""

from duo.figures import base, oracle
from workflow import stage
from workflow.params import load_params
from workflow.stages.headline import setting


def main() -> None:
    params = load_params()
    base.save_all(oracle.of_training(setting(), params.models), "figures_training")


if __name__ == "__main__":
    stage.run(main)
