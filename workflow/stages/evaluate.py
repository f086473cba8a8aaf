"""Curves, heat maps and headline numbers with their intervals, from all budgets."""

import pyarrow as pa

from duo import artifacts, config, evaluate
from duo.routes import RouteSpace
from workflow import stage


def main() -> None:
    params = config.load()
    layers, settings = params.model.layers, params.evaluate
    tables = {
        budget: (artifacts.SELECTIONS.read(budget=budget), artifacts.ROUTE_SUMS.read(budget=budget)) for budget in params.oracle.budgets
    }
    curves, heat_maps, layer_shares, contrasts, metrics = [], [], [], [], {}
    for domain in evaluate.domains(tables, RouteSpace(layers)):
        found = evaluate.intervals(domain, layers, settings.resamples, settings.confidence, params.seed)
        curves.append(evaluate.curves(domain, found))
        heat_maps.append(evaluate.heat_maps(domain))
        layer_shares.append(evaluate.layer_shares(domain, found))
        contrasts.append(evaluate.contrast_table(domain, found))
        metrics.setdefault(domain.model, {})[domain.name] = evaluate.headline(domain, found, layers)
    artifacts.CURVES.write(pa.concat_tables(curves))
    artifacts.HEAT_MAPS.write(pa.concat_tables(heat_maps))
    artifacts.LAYER_SHARES.write(pa.concat_tables(layer_shares))
    artifacts.CONTRASTS.write(pa.concat_tables(contrasts))
    artifacts.SEEDS.write(evaluate.spread(pa.concat_tables(contrasts)))
    artifacts.METRICS.write(metrics)


if __name__ == "__main__":
    stage.run(main)
