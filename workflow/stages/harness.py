"""Multiple choice by one model, through EleutherAI's evaluation harness."""

import os

import pyarrow as pa

from duo.data import evaluation_set
from duo.data import tokenizer as tokens
from duo.model import transformer
from duo.model.device import Device
from duo.tables.data import HELD_OUT, MULTIPLE_CHOICE, QUESTIONS
from duo.tables.training import HARNESS, MODEL
from duo.training import variants
from workflow import compute, stage
from workflow.params import load_params


def main(name: str) -> None:
    params = load_params()
    if not params.ablation.tasks:
        os.environ["HF_HUB_OFFLINE"] = "1"  # read when the harness is imported
    from duo.training import harness

    compute.prepare(params.runtime)
    duo = transformer.load(MODEL.path(model=name), params.runtime.device)
    bos = evaluation_set.bos_id(HELD_OUT.read(columns=["tokens"]))
    dense = variants.kind(params.models[name], params.pretrain.p_big) == "dense"
    tokenizer, answers = tokens.load(), []
    items, questions = MULTIPLE_CHOICE.read(), QUESTIONS.read()
    for p_big in [1.0] if dense else params.ablation.p_big:
        where = Device.of(params.runtime, params.route_losses.precision)
        as_model = harness.DuoInHarness(duo, tokenizer, bos, p_big, where, params.seed)
        with stage.advice("ablation.tasks in params.yaml names the tasks"):
            answers.append(harness.run(as_model, items, questions, params.ablation.tasks))
    table = pa.concat_tables(answers)
    HARNESS.write(table.append_column("model", pa.array([name] * len(table))), model=name)


if __name__ == "__main__":
    stage.run(main)
