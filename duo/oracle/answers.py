"""The scores of a question's answers under every route, as an oracle needs them that knows which answer is right.

CoLa and Dr.LLM search a route for each question, all tokens taking it, and count the question as solved where some
route makes the right answer win (duo.studies.answers asks what that says). An answer's score is the sum of its tokens'
log-likelihoods behind the question, as in the harness's accuracy: the log of the chance that the model gives that text,
so that the scores of a question's answers are a distribution over them. Divided by length they are none.
"""

from collections.abc import Callable, Sequence

import numpy as np
import pyarrow as pa
import torch

from duo.data.packed import Ids, Packed, pack
from duo.errors import InputError
from duo.model.decoders import Decoder
from duo.oracle.tree import Enumerator, Roots
from duo.progress import progress
from duo.tables.answers import ANSWER_SCORES
from duo.tables.files import fixed_lists


def score(
    enumerator: Enumerator, encode: Callable[[str], Ids], start: int, questions: pa.Table, what: str = "answers"
) -> pa.Table:
    """ANSWER_SCORES of questions, columns of QUESTIONS, each by a tree of its own, all tokens on one route.

    The enumerator's model is a pretrained decoder. encode: ids of a text; start: the id that precedes every text.
    Shows its progress. InputError where the space leaves one route, an id is none of the model's, a question is too
    long for it, or a score is not finite.
    """
    if len(enumerator.routes) < 2:
        raise InputError("the routes are one, or there is nothing to choose: give departures, from 1")
    columns: dict[str, list] = {name: [] for name in ANSWER_SCORES.schema.names}
    for row in progress(what, "questions", questions.to_pylist()):
        context, answers = pair(encode, row["context"], row["endings"])
        highest, known = max(start, *context, *(max(answer) for answer in answers)), len(enumerator.model.outputs)
        if highest >= known:
            raise InputError(f"tokenizer: gives the id {highest}, but the model knows {known}; it is another model's")
        scores = by_route(enumerator, [start, *context], answers)
        if not np.isfinite(scores).all():
            raise InputError(f"question {row['question']!r}: the score of an answer is not finite under some route")
        columns["question"] += [row["question"]] * len(answers)
        columns["answer"] += range(len(answers))
        columns["right"] += [index == row["label"] for index in range(len(answers))]
        columns["tokens"] += map(len, answers)
        columns["scores"].append(scores)
    return pa.table(columns | {"scores": fixed_lists(np.concatenate(columns["scores"]))})


def pair(encode: Callable[[str], Ids], context: str, endings: Sequence[str]) -> tuple[Ids, list[Ids]]:
    """Ids of a text, and those that each ending, behind a space, adds to it; as the harness parts the two."""
    before = encode(context)
    return before, [encode(f"{context} {ending}")[len(before) :] for ending in endings]


@torch.no_grad()
def by_route(enumerator: Enumerator, context: Ids, answers: Sequence[Ids]) -> np.ndarray:
    """[answers, routes] log-likelihoods of the answers, each behind the context; in nats, fp64, in order of code."""
    packed = pack(context, answers)
    with enumerator.device.autocast():
        losses = enumerator.losses_from(roots(enumerator, packed), packed.labels[:, None])[:, 0]
    return -(losses.double() * packed.scored[..., None]).sum(dim=1).numpy()


def roots(enumerator: Enumerator, packed: Packed) -> Roots:
    """Where the tree of a packed question begins."""
    model: Decoder = enumerator.model
    where = enumerator.device.name
    answer, place = packed.kept.to(where).unbind(1)
    x = model.embed(packed.rows.to(where))[answer, place]
    return Roots(x[None], model.rotary(place[None]), None, packed.earlier.to(where), packed.asked.to(where))
