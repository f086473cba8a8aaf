"""What the oracle gains, and how much of that anybody could foresee; with intervals."""

from itertools import product

import pyarrow as pa

from duo.routes import RouteSpace
from duo.studies import gain, oracle_curves
from duo.tables.oracle import (
    CELLS,
    CHOICES,
    LABEL_SELECTIONS,
    MATCHED_GAINS,
    PREDICTIONS,
    ROUTE_SUMS,
    SELECTIONS,
)
from workflow import stage, studies
from workflow.params import load_params


def main() -> None:
    params = load_params()
    space, budgets = RouteSpace(params.model.layers), params.oracle.budgets
    shards = list(product(params.route_losses.models, params.route_losses.shards))
    tables = [
        pa.concat_tables([table.read(model=model, shard=shard) for model, shard in shards])
        for table in (CHOICES, PREDICTIONS, MATCHED_GAINS, CELLS, LABEL_SELECTIONS)
    ]
    selections = {k: SELECTIONS.read(budget=k) for k in budgets}
    curves = oracle_curves.gather({k: (selections[k], ROUTE_SUMS.read(budget=k)) for k in budgets}, space)
    gains = [gain.gather(each, params.sampled_labels.reference, *tables, selections) for each in curves]
    studies.write(gains, params.bootstrap, params.seed)


if __name__ == "__main__":
    stage.run(main)
