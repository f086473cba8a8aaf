"""Routers that learn from so much supervision, scored on the held-out tokens."""

import pyarrow as pa
import pyarrow.compute as pc

from duo.model import transformer
from duo.model.device import Device
from duo.routers import dataset, few_routes, learning
from duo.tables.learning import LEARNED, SUPERVISION
from duo.tables.oracle import ROUTE_LOSSES, TRAIN_LOSSES
from duo.tables.training import MODEL
from workflow import compute, instance, stage
from workflow.params import load_params


def main(tokens: str) -> None:
    params = load_params()
    compute.prepare(params.runtime)
    name, domains = params.route_losses.models[0], instance.domains(TRAIN_LOSSES.template)
    where = Device.of(params.runtime, params.route_losses.precision)
    backbone = transformer.load(MODEL.path(model=name), params.runtime.device)
    whole = pa.concat_tables([TRAIN_LOSSES.read(domain=domain) for domain in domains])
    known = whole.filter(pc.equal(whole["split"], "validation"))
    judged = pa.concat_tables([ROUTE_LOSSES.read(model=name, shard=shard) for shard in params.route_losses.shards])
    validation, held_out = (dataset.from_losses(table, domains, backbone, where) for table in (known, judged))
    tables = {domain: SUPERVISION.read(domain=domain) for domain in domains}
    supervision = few_routes.first(tables, int(tokens), params.learning.budgets, backbone, where)
    longer = {"steps": params.learning.steps, "batch": params.learning.batch}
    training = params.policies.training.model_copy(update=longer)
    learned = learning.learn(name, int(tokens), supervision, training, validation, held_out, params.seed)
    LEARNED.write(learned, tokens=tokens)


if __name__ == "__main__":
    stage.run(main)
