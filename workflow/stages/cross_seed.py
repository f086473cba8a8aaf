"""Routes chosen by one model's oracle and scored by another; and the fixed route on other documents than it was
chosen on.
"""

from itertools import product

import pyarrow as pa

from duo.routes import RouteSpace
from duo.studies import cross_seed, oracle_curves
from duo.tables.oracle import ROUTE_LOSSES, ROUTE_SUMS, SELECTIONS
from duo.tables.studies import CROSS_SEED, CROSS_SEED_MEANS, CROSS_SEED_STATISTICS
from workflow import stage
from workflow.params import load_params


def main() -> None:
    params = load_params()
    layers, settings = params.model.layers, params.bootstrap
    space = RouteSpace(layers)
    tables = {
        budget: (SELECTIONS.read(budget=budget), ROUTE_SUMS.read(budget=budget)) for budget in params.oracle.budgets
    }
    chosen = cross_seed.choices({budget: selections for budget, (selections, _) in tables.items()})
    scores = {}
    columns = ["domain", "document", "losses"]
    for scorer, shard in product(params.route_losses.models, params.route_losses.shards):  # one in memory at a time
        scores |= cross_seed.score(scorer, ROUTE_LOSSES.read(columns, model=scorer, shard=shard), chosen, space)
    pairs, means, statistics = [], [], []
    for domain in cross_seed.domains(oracle_curves.domains(tables, space), scores, params.seed):
        found = domain.intervals(layers, settings.resamples, settings.confidence, params.seed)
        pairs.append(cross_seed.pair_curves(domain, found))
        means.append(cross_seed.mean_curves(domain, found))
        statistics.append(cross_seed.statistics(domain, found))
    CROSS_SEED.write(pa.concat_tables(pairs))
    CROSS_SEED_MEANS.write(pa.concat_tables(means))
    CROSS_SEED_STATISTICS.write(pa.concat_tables(statistics))


if __name__ == "__main__":
    stage.run(main)
