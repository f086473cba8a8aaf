"""The answer oracle of one pretrained model on one task: every answer's score under every route, and what it says."""

import pyarrow.compute as pc

from duo.model import decoders, pretrained
from duo.model.device import Device
from duo.oracle import answers
from duo.oracle.tree import Enumerator
from duo.routes import RouteSpace
from duo.studies import answers as study
from duo.tables.answers import ANSWER_SCORES
from duo.tables.data import QUESTIONS
from duo.tables.pretrained import PRETRAINED
from workflow import compute, stage, studies
from workflow.params import load_params


def main(name: str) -> None:
    params = load_params()
    compute.prepare(params.runtime)
    asked = params.answers[name]
    model, tokenizer = pretrained.load(str(PRETRAINED.path(model=asked.model)))
    # Each question has a length of its own: too many shapes to compile for.
    device = Device(params.runtime.device, params.route_losses.precision)
    decoder = decoders.routable(model.to(device.name))
    questions = QUESTIONS.read()
    questions = questions.filter(pc.equal(questions["task"], asked.task)).slice(0, asked.questions)
    with stage.advice(f"answers.{name} in params.yaml asks for it"):
        space = RouteSpace(len(decoder.layers), tuple(asked.choices), asked.blocks, asked.departures)
        tree = Enumerator(decoder, space, device, params.route_losses.chunk, asked.scope)
        scores = answers.score(
            tree,
            lambda text: tokenizer(text, add_special_tokens=False)["input_ids"],
            pretrained.beginning(tokenizer),
            questions,
            name,
        )
    ANSWER_SCORES.write(scores, name=name)
    ids = {"name": name, "model": asked.model, "task": asked.task}
    studies.write([study.gather(ids, scores, space)], params.bootstrap, params.seed, name=name)


if __name__ == "__main__":
    stage.run(main)
