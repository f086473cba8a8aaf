"""A budget that falls or rises along the sequence, against a constant one of the same total."""

import pyarrow as pa

from duo import artifacts, config, schedules
from workflow import stage


def main() -> None:
    params = config.load()
    first, last = params.schedules
    tables = {budget: artifacts.SELECTIONS.read(budget=budget) for budget in range(last, first + 1)}
    curves, positions, statistics = [], [], []
    for domain in schedules.scheduled(tables, first, last):
        found = domain.intervals(params.evaluate.resamples, params.evaluate.confidence, params.seed)
        curves.append(schedules.curves(domain, found))
        positions.append(schedules.positions(domain, found))
        statistics.append(schedules.statistics(domain, found))
    artifacts.SCHEDULES.write(pa.concat_tables(curves))
    artifacts.SCHEDULE_POSITIONS.write(pa.concat_tables(positions))
    artifacts.SCHEDULE_STATISTICS.write(pa.concat_tables(statistics))


if __name__ == "__main__":
    stage.run(main)
