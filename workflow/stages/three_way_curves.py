"""Oracle and mean loss by the numbers of big and skipped layers, with intervals; all domains."""

from duo.studies.three_way import ThreeWayCurves
from duo.tables.oracle import THREE_WAY
from workflow import instance, stage, studies
from workflow.params import load_params


def main() -> None:
    params = load_params()
    gathered = [ThreeWayCurves(THREE_WAY.read(domain=domain)) for domain in instance.domains(THREE_WAY.template)]
    studies.write(gathered, params.bootstrap, params.seed)


if __name__ == "__main__":
    stage.run(main)
