"""Figures of the oracle against independent noise, of the losses' spectrum, and of another seed's choices."""

from duo.figures import base, spectrum
from duo.training import variants
from workflow import stage
from workflow.params import load_params
from workflow.stages.headline import setting


def main() -> None:
    params = load_params()
    seeds = variants.as_trained(params.route_losses.models, params.recalibrated)
    base.save_all(spectrum.pictures(setting(), seeds), "figures_spectrum")


if __name__ == "__main__":
    stage.run(main)
