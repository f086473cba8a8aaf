"""Whether routing is additive, what each layer's big FFN is worth, and what independent routes would give the oracle."""

import pyarrow as pa

from duo import artifacts, config, spectrum
from duo.routes import RouteSpace
from workflow import stage


def main() -> None:
    params = config.load()
    layers, budgets, settings = params.model.layers, params.oracle.budgets, params.evaluate
    tables = {artifacts.SPECTRUM: [], artifacts.SPECTRUM_DISTANCES: [], artifacts.SHAPLEY: []}
    statistics, orders = [], []
    for model in params.enumerate.models:
        shards = (artifacts.LOSSES.read(["domain", "document", "losses"], model=model, shard=shard) for shard in params.enumerate.shards)
        for domain in spectrum.domains(model, shards, RouteSpace(layers), budgets):
            found = domain.intervals(layers, budgets, settings.resamples, settings.confidence, params.seed)
            for parts, key in zip(tables.values(), ("order", "distance", "layer"), strict=True):
                parts.append(spectrum.table(domain, found, key))
            statistics.append(spectrum.statistics(domain, found))
            orders.append(spectrum.order_table(domain, found, layers, budgets))
    tables |= {artifacts.SPECTRUM_STATISTICS: statistics, artifacts.ORDER_STATISTICS: orders}
    for table, parts in tables.items():
        table.write(pa.concat_tables(parts))


if __name__ == "__main__":
    stage.run(main)
