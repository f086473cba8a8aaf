"""What the oracle gains beyond selection bias, with intervals."""

from itertools import product

import pyarrow as pa

from duo.routes import RouteSpace
from duo.studies import gain, oracle_curves
from duo.tables.oracle import ROUTE_SUMS, SAMPLED_LABELS, SELECTIONS
from workflow import stage, studies
from workflow.params import load_params


def main() -> None:
    params = load_params()
    space, budgets, settings = RouteSpace(params.model.layers), params.oracle.budgets, params.sampled_labels
    shards = product(params.route_losses.models, params.route_losses.shards)
    tokens = pa.concat_tables([SAMPLED_LABELS.read(model=model, shard=shard) for model, shard in shards])
    tables = {k: (SELECTIONS.read(budget=k), ROUTE_SUMS.read(budget=k)) for k in budgets}
    gains = [
        gain.gather(tokens, curves, space, settings, params.difficulty.budget)
        for curves in oracle_curves.gather(tables, space)
    ]
    studies.write(gains, params.bootstrap, params.seed)


if __name__ == "__main__":
    stage.run(main)
