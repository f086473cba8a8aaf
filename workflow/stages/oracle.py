"""One budget: what every strategy chooses and gets, from the losses of all routes."""

from itertools import product

import pyarrow as pa

from duo import plugins
from duo.oracle import select
from duo.routes import RouteSpace
from duo.tables.oracle import ROUTE_LOSSES, ROUTE_SUMS, SELECTIONS, STRATEGY_SUMS
from workflow import stage
from workflow.params import load_params


def main(budget: str) -> None:
    params = load_params()
    space = RouteSpace(params.model.layers)
    named = params.oracle.strategies
    strategies = {name: plugins.load(item, ["choose"]) if ":" in item else None for name, item in named.items()}
    parts = []
    for model, shard in product(params.route_losses.models, params.route_losses.shards):
        losses = ROUTE_LOSSES.read(columns=["domain", "document", "position", "losses"], model=model, shard=shard)
        tries, seed = params.oracle.random_routes, params.seed
        parts.append(select.apply(model, losses, space, int(budget), tries, seed, strategies))
    for table, tables in zip((SELECTIONS, ROUTE_SUMS, STRATEGY_SUMS), zip(*parts, strict=True), strict=True):
        table.write(pa.concat_tables(tables), budget=budget)


if __name__ == "__main__":
    stage.run(main)
