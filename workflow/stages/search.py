"""Searches for the best route of a token that may try few routes, against the exact answer; enumerate's first model."""

import pyarrow as pa
import torch

from duo import routes
from duo.data import evaluation_set
from duo.model import device, transformer
from duo.model.device import Device
from duo.oracle import search, select
from duo.tables.data import TEST_TOKENS
from duo.tables.oracle import ROUTE_LOSSES
from duo.tables.studies import SEARCH_CURVES, SEARCH_STATISTICS
from duo.tables.training import MODEL
from workflow import stage
from workflow.params import load_params


def main() -> None:
    params = load_params()
    device.prepare(params.runtime.device, params.runtime.threads)
    name, layers, settings = params.route_losses.models[0], params.model.layers, params.search
    sample = evaluation_set.choose(
        TEST_TOKENS.read(), params.evaluation_set.documents, params.evaluation_set.tokens, params.seed
    )
    sample = sample.beginning(settings.documents, params.evaluation_set.tokens)
    space = routes.RouteSpace(layers)
    tables = [
        ROUTE_LOSSES.read(["domain", "document", "losses"], model=name, shard=shard)
        for shard in params.route_losses.shards
    ]
    losses = {
        (domain, document): part for table in tables for domain, document, _, part in select.by_document(table, space)
    }
    lens = None
    if "beam" in settings.methods:
        duo = transformer.load(MODEL.path(model=name), params.runtime.device)
        where = Device.of(params.runtime, params.route_losses.precision)
        tree = search.Lens(duo, space, where, params.route_losses.chunk)
        lens = tree.losses_by_depth(torch.from_numpy(sample.tokens), torch.from_numpy(sample.labels), layers - 2)
    found = search.find(sample, losses, lens, settings, layers, params.seed)
    curves, statistics = [], []
    for domain, values in found.items():
        numbers = search.intervals(values, params.bootstrap.resamples, params.bootstrap.confidence, params.seed)
        curves.append(search.curves(name, domain, numbers))
        statistics.append(search.statistics(name, domain, numbers))
    SEARCH_CURVES.write(pa.concat_tables(curves))
    SEARCH_STATISTICS.write(pa.concat_tables(statistics))


if __name__ == "__main__":
    stage.run(main)
