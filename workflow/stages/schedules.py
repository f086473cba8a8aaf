"""A budget that falls or rises along the sequence, against a constant one of the same total."""

import pyarrow as pa

from duo.studies import schedules
from duo.tables.oracle import SELECTIONS
from duo.tables.studies import SCHEDULE_POSITIONS, SCHEDULE_STATISTICS, SCHEDULES
from workflow import stage
from workflow.params import load_params


def main() -> None:
    params = load_params()
    first, last = params.schedules
    tables = {budget: SELECTIONS.read(budget=budget) for budget in range(last, first + 1)}
    curves, positions, statistics = [], [], []
    for domain in schedules.scheduled(tables, first, last):
        found = domain.intervals(params.bootstrap.resamples, params.bootstrap.confidence, params.seed)
        curves.append(schedules.curves(domain, found))
        positions.append(schedules.positions(domain, found))
        statistics.append(schedules.statistics(domain, found))
    SCHEDULES.write(pa.concat_tables(curves))
    SCHEDULE_POSITIONS.write(pa.concat_tables(positions))
    SCHEDULE_STATISTICS.write(pa.concat_tables(statistics))


if __name__ == "__main__":
    stage.run(main)
