"""Figure of the oracle's isolated and joint losses in every context."""

from duo.figures import base, joint
from workflow import stage
from workflow.params import load_params
from workflow.stages.headline import setting


def main() -> None:
    params = load_params()
    base.save_all(joint.pictures(setting(), params.joint, params.sampled_labels.reference), "figures_joint")


if __name__ == "__main__":
    stage.run(main)
