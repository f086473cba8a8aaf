"""Isolated and joint losses in all contexts, with their intervals, how they differ, and who could foresee the gains."""

from duo.studies import joint, joint_gain
from duo.tables.contexts import JOINT_CHOICES
from duo.tables.oracle import JOINT_LOSSES
from workflow import stage, studies
from workflow.params import load_params


def main() -> None:
    params = load_params()
    losses, choices = (
        {context: table.read(context=context) for context in params.joint.contexts}
        for table in (JOINT_LOSSES, JOINT_CHOICES)
    )
    curves = joint.gather(losses, params.model.layers)
    studies.write([*curves, *joint_gain.gather(curves, choices)], params.bootstrap, params.seed)


if __name__ == "__main__":
    stage.run(main)
