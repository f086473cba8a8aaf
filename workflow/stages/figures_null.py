"""Figures of selection bias: the oracle's gain taken apart, where it puts big layers, and which claims are left."""

from duo.figures import base, null
from workflow import stage
from workflow.params import load_params
from workflow.stages.headline import setting


def main() -> None:
    params = load_params()
    # Trained otherwise, for C10.
    others = [model for model in params.skips.models if model not in params.route_losses.models]
    base.save_all(null.pictures(setting(), params.sampled_labels, params.figures.heat_maps, others), "figures_null")


if __name__ == "__main__":
    stage.run(main)
