"""Stage 2: the loss of every held-out token under every route; one model, one shard of the documents."""

import torch

from duo import routes
from duo.data import evaluation_set
from duo.model import transformer
from duo.model.device import Device
from duo.oracle import tree
from duo.tables import files
from duo.tables.oracle import ROUTE_LOSSES
from duo.tables.training import MODEL
from workflow import compute, stage
from workflow.params import load_params


def main(name: str, shard: str) -> None:
    params = load_params()
    compute.prepare(params.runtime)
    sample = evaluation_set.read("test")
    mine = sample.take(slice(int(shard), None, len(params.route_losses.shards)))
    space = routes.RouteSpace(params.model.layers)
    duo = transformer.load(MODEL.path(model=name), params.runtime.device)
    where = Device.of(params.runtime, params.route_losses.precision)
    enumerator = tree.Enumerator(duo, space, where, params.route_losses.chunk)
    losses = enumerator.documents(torch.from_numpy(mine.tokens), torch.from_numpy(mine.labels))
    columns = mine.columns() | {"token": mine.tokens.ravel(), "label": mine.labels.ravel()}
    columns |= {"losses": files.fixed_lists(losses.reshape(-1, len(space)).numpy())}
    ROUTE_LOSSES.write(columns, model=name, shard=shard)


if __name__ == "__main__":
    stage.run(main)
