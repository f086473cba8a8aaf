"""Other people's tasks by one pretrained model, through EleutherAI's evaluation harness."""

import os

import pyarrow as pa

from duo.model import decoders, pretrained
from duo.model.device import Device
from duo.studies import accuracy
from duo.tables.answers import PRETRAINED_HARNESS, TASK_ACCURACY
from duo.tables.data import QUESTIONS
from duo.tables.pretrained import PRETRAINED
from workflow import compute, stage, studies
from workflow.params import load_params


def main(name: str) -> None:
    params = load_params()
    os.environ["HF_HUB_OFFLINE"] = "1"  # read when the harness is imported
    from duo.training import harness

    compute.prepare(params.runtime)
    model, tokenizer = pretrained.load(str(PRETRAINED.path(model=name)), f"pretrained.{name}")
    device = Device(params.runtime.device, params.route_losses.precision)
    longest = decoders.routable(model).positions
    scored = harness.PretrainedInHarness(
        name, model.to(device.name), tokenizer, pretrained.beginning(tokenizer), longest, device
    )
    answers = harness.run(scored, None, QUESTIONS.read())
    answers = answers.append_column("model", pa.array([name] * len(answers), pa.string()))
    PRETRAINED_HARNESS.write(answers, model=name)
    if not len(answers):
        TASK_ACCURACY.write(TASK_ACCURACY.schema.empty_table(), model=name)
    studies.write(accuracy.gather(answers), params.bootstrap, params.seed, model=name)


if __name__ == "__main__":
    stage.run(main)
