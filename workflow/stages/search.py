"""Searches for a token's best route that may try few routes, against the exact answer; the first enumerated model."""

import numpy as np
import torch

from duo import routes
from duo.data import evaluation_set
from duo.model import transformer
from duo.model.device import Device
from duo.oracle import search, select
from duo.studies.search import SearchCurves
from duo.tables.oracle import ROUTE_LOSSES
from duo.tables.training import MODEL
from workflow import compute, stage, studies
from workflow.params import load_params


def main() -> None:
    params = load_params()
    compute.prepare(params.runtime)
    name, layers, settings = params.route_losses.models[0], params.model.layers, params.search
    sample = evaluation_set.read("test")
    sample = sample.truncate(settings.documents)
    space = routes.RouteSpace(layers)
    tables = [
        ROUTE_LOSSES.read(["domain", "document", "losses"], model=name, shard=shard)
        for shard in params.route_losses.shards
    ]
    with stage.advice(stage.DIVERGED):
        parts = [part for table in tables for part in select.by_document(table, space)]
    losses = {(domain, document): part for domain, document, _, part in parts}
    lens = None
    if "beam" in settings.methods:
        duo = transformer.load(MODEL.path(model=name), params.runtime.device)
        where = Device.of(params.runtime, params.route_losses.precision)
        tree = search.Lens(duo, space, where, params.route_losses.chunk)
        lens = tree.losses_by_depth(torch.from_numpy(sample.tokens), torch.from_numpy(sample.labels), layers - 2)
    reached = search.find(sample, losses, lens, settings, layers, params.seed)
    gathered = [
        SearchCurves(name, domain, by_method, np.array(sample.of(domain).clusters))
        for domain, by_method in reached.items()
    ]
    studies.write(gathered, params.bootstrap, params.seed)


if __name__ == "__main__":
    stage.run(main)
