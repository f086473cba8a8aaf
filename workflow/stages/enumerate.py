"""Stage 2: the loss of every held-out token under every route; one model, one shard of the documents."""

import torch

from duo import artifacts, config, enumerate, files, model, routes, runtime, samples
from workflow import stage


def main(name: str, shard: str) -> None:
    params = config.load()
    runtime.prepare(params.runtime.device, params.runtime.threads)
    sample = samples.choose(artifacts.TEST_TOKENS.read(), params.enumerate.documents, params.enumerate.tokens, params.seed)
    mine = sample.take(slice(int(shard), None, len(params.enumerate.shards)))
    space = routes.RouteSpace(params.model.layers)
    duo = model.load(artifacts.MODEL.path(model=name), params.runtime.device)
    enumerator = enumerate.Enumerator(duo, space, params.runtime, params.enumerate.precision, params.enumerate.rows)
    losses = enumerator.documents(torch.from_numpy(mine.tokens), torch.from_numpy(mine.labels))
    columns = mine.columns() | {"token": mine.tokens.ravel(), "label": mine.labels.ravel()}
    columns |= {"losses": files.fixed_lists(losses.reshape(-1, len(space)).numpy())}
    artifacts.LOSSES.write(columns, model=name, shard=shard)


if __name__ == "__main__":
    stage.run(main)
