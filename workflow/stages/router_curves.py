"""Routers beside the oracle: curves, heat maps and the statistics of the claims."""

import pyarrow as pa

from duo.studies import router_curves
from duo.tables.oracle import ROUTE_SUMS, SELECTIONS
from duo.tables.routers import ROUTED
from duo.tables.studies import ROUTER_CURVES, ROUTER_HEAT_MAPS, ROUTER_STATISTICS
from workflow import stage
from workflow.params import load_params


def main() -> None:
    params = load_params()
    settings = params.bootstrap
    routed = {name: ROUTED.read(router=name) for name in params.routers}
    oracle = {
        budget: (SELECTIONS.read(budget=budget), ROUTE_SUMS.read(budget=budget)) for budget in params.oracle.budgets
    }
    curves, heat_maps, statistics = [], [], []
    for each in router_curves.gather(params.routers, routed, oracle, params.model.layers):
        found = router_curves.intervals(each, settings.resamples, settings.confidence, params.seed)
        curves.append(router_curves.curves(each, found))
        heat_maps.append(router_curves.heat_maps(each))
        statistics.append(router_curves.statistics(each, found))
    ROUTER_CURVES.write(pa.concat_tables(curves))
    ROUTER_HEAT_MAPS.write(pa.concat_tables(heat_maps))
    ROUTER_STATISTICS.write(pa.concat_tables(statistics))


if __name__ == "__main__":
    stage.run(main)
