"""Isolated and joint losses in all contexts, with their intervals, and how they differ."""

from duo.studies import joint
from duo.tables.oracle import JOINT_LOSSES
from workflow import stage, studies
from workflow.params import load_params


def main() -> None:
    params = load_params()
    tables = {context: JOINT_LOSSES.read(context=context) for context in params.joint.contexts}
    studies.write(joint.gather(tables, params.model.layers), params.bootstrap, params.seed)


if __name__ == "__main__":
    stage.run(main)
