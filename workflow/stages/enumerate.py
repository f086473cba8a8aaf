"""Stage 2: the loss of every held-out token under every route; one shard of the documents."""

import numpy as np
import torch

from duo import artifacts, config, enumerate, model, routes, runtime
from duo.tokens import MARK_ID
from workflow import stage


def main(shard: str) -> None:
    params = config.load()
    runtime.prepare(params.runtime.device, params.runtime.threads)
    settings = params.enumerate
    table = artifacts.TEST_TOKENS.read().to_pylist()
    mine = enumerate.choose_documents(table, settings.documents, settings.tokens, params.seed)[int(shard) :: len(settings.shards)]
    space = routes.RouteSpace(params.model.layers)
    duo = model.load(artifacts.MODEL.path(), params.runtime.device)
    enumerator = enumerate.Enumerator(duo, space, params.runtime, settings.precision, settings.rows)
    labels = np.array([row["tokens"][: settings.tokens] for row in mine], np.int64)
    tokens = np.pad(labels[:, :-1], ((0, 0), (1, 0)), constant_values=MARK_ID)
    losses = enumerator.documents(torch.from_numpy(tokens), torch.from_numpy(labels))
    artifacts.LOSSES.write(
        {
            "domain": np.repeat([row["domain"] for row in mine], settings.tokens),
            "document": np.repeat([row["document"] for row in mine], settings.tokens),
            "position": np.tile(np.arange(settings.tokens, dtype=np.int32), len(mine)),
            "token": tokens.reshape(-1).astype(np.int32),
            "label": labels.reshape(-1).astype(np.int32),
            "losses": artifacts.fixed_lists(losses.reshape(-1, len(space)).numpy()),
        },
        shard=shard,
    )


if __name__ == "__main__":
    stage.run(main)
