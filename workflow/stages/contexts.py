"""What the oracle chooses in one context, and what comes of it when all chosen routes run together."""

import torch

from duo import artifacts, config, contexts, enumerate, gain_artifacts, model, routes, runtime, samples
from workflow import stage


def main(kind: str) -> None:
    params = config.load()
    runtime.prepare(params.runtime.device, params.runtime.threads)
    name, budgets, precision, rows = params.enumerate.models[0], params.contexts.budgets, params.enumerate.precision, params.enumerate.rows
    common = samples.choose(artifacts.TEST_TOKENS.read(), params.enumerate.documents, params.enumerate.tokens, params.seed)
    sample = common.beginning(params.contexts.documents, params.enumerate.tokens)
    duo, space = model.load(artifacts.MODEL.path(model=name), params.runtime.device), routes.RouteSpace(params.model.layers)
    if kind == contexts.COMMITTED:
        choices = contexts.committed(duo, sample, budgets, params.runtime, precision, rows, params.seed)
    else:
        if kind == contexts.SHARED:
            tables = (artifacts.LOSSES.read(model=name, shard=shard) for shard in params.enumerate.shards)
            losses = contexts.enumerated(tables, sample)
        else:
            enumerator = enumerate.Enumerator(duo, space, params.runtime, precision, rows)
            inputs = (torch.from_numpy(each) for each in (sample.tokens, sample.labels, reference(params, sample)))
            losses = enumerator.documents(*inputs).numpy()
        choices = contexts.choose(losses, sample, budgets, space.layers, params.seed)
    gain_artifacts.CONTEXT_LOSSES.write(contexts.table(name, duo, sample, choices, params.runtime, precision), context=kind)


def reference(params, sample: samples.Sample):
    """Codes [documents, time] of the routes that the tokens keep, whichever run params ask for."""
    run, layers = params.contexts.reference, params.model.layers
    if run not in params.routers:
        return contexts.reference_routes(run, sample, layers, params.seed)
    return contexts.router_routes(artifacts.ROUTED.read(router=run), params.routers[run].choices, sample, layers)


if __name__ == "__main__":
    stage.run(main)
