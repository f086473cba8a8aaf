"""How sure the choosers of one model may be of themselves: their weights, fitted on the validation split."""

from duo.data import evaluation_set
from duo.model.device import Device
from duo.oracle import choosers
from duo.tables.oracle import CALIBRATION
from duo.training import variants
from workflow import choosers as of_params
from workflow import compute, stage
from workflow.params import load_params


def main(name: str) -> None:
    params = load_params()
    compute.prepare(params.runtime)
    where = Device.of(params.runtime, params.route_losses.precision)
    seeds = variants.as_trained(params.route_losses.models, params.recalibrated)
    others = [other for other in seeds if other != params.recalibrated.get(name, name)]
    predictions = of_params.members(name, params.model.layers, params.sampled_labels, others, where)
    CALIBRATION.write(choosers.calibrate(name, predictions, evaluation_set.read("validation")), model=name)


if __name__ == "__main__":
    stage.run(main)
