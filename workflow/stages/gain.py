"""What the oracle gains beyond luck, and which of the paper's claims on it are left; with intervals."""

from itertools import product

import pyarrow as pa

from duo import artifacts, claims, config, evaluate, gain, gain_artifacts, survival
from duo.routes import RouteSpace
from workflow import stage


def main() -> None:
    params = config.load()
    space, settings, budgets = RouteSpace(params.model.layers), params.evaluate, params.oracle.budgets
    shards = product(params.enumerate.models, params.enumerate.shards)
    tokens = pa.concat_tables([gain_artifacts.LUCK_TOKENS.read(model=model, shard=shard) for model, shard in shards])
    tables = {budget: (artifacts.SELECTIONS.read(budget=budget), artifacts.ROUTE_SUMS.read(budget=budget)) for budget in budgets}
    curves, statistics, heat_maps, layers = [], [], [], []
    for evaluated in evaluate.domains(tables, space):
        domain = gain.summarise(tokens, evaluated, space, params.luck, params.difficulty.budget)
        found = domain.intervals(settings.resamples, settings.confidence, params.seed)
        curves.append(gain.curves(domain, found))
        statistics.append(gain.statistics(domain, found))
        heat_maps.append(gain.heat_maps(domain))
        layers.append(gain.layer_shares(domain, found))
    skips = pa.concat_tables([artifacts.SKIP_STATISTICS.read(model=model) for model in params.skips.models])
    scope = claims.Scope(space.layers, budgets, routers=0, skipping=False, dense=[], frozen=False)  # none of these is tested here
    gain_artifacts.GAIN_CURVES.write(pa.concat_tables(curves))
    gain_artifacts.GAIN_STATISTICS.write(pa.concat_tables(statistics))
    gain_artifacts.GAIN_HEAT_MAPS.write(pa.concat_tables(heat_maps))
    gain_artifacts.GAIN_LAYERS.write(pa.concat_tables(layers))
    gain_artifacts.SURVIVAL.write(survival.judge(claims.claims(scope), pa.concat_tables(statistics), skips))


if __name__ == "__main__":
    stage.run(main)
