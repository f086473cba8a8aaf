"""Curves, heat maps and headline numbers with their intervals, from all budgets."""

import pyarrow as pa

from duo.routes import RouteSpace
from duo.studies import oracle_curves
from duo.tables.oracle import ROUTE_SUMS, SELECTIONS
from duo.tables.studies import (
    ORACLE_CURVES,
    ORACLE_HEAT_MAPS,
    ORACLE_LAYERS,
    ORACLE_METRICS,
    ORACLE_STATISTICS,
    SEED_SPREAD,
)
from workflow import stage
from workflow.params import load_params


def main() -> None:
    params = load_params()
    layers, settings = params.model.layers, params.bootstrap
    tables = {
        budget: (SELECTIONS.read(budget=budget), ROUTE_SUMS.read(budget=budget)) for budget in params.oracle.budgets
    }
    curves, heat_maps, layer_shares, contrasts, metrics = [], [], [], [], {}
    for domain in oracle_curves.domains(tables, RouteSpace(layers)):
        found = oracle_curves.intervals(domain, layers, settings.resamples, settings.confidence, params.seed)
        curves.append(oracle_curves.curves(domain, found))
        heat_maps.append(oracle_curves.heat_maps(domain))
        layer_shares.append(oracle_curves.layer_shares(domain, found))
        contrasts.append(oracle_curves.contrast_table(domain, found))
        metrics.setdefault(domain.model, {})[domain.name] = oracle_curves.headline(domain, found, layers)
    ORACLE_CURVES.write(pa.concat_tables(curves))
    ORACLE_HEAT_MAPS.write(pa.concat_tables(heat_maps))
    ORACLE_LAYERS.write(pa.concat_tables(layer_shares))
    ORACLE_STATISTICS.write(pa.concat_tables(contrasts))
    SEED_SPREAD.write(oracle_curves.spread(pa.concat_tables(contrasts)))
    ORACLE_METRICS.write(metrics)


if __name__ == "__main__":
    stage.run(main)
