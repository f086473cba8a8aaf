"""Figures of the oracle against independent noise, of the losses' spectrum, and of another seed's choices."""

from duo.figures import base, spectrum
from workflow import stage
from workflow.params import load_params
from workflow.stages.headline import setting


def main() -> None:
    params = load_params()
    base.save_all(spectrum.pictures(setting(), params.seeds()), "figures_spectrum")


if __name__ == "__main__":
    stage.run(main)
