"""What the oracle chooses in one context, and what comes of it when all chosen routes run together."""

import torch

from duo import routes
from duo.data import evaluation_set
from duo.model import device, transformer
from duo.oracle import joint, tree
from duo.tables.data import TEST_TOKENS
from duo.tables.oracle import CONTEXT_LOSSES, LOSSES
from duo.tables.routers import ROUTED
from duo.tables.training import MODEL
from workflow import stage
from workflow.params import load_params


def main(kind: str) -> None:
    params = load_params()
    device.prepare(params.runtime.device, params.runtime.threads)
    name, budgets, precision, rows = params.enumerate.models[0], params.contexts.budgets, params.enumerate.precision, params.enumerate.rows
    common = evaluation_set.choose(TEST_TOKENS.read(), params.enumerate.documents, params.enumerate.tokens, params.seed)
    sample = common.beginning(params.contexts.documents, params.enumerate.tokens)
    duo, space = transformer.load(MODEL.path(model=name), params.runtime.device), routes.RouteSpace(params.model.layers)
    if kind == joint.COMMITTED:
        choices = joint.committed(duo, sample, budgets, params.runtime, precision, rows, params.seed)
    else:
        if kind == joint.SHARED:
            tables = (LOSSES.read(model=name, shard=shard) for shard in params.enumerate.shards)
            losses = joint.enumerated(tables, sample)
        else:
            enumerator = tree.Enumerator(duo, space, params.runtime, precision, rows)
            inputs = (torch.from_numpy(each) for each in (sample.tokens, sample.labels, reference(params, sample)))
            losses = enumerator.documents(*inputs).numpy()
        choices = joint.choose(losses, sample, budgets, space.layers, params.seed)
    CONTEXT_LOSSES.write(joint.table(name, duo, sample, choices, params.runtime, precision), context=kind)


def reference(params, sample: evaluation_set.Sample):
    """Codes [documents, time] of the routes that the tokens keep, whichever run params ask for."""
    run, layers = params.contexts.reference, params.model.layers
    if run not in params.routers:
        return joint.reference_routes(run, sample, layers, params.seed)
    return joint.router_routes(ROUTED.read(router=run), params.routers[run].choices, sample, layers)


if __name__ == "__main__":
    stage.run(main)
