"""Whether routing is additive, what each layer's big FFN is worth, and what independent routes would give the oracle."""

import pyarrow as pa

from duo.routes import RouteSpace
from duo.studies import spectrum
from duo.tables.oracle import ROUTE_LOSSES
from duo.tables.studies import ORDER_STATISTICS, SHAPLEY, SPECTRUM, SPECTRUM_DISTANCES, SPECTRUM_STATISTICS
from workflow import stage
from workflow.params import load_params


def main() -> None:
    params = load_params()
    layers, budgets, settings = params.model.layers, params.oracle.budgets, params.bootstrap
    space = RouteSpace(layers)
    tables = {SPECTRUM: [], SPECTRUM_DISTANCES: [], SHAPLEY: []}
    statistics, orders, columns = [], [], ["domain", "document", "losses"]
    for model in params.route_losses.models:
        sums = {}
        for shard in params.route_losses.shards:  # one in memory at a time
            sums |= spectrum.document_sums(ROUTE_LOSSES.read(columns, model=model, shard=shard), space, budgets)
        for domain in spectrum.domains(model, sums):
            found = domain.intervals(layers, budgets, settings.resamples, settings.confidence, params.seed)
            for parts, key in zip(tables.values(), ("order", "distance", "layer"), strict=True):
                parts.append(spectrum.table(domain, found, key))
            statistics.append(spectrum.statistics(domain, found))
            orders.append(spectrum.order_table(domain, found, layers, budgets))
    tables |= {SPECTRUM_STATISTICS: statistics, ORDER_STATISTICS: orders}
    for table, parts in tables.items():
        table.write(pa.concat_tables(parts))


if __name__ == "__main__":
    stage.run(main)
