"""Losses of true labels, of sampled labels, and of routes chosen without a label; one model, one
shard of documents.
"""

from duo import routes
from duo.data import evaluation_set
from duo.model import transformer
from duo.model.device import Device
from duo.oracle import null, tree
from duo.tables.oracle import SAMPLED_LABELS
from duo.tables.training import MODEL
from workflow import compute, stage
from workflow.params import load_params


def main(name: str, shard: str) -> None:
    params = load_params()
    compute.prepare(params.runtime)
    sample = evaluation_set.read("test")
    mine = sample.take(slice(int(shard), None, len(params.route_losses.shards)))

    def load(names: list[str]) -> list[transformer.Duo]:
        return [transformer.load(MODEL.path(model=each), params.runtime.device) for each in names]

    others = [other for other in params.route_losses.models if other != name]
    teachers = [load([teacher]) for teacher in params.sampled_labels.teachers]
    if params.sampled_labels.others:
        teachers.append(load(others))
    (duo,) = load([name])
    space = routes.RouteSpace(params.model.layers)
    where = Device.of(params.runtime, params.route_losses.precision)
    enumerator = tree.Enumerator(duo, space, where, params.route_losses.chunk)
    with stage.advice(stage.DIVERGED):
        table = null.run(name, enumerator, mine, teachers, params.sampled_labels, params.oracle.budgets, params.seed)
    SAMPLED_LABELS.write(table, model=name, shard=shard)


if __name__ == "__main__":
    stage.run(main)
