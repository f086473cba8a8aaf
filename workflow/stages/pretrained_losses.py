"""Routes of a pretrained model, tried on its windows in one walk; one entry of pretrained_routes.

As for models that are trained here: losses, what the model's own prediction chooses without the label, the null, and
the chosen routes run jointly.
"""

from typing import NamedTuple

from duo.data import own_windows
from duo.data.evaluation_set import EvaluationSet
from duo.model import decoders, extended, pretrained
from duo.model.device import Device
from duo.oracle import choosers, contexts, joint, null
from duo.oracle.choosers import Choosers
from duo.oracle.tree import Enumerator
from duo.pretrained_settings import PretrainedRoutes
from duo.tables import pretrained as tables
from duo.tables.adapted import SMALL_FFNS
from duo.tables.pretrained import PRETRAINED
from duo.terms import ALL_BIG, OWN
from workflow import compute, stage, subject
from workflow.params import load_params


class Subject(NamedTuple):
    """What is tried, and on which windows."""

    enumerator: Enumerator
    test: EvaluationSet
    validation: EvaluationSet


def load(name: str, asked: PretrainedRoutes, where: Device, chunk: int) -> Subject:
    """The subject of this name. InputError where its routes don't fit its model."""
    model, _ = pretrained.load(str(PRETRAINED.path(model=asked.model)), f"pretrained.{asked.model}")
    model = model.to(where.name)
    if asked.of == "adapted":
        decoder = extended.load(SMALL_FFNS.path(model=asked.model), model, where)
    else:
        decoder = decoders.routable(model, where)
    with stage.advice(f"pretrained_routes.{name} in params.yaml asks for it"):
        space = subject.routes(asked, len(decoder.layers))
        enumerator = Enumerator(decoder, space, where, chunk, asked.scope)
    test, validation = (own_windows.read(asked.model, split) for split in ("test", "validation"))
    return Subject(enumerator, test.truncate(asked.documents) if asked.documents else test, validation)


def main(name: str) -> None:
    params = load_params()
    compute.prepare(params.runtime)
    asked, where = params.pretrained_routes[name], Device.of(params.runtime, params.route_losses.precision)
    enumerator, sample, validation = load(name, asked, where, params.route_losses.chunk)
    model, space, scope = enumerator.model, enumerator.space, enumerator.scope
    reference, budgets = space.named(ALL_BIG), subject.budgets(space)
    predictions = {OWN: choosers.by_route(model, space, reference, where, scope, pretrained.CONTEXT)}
    calibration = choosers.calibrate(name, predictions, validation)
    settings = null.Sampling(ALL_BIG, params.sampled_labels.samples, params.sampled_labels.within)
    chooser = Choosers(calibration, predictions)
    found = null.run(name, enumerator, sample, chooser, settings, budgets, params.seed)
    losses = joint.enumerated([found.route_losses], sample)
    choices = joint.choose(losses, space, sample, budgets, params.seed)
    studied = contexts.Studied(name, model, space, where, enumerator.chunk, reference, params.seed, scope)
    written = {
        tables.CALIBRATION: calibration,
        tables.ROUTE_LOSSES: found.route_losses,
        tables.LABEL_SELECTIONS: found.label_selections,
        tables.CHOICES: found.choices,
        tables.PREDICTIONS: found.predictions,
        tables.MATCHED_GAINS: found.matched,
        tables.CELLS: found.cells,
        tables.JOINT_LOSSES: joint.table(name, model, space, sample, choices, where, scope),
        tables.JOINT_CHOICES: contexts.of_walk(studied, sample, chooser, found.choices),
    }
    for table, rows in written.items():
        table.write(rows, routes=name)
    tables.SIZES.write({"layers": space.layers, "routes": len(space)}, routes=name)


if __name__ == "__main__":
    stage.run(main)
