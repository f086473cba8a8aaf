"""A model that is as sure of itself as validation text bears out: another's, at a temperature of its own."""

from duo.data import evaluation_set
from duo.model import transformer
from duo.model.device import Device
from duo.oracle import recalibration
from duo.routes import RouteSpace
from duo.tables import files
from duo.tables.training import MODEL, RECALIBRATION
from workflow import compute, stage
from workflow.params import load_params


def main(name: str) -> None:
    params = load_params()
    compute.prepare(params.runtime)
    duo = transformer.load(MODEL.path(model=params.recalibrated[name]), params.runtime.device)
    reference = RouteSpace(params.model.layers).named(params.sampled_labels.reference)
    where = Device.of(params.runtime, params.route_losses.precision)
    found = recalibration.recalibrate(duo, reference, evaluation_set.read("validation"), where)
    with files.atomic(MODEL.path(model=name)) as temporary:
        transformer.save(duo, temporary)
    RECALIBRATION.write(found._asdict(), model=name)


if __name__ == "__main__":
    stage.run(main)
