"""Curves, heat maps and headline numbers with their intervals, from all budgets."""

import pyarrow as pa

from duo import artifacts, config, evaluate
from duo.routes import RouteSpace
from workflow import stage


def main() -> None:
    params = config.load()
    layers = params.model.layers
    tables = {
        budget: (artifacts.SELECTIONS.read(budget=budget), artifacts.ROUTE_SUMS.read(budget=budget)) for budget in params.oracle.budgets
    }
    curves, heat_maps, layer_shares, contrasts, metrics = [], [], [], [], {}
    for name, domain in evaluate.domains(tables, RouteSpace(layers)).items():
        settings = params.evaluate
        found = evaluate.intervals(domain, params.figures.heat_maps, layers, settings.resamples, settings.confidence, params.seed)
        curves.append(evaluate.curves(name, domain, found))
        heat_maps.append(evaluate.heat_maps(name, domain))
        layer_shares.append(evaluate.layer_shares(name, domain, found))
        contrasts.append(evaluate.contrast_table(name, found))
        metrics[name] = evaluate.headline(domain, found, layers)
    artifacts.CURVES.write(pa.concat_tables(curves))
    artifacts.HEAT_MAPS.write(pa.concat_tables(heat_maps))
    artifacts.LAYER_SHARES.write(pa.concat_tables(layer_shares))
    artifacts.CONTRASTS.write(pa.concat_tables(contrasts))
    artifacts.METRICS.write(metrics)


if __name__ == "__main__":
    stage.run(main)
