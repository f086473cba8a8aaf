"""Routes chosen by one model's oracle and scored by another; and the fixed route on other documents than it was chosen on."""

from itertools import product

import pyarrow as pa

from duo import artifacts, config, cross_seed, evaluate, gain_artifacts
from duo.routes import RouteSpace
from workflow import stage


def main() -> None:
    params = config.load()
    layers, settings = params.model.layers, params.evaluate
    space = RouteSpace(layers)
    tables = {
        budget: (artifacts.SELECTIONS.read(budget=budget), artifacts.ROUTE_SUMS.read(budget=budget)) for budget in params.oracle.budgets
    }
    chosen = cross_seed.choices({budget: selections for budget, (selections, _) in tables.items()})
    scores = {}
    columns = ["domain", "document", "losses"]
    for scorer, shard in product(params.enumerate.models, params.enumerate.shards):  # one in memory at a time
        scores |= cross_seed.score(scorer, artifacts.LOSSES.read(columns, model=scorer, shard=shard), chosen, space)
    pairs, means, statistics = [], [], []
    for domain in cross_seed.domains(evaluate.domains(tables, space), scores, params.seed):
        found = domain.intervals(layers, settings.resamples, settings.confidence, params.seed)
        pairs.append(cross_seed.pair_curves(domain, found))
        means.append(cross_seed.mean_curves(domain, found))
        statistics.append(cross_seed.statistics(domain, found))
    gain_artifacts.CROSS_SEED.write(pa.concat_tables(pairs))
    gain_artifacts.CROSS_SEED_MEANS.write(pa.concat_tables(means))
    gain_artifacts.CROSS_SEED_STATISTICS.write(pa.concat_tables(statistics))


if __name__ == "__main__":
    stage.run(main)
