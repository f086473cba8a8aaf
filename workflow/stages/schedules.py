"""A budget that falls or rises along the sequence, against a constant one of the same total."""

from duo.studies import schedules
from duo.tables.oracle import SELECTIONS
from workflow import stage, studies
from workflow.params import load_params


def main() -> None:
    params = load_params()
    first, last = params.schedules
    tables = {budget: SELECTIONS.read(budget=budget) for budget in range(last, first + 1)}
    studies.write(schedules.gather(tables, first, last), params.bootstrap, params.seed)


if __name__ == "__main__":
    stage.run(main)
