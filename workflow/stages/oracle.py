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
    strategies, parts, advice = {}, [], {"domain ": stage.DIVERGED}  # of a loss that is not finite
    for name, kind in params.oracle.strategies.items():
        advice[f"strategy {name}: "] = words = f"oracle.strategies.{name} in params.yaml names its class"
        with stage.advice(words):
            strategies[name] = plugins.load(kind, plugins.STRATEGY) if ":" in kind else None
    for model, shard in product(params.route_losses.models, params.route_losses.shards):
        losses = ROUTE_LOSSES.read(
            columns=["domain", "document", "cluster", "position", "losses"], model=model, shard=shard
        )
        tries, seed = params.oracle.random_routes, params.seed
        with stage.advice(advice):
            parts.append(select.apply(model, losses, space, int(budget), tries, seed, strategies))
    for table, tables in zip((SELECTIONS, ROUTE_SUMS, STRATEGY_SUMS), zip(*parts, strict=True), strict=True):
        table.write(pa.concat_tables(tables), budget=budget)


if __name__ == "__main__":
    stage.run(main)
