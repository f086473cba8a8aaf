"""Claimed and realised losses in all contexts, with their intervals, and how they differ."""

import pyarrow as pa

from duo.oracle import joint
from duo.tables.oracle import CONTEXT_LOSSES
from duo.tables.studies import CONTEXT_CURVES, CONTEXT_STATISTICS
from workflow import stage
from workflow.params import load_params


def main() -> None:
    params = load_params()
    settings, curves, statistics = params.evaluate, [], []
    tables = {kind: CONTEXT_LOSSES.read(context=kind) for kind in params.contexts.kinds}
    for domain in joint.gather(tables, params.model.layers):
        found = joint.intervals(domain, settings.resamples, settings.confidence, params.seed)
        curves.append(joint.curves(domain, found))
        statistics.append(joint.statistics(domain, found))
    CONTEXT_CURVES.write(pa.concat_tables(curves))
    CONTEXT_STATISTICS.write(pa.concat_tables(statistics))


if __name__ == "__main__":
    stage.run(main)
