"""What the choosers choose without the label, and what the oracle gains on labels that they could foresee; one model,
one shard of documents.
"""

from duo import routes
from duo.data import evaluation_set
from duo.model import transformer
from duo.model.device import Device
from duo.oracle import null, tree
from duo.oracle.choosers import Choosers
from duo.tables.oracle import CALIBRATION, CELLS, CHOICES, LABEL_SELECTIONS, MATCHED_GAINS, PREDICTIONS
from duo.tables.training import MODEL
from duo.training import variants
from workflow import choosers, compute, stage
from workflow.params import load_params


def main(name: str, shard: str) -> None:
    params = load_params()
    compute.prepare(params.runtime)
    mine = evaluation_set.read("test").take(slice(int(shard), None, len(params.route_losses.shards)))
    where = Device.of(params.runtime, params.route_losses.precision)
    seeds = variants.as_trained(params.route_losses.models, params.recalibrated)
    others = [other for other in seeds if other != params.recalibrated.get(name, name)]
    predictions = choosers.members(name, params.model.layers, params.sampled_labels, others, where)
    chooser = Choosers(CALIBRATION.read(model=name), predictions)
    duo = transformer.load(MODEL.path(model=name), params.runtime.device)
    enumerator = tree.Enumerator(duo, routes.RouteSpace(params.model.layers), where, params.route_losses.chunk)
    asked = params.sampled_labels
    settings = null.Sampling(asked.reference, asked.samples, asked.within)
    with stage.advice(stage.DIVERGED):
        found = null.run(name, enumerator, mine, chooser, settings, params.oracle.budgets, params.seed)
    tables = (LABEL_SELECTIONS, CHOICES, PREDICTIONS, MATCHED_GAINS, CELLS)
    for table, rows in zip(tables, found[1:], strict=True):  # the stage route_losses writes the first
        table.write(rows, model=name, shard=shard)


if __name__ == "__main__":
    stage.run(main)
