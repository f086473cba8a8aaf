"""What choosers choose without the label in one context, what that gives when all run together, and the null."""

from duo import routes, terms
from duo.data import evaluation_set
from duo.model import transformer
from duo.model.device import Device
from duo.oracle import contexts
from duo.oracle.choosers import Choosers
from duo.tables.contexts import JOINT_CHOICES
from duo.tables.oracle import CALIBRATION, CHOICES, JOINT_LOSSES
from duo.tables.training import MODEL
from duo.training import variants
from workflow import choosers, compute, stage
from workflow.joint import reference
from workflow.params import load_params


def main(kind: str) -> None:
    params = load_params()
    compute.prepare(params.runtime)
    name, space = params.route_losses.models[0], routes.RouteSpace(params.model.layers)
    where = Device.of(params.runtime, params.route_losses.precision)
    sample = evaluation_set.read("test").truncate(params.joint.documents)
    seeds = variants.as_trained(params.route_losses.models, params.recalibrated)
    others = [other for other in seeds if other != params.recalibrated.get(name, name)]
    predictions = choosers.members(name, params.model.layers, params.sampled_labels, others, where)
    studied = contexts.Studied(
        name,
        transformer.load(MODEL.path(model=name), params.runtime.device),
        space,
        where,
        params.route_losses.chunk,
        space.named(params.sampled_labels.reference),
        params.seed,
    )
    chooser = Choosers(CALIBRATION.read(model=name), predictions)
    with stage.advice(stage.DIVERGED):
        if kind == terms.SHARED:  # whose walk is that of sampled_labels
            walked = (CHOICES.read(model=name, shard=shard) for shard in params.route_losses.shards)
            choices = contexts.shared_choices(walked, sample, params.joint.budgets)
            found = contexts.of_walk(studied, sample, chooser, choices)
        else:
            found = contexts.table(studied, sample, chooser, kept(params, sample, kind))
        JOINT_CHOICES.write(found, context=kind)


def kept(params, sample: evaluation_set.EvaluationSet, kind: str):
    """By budget, the routes [documents, length] that the other tokens keep in a context."""
    if kind == terms.GREEDY:
        return contexts.winners(JOINT_LOSSES.read(context=kind), sample)
    assert kind == terms.REFERENCE, kind
    run, layers = params.joint.reference, params.model.layers
    return dict.fromkeys(params.joint.budgets, reference(run, params.routers, sample, layers, params.seed))


if __name__ == "__main__":
    stage.run(main)
