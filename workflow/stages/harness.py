"""Multiple choice by one model, through EleutherAI's evaluation harness."""

import os

import pyarrow as pa

from duo import artifacts, config, model, runtime, tokens
from workflow import stage


def main(name: str) -> None:
    params = config.load()
    if not params.ablation.tasks:
        os.environ["HF_HUB_OFFLINE"] = "1"  # read when the harness is imported
    from duo import harness

    runtime.prepare(params.runtime.device, params.runtime.threads)
    duo = model.load(artifacts.MODEL.path(model=name), params.runtime.device)
    mark = artifacts.TEST_TOKENS.read(columns=["tokens"])["tokens"][0][0].as_py()
    dense = params.models[name].kind(params.pretrain.p_big) == "dense"
    tokenizer, items, answers = tokens.load(), artifacts.CHOICES.read(), []
    for p_big in [1.0] if dense else params.ablation.p_big:
        as_model = harness.HarnessModel(duo, tokenizer, mark, p_big, params.runtime, params.enumerate.precision, params.seed)
        answers.append(harness.run(as_model, items, params.ablation.tasks))
    table = pa.concat_tables(answers)
    artifacts.HARNESS.write(table.append_column("model", pa.array([name] * len(table))), model=name)


if __name__ == "__main__":
    stage.run(main)
