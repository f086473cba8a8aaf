"""Claimed and realised losses in all contexts, with their intervals, and how they differ."""

import pyarrow as pa

from duo import config, contexts, gain_artifacts
from workflow import stage


def main() -> None:
    params = config.load()
    settings, curves, statistics = params.evaluate, [], []
    tables = {kind: gain_artifacts.CONTEXT_LOSSES.read(context=kind) for kind in params.contexts.kinds}
    for domain in contexts.gather(tables, params.model.layers):
        found = contexts.intervals(domain, settings.resamples, settings.confidence, params.seed)
        curves.append(contexts.curves(domain, found))
        statistics.append(contexts.statistics(domain, found))
    gain_artifacts.CONTEXT_CURVES.write(pa.concat_tables(curves))
    gain_artifacts.CONTEXT_STATISTICS.write(pa.concat_tables(statistics))


if __name__ == "__main__":
    stage.run(main)
