"""Duo against dense models and against frozen big FFNs, on held-out loss and multiple choice."""

import pyarrow as pa

from duo.studies import ablation
from duo.tables.training import ABLATION_LOSSES, HARNESS
from workflow import stage, studies
from workflow.params import load_params


def main() -> None:
    params = load_params()
    losses = pa.concat_tables([ABLATION_LOSSES.read(model=name) for name in params.ablation.models])
    answers = pa.concat_tables([HARNESS.read(model=name) for name in params.ablation.models])
    models = ablation.compared(losses)
    gathered = ablation.gather(losses, answers, models, params.model.layers, params.pretrain.p_big)
    studies.write(gathered, params.bootstrap, params.seed)


if __name__ == "__main__":
    stage.run(main)
