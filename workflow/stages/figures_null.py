"""Figures of selection bias: the oracle's gain taken apart, and where it puts big layers."""

from duo.figures import base, null
from workflow import stage
from workflow.params import load_params
from workflow.stages.headline import setting


def main() -> None:
    params = load_params()
    base.save_all(null.pictures(setting(), params.sampled_labels, params.figures.heat_maps), "figures_null")


if __name__ == "__main__":
    stage.run(main)
