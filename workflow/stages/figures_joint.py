"""Figure of the oracle's isolated and joint losses in every context."""

from dataclasses import asdict, replace

from duo.figures import base, joint
from duo.tables.studies import JOINT_CURVES
from workflow import stage
from workflow.params import load_params
from workflow.stages.headline import setting


def main() -> None:
    params = load_params()
    shown = replace(setting(), documents=params.joint.documents)
    used = {name: value for name, value in asdict(shown).items() if name != "random_routes"}
    used |= {"contexts": params.joint.contexts, "reference": params.joint.reference}
    picture = joint.isolated_and_joint(JOINT_CURVES.read(), params.joint.reference, shown)
    base.save(picture, "joint", "figures_joint", used, [JOINT_CURVES])


if __name__ == "__main__":
    stage.run(main)
