"""Figure of the training curves, with the final losses of all models."""

from duo.figures import base, oracle
from duo.tables.training import HISTORY, PRETRAIN_METRICS
from workflow import stage
from workflow.params import load_params
from workflow.stages.headline import setting


def main() -> None:
    params = load_params()
    shown = setting()
    finals = {name: PRETRAIN_METRICS.read(model=name) for name in params.models}
    curves = oracle.training(HISTORY.read(model=shown.model), finals, shown)
    shown_files = [HISTORY.instance(model=shown.model), *(PRETRAIN_METRICS.instance(model=name) for name in finals)]
    base.save(curves, "training", "figures_training", {"model": shown.model}, shown_files)


if __name__ == "__main__":
    stage.run(main)
