"""Routes chosen by one model's oracle and scored by another; and a fixed route where it was chosen, and elsewhere."""

from itertools import product

from duo.routes import RouteSpace
from duo.studies import cross_seed, oracle_curves
from duo.tables.oracle import ROUTE_LOSSES, ROUTE_SUMS, SELECTIONS
from duo.training import variants
from workflow import stage, studies
from workflow.params import load_params


def main() -> None:
    params = load_params()
    seeds = variants.as_trained(params.route_losses.models, params.recalibrated)
    space = RouteSpace(params.model.layers)
    kinds = SELECTIONS, ROUTE_SUMS
    tables = {
        budget: tuple(studies.of_models(table.read(budget=budget), seeds) for table in kinds)
        for budget in params.oracle.budgets
    }
    chosen = cross_seed.choices({budget: selections for budget, (selections, _) in tables.items()})
    scores, columns = {}, ["domain", "document", "cluster", "losses"]
    for scorer, shard in product(seeds, params.route_losses.shards):  # one in memory at a time
        scores |= cross_seed.score(scorer, ROUTE_LOSSES.read(columns, model=scorer, shard=shard), chosen, space)
    gathered = cross_seed.gather(oracle_curves.gather(tables, space), scores)
    studies.write(gathered, params.bootstrap, params.seed)


if __name__ == "__main__":
    stage.run(main)
