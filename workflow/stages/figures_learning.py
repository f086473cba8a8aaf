"""Figure of what routers gain from more supervision."""

from duo.figures import base, learning
from workflow import stage
from workflow.params import load_params
from workflow.stages.headline import setting


def main() -> None:
    params = load_params()
    base.save_all(learning.pictures(setting(), params.sampled_labels.teachers[0], params.learning), "figures_learning")


if __name__ == "__main__":
    stage.run(main)
