"""Routers beside the oracle: curves, heat maps and the statistics of the claims."""

import pyarrow as pa

from duo import artifacts, config, routing
from workflow import stage


def main() -> None:
    params = config.load()
    settings = params.evaluate
    routed = {name: artifacts.ROUTED.read(router=name) for name in params.routers}
    oracle = {
        budget: (artifacts.SELECTIONS.read(budget=budget), artifacts.ROUTE_SUMS.read(budget=budget)) for budget in params.oracle.budgets
    }
    curves, heat_maps, statistics = [], [], []
    for each in routing.gather(params.routers, routed, oracle, params.model.layers):
        found = routing.intervals(each, settings.resamples, settings.confidence, params.seed)
        curves.append(routing.curves(each, found))
        heat_maps.append(routing.heat_maps(each))
        statistics.append(routing.statistics(each, found))
    artifacts.ROUTING_CURVES.write(pa.concat_tables(curves))
    artifacts.ROUTING_HEAT_MAPS.write(pa.concat_tables(heat_maps))
    artifacts.ROUTING_STATISTICS.write(pa.concat_tables(statistics))


if __name__ == "__main__":
    stage.run(main)
