"""The loss of every route of training and validation documents, which routers with exact supervision learn from; one domain."""

import pyarrow as pa
import torch

from duo import artifacts, config, enumerate, files, gain_artifacts, model, routes, runtime, samples
from workflow import stage


def main(domain: str) -> None:
    params = config.load()
    runtime.prepare(params.runtime.device, params.runtime.threads)
    duo = model.load(artifacts.MODEL.path(model=params.enumerate.models[0]), params.runtime.device)
    space = routes.RouteSpace(params.model.layers)
    enumerator = enumerate.Enumerator(duo, space, params.runtime, params.enumerate.precision, params.enumerate.rows)
    mark, parts = artifacts.TEST_TOKENS.read(columns=["tokens"])["tokens"][0][0].as_py(), []
    for split, documents in {"train": params.policies.train, "validation": params.policies.validation}.items():
        packed = artifacts.packed(split)[domain]
        sample = samples.beginnings(domain, packed, mark, documents, params.enumerate.tokens, params.seed, split)
        losses = enumerator.documents(torch.from_numpy(sample.tokens), torch.from_numpy(sample.labels))
        columns = sample.columns() | {"token": sample.tokens.ravel(), "label": sample.labels.ravel()}
        columns |= {"split": [split] * sample.labels.size, "losses": files.fixed_lists(losses.reshape(-1, len(space)).numpy())}
        parts.append(pa.table(columns))
    gain_artifacts.TABLE.write(pa.concat_tables(parts), domain=domain)


if __name__ == "__main__":
    stage.run(main)
