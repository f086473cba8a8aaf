"""Isolated and joint losses in all contexts, with their intervals, and how they differ."""

import pyarrow as pa

from duo.oracle import joint
from duo.tables.oracle import JOINT_LOSSES
from duo.tables.studies import JOINT_CURVES, JOINT_STATISTICS
from workflow import stage
from workflow.params import load_params


def main() -> None:
    params = load_params()
    settings, curves, statistics = params.bootstrap, [], []
    tables = {kind: JOINT_LOSSES.read(context=kind) for kind in params.joint.contexts}
    for domain in joint.gather(tables, params.model.layers):
        found = joint.intervals(domain, settings.resamples, settings.confidence, params.seed)
        curves.append(joint.curves(domain, found))
        statistics.append(joint.statistics(domain, found))
    JOINT_CURVES.write(pa.concat_tables(curves))
    JOINT_STATISTICS.write(pa.concat_tables(statistics))


if __name__ == "__main__":
    stage.run(main)
