"""One budget: what every strategy chooses and gets, from the losses of all routes."""

from itertools import product

import pyarrow as pa

from duo import artifacts, config, oracle
from duo.routes import RouteSpace
from workflow import stage


def main(budget: str) -> None:
    params = config.load()
    space = RouteSpace(params.model.layers)
    selections, sums = [], []
    for model, shard in product(params.enumerate.models, params.enumerate.shards):
        losses = artifacts.LOSSES.read(columns=["domain", "document", "position", "losses"], model=model, shard=shard)
        parts = oracle.apply(model, losses, space, int(budget), params.oracle.random_routes, params.seed)
        selections.append(parts[0])
        sums.append(parts[1])
    artifacts.SELECTIONS.write(pa.concat_tables(selections), budget=budget)
    artifacts.ROUTE_SUMS.write(pa.concat_tables(sums), budget=budget)


if __name__ == "__main__":
    stage.run(main)
