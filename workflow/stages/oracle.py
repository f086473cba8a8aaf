"""One budget: what every strategy chooses and gets, from the losses of all routes."""

from itertools import product

import pyarrow as pa

from duo.oracle import select
from duo.routes import RouteSpace
from duo.tables.oracle import ROUTE_LOSSES, ROUTE_SUMS, SELECTIONS
from workflow import stage
from workflow.params import load_params


def main(budget: str) -> None:
    params = load_params()
    space = RouteSpace(params.model.layers)
    selections, sums = [], []
    for model, shard in product(params.route_losses.models, params.route_losses.shards):
        losses = ROUTE_LOSSES.read(columns=["domain", "document", "position", "losses"], model=model, shard=shard)
        with stage.advice(stage.DIVERGED):
            parts = select.apply(model, losses, space, int(budget), params.oracle.random_routes, params.seed)
        selections.append(parts[0])
        sums.append(parts[1])
    SELECTIONS.write(pa.concat_tables(selections), budget=budget)
    ROUTE_SUMS.write(pa.concat_tables(sums), budget=budget)


if __name__ == "__main__":
    stage.run(main)
