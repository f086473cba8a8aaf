"""Figures of single tokens: 4c, 5, and loss and gap by class."""

from duo.figures import base, tokens
from workflow import stage
from workflow.params import load_params
from workflow.stages.headline import setting


def main() -> None:
    params = load_params()
    base.save_all(tokens.pictures(setting(), params.schedules, params.difficulty.budget), "figures_tokens")


if __name__ == "__main__":
    stage.run(main)
