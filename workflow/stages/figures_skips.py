"""Figures of skipping: 2d, its statistics, and the oracle over small, big and skip."""

from duo.figures import base, skips
from workflow import stage
from workflow.params import load_params
from workflow.stages.headline import setting


def main() -> None:
    params = load_params()
    base.save_all(skips.pictures(setting(), params.skips, params.three_way), "figures_skips")


if __name__ == "__main__":
    stage.run(main)
