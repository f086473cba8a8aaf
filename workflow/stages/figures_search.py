"""Figure of the searches that may try few routes."""

from duo.figures import base, search
from workflow import stage
from workflow.params import load_params
from workflow.stages.headline import setting


def main() -> None:
    params = load_params()
    base.save_all(search.pictures(setting(), params.search.documents), "figures_search")


if __name__ == "__main__":
    stage.run(main)
