"""The loss of every route of documents that the backbone has not seen, which routers with exact supervision learn from;
one domain.
"""

import pyarrow as pa
import torch

from duo import routes
from duo.data import evaluation_set
from duo.model import transformer
from duo.model.device import Device
from duo.oracle import tree
from duo.tables import files
from duo.tables.oracle import TRAIN_LOSSES
from duo.tables.training import MODEL
from workflow import compute, stage
from workflow.params import load_params


def main(domain: str) -> None:
    params = load_params()
    compute.prepare(params.runtime)
    duo = transformer.load(MODEL.path(model=params.route_losses.models[0]), params.runtime.device)
    space = routes.RouteSpace(params.model.layers)
    where = Device.of(params.runtime, params.route_losses.precision)
    enumerator = tree.Enumerator(duo, space, where, params.route_losses.chunk)
    parts = []
    for split in ("routing", "validation"):
        sample = evaluation_set.read(split).of(domain)
        losses = enumerator.documents(torch.from_numpy(sample.tokens), torch.from_numpy(sample.labels))
        columns = sample.columns() | {"token": sample.tokens.ravel(), "label": sample.labels.ravel()}
        columns |= {
            "split": [split] * sample.labels.size,
            "losses": files.fixed_lists(losses.reshape(-1, len(space)).numpy()),
        }
        parts.append(pa.table(columns))
    TRAIN_LOSSES.write(pa.concat_tables(parts), domain=domain)


if __name__ == "__main__":
    stage.run(main)
