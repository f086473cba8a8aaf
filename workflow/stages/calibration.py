"""How sure the choosers of one model may be of themselves: their weights, fitted on the validation split."""

from duo.data import evaluation_set
from duo.oracle import choosers
from duo.tables.oracle import CALIBRATION
from workflow import choosers as of_params
from workflow import compute, stage
from workflow.params import load_params


def main(name: str) -> None:
    params = load_params()
    compute.prepare(params.runtime)
    predictions = of_params.members(params, name)
    CALIBRATION.write(choosers.calibrate(name, predictions, evaluation_set.read("validation")), model=name)


if __name__ == "__main__":
    stage.run(main)
