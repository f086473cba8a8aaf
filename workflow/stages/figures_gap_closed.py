"""Figure of routers that learn from the losses of all routes: how much of the gap they close."""

from duo.figures import base, gap_closed
from workflow import stage
from workflow.params import load_params
from workflow.stages.headline import setting


def main() -> None:
    params = load_params()
    base.save_all(
        gap_closed.pictures(setting(), params.sampled_labels.teachers[0], params.policies), "figures_gap_closed"
    )


if __name__ == "__main__":
    stage.run(main)
