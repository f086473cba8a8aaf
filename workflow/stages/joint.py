"""What the oracle chooses in one context, and what comes of it when all chosen routes run together."""

import torch

from duo import routes, terms
from duo.data import evaluation_set
from duo.model import transformer
from duo.model.device import Device
from duo.oracle import joint, tree
from duo.tables.oracle import JOINT_LOSSES, ROUTE_LOSSES
from duo.tables.training import MODEL
from workflow import compute, stage
from workflow.joint import reference
from workflow.params import load_params


def main(kind: str) -> None:
    params = load_params()
    compute.prepare(params.runtime)
    name, budgets, chunk = params.route_losses.models[0], params.joint.budgets, params.route_losses.chunk
    where = Device.of(params.runtime, params.route_losses.precision)
    common = evaluation_set.read("test")
    sample = common.truncate(params.joint.documents)
    duo, space = transformer.load(MODEL.path(model=name), params.runtime.device), routes.RouteSpace(params.model.layers)
    if kind == terms.GREEDY:
        choices = joint.greedy(duo, space, sample, budgets, where, chunk, params.seed)
    else:
        if kind == terms.SHARED:
            tables = (ROUTE_LOSSES.read(model=name, shard=shard) for shard in params.route_losses.shards)
            losses = joint.enumerated(tables, sample)
        else:
            enumerator = tree.Enumerator(duo, space, where, chunk)
            run, layers = params.joint.reference, params.model.layers
            arrays = sample.tokens, sample.labels, reference(run, params.routers, sample, layers, params.seed)
            losses = enumerator.documents(*map(torch.from_numpy, arrays)).numpy()
        choices = joint.choose(losses, space, sample, budgets, params.seed)
    with stage.advice(stage.DIVERGED):
        JOINT_LOSSES.write(joint.table(name, duo, space, sample, choices, where), context=kind)


if __name__ == "__main__":
    stage.run(main)
