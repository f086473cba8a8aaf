"""Figure 2, and the seeds side by side."""

from duo.figures import base, oracle
from duo.training import variants
from workflow import stage
from workflow.params import load_params
from workflow.stages.headline import setting


def main() -> None:
    params = load_params()
    seeds = variants.as_trained(params.route_losses.models, params.recalibrated)
    base.save_all(oracle.pictures(setting(), params.figures.heat_maps, seeds), "figures")


if __name__ == "__main__":
    stage.run(main)
