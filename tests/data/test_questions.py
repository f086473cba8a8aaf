"""Questions of other people's tasks are asked in the harness's words, from a wheel that pip got."""

import hashlib
import zipfile

import pyarrow as pa
import pytest

from duo.data import questions
from duo.data.questions import Question, parse
from duo.data.sources import TaskWheel
from duo.errors import InputError
from duo.tables.data import CACHE, QUESTIONS

SCHOOL = {
    "id": "S_1",
    "question": "Which is hot?",
    "choices": {"text": ["ice", "fire", "fog"], "label": ["1", "2", "3"]},
}
SCHOOL |= {"answerKey": "2"}
ROOF = {
    "activity_label": "Mending a roof",
    "ctx_a": "A man [header] sits on a roof. [title] He has nails.",
    "ctx_b": "the MAN",
    "endings": ["[substeps] hammers.", "sings  a song.", " flies [step] off. ", "sleeps."],
    "source_id": "video~1",
    "label": "1",
    "ind": 24,
}


def wheel(folder, monkeypatch, rows: list[dict], **changes) -> TaskWheel:
    """A task whose wheel has been fetched before."""
    monkeypatch.setattr("duo.tables.files.ROOT", folder / "artifacts")
    table = pa.Table.from_pylist(rows)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table, max_chunksize=2)
    path = CACHE.path(name="wheels/box-1.0.whl")
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("box/data.arrow", sink.getvalue().to_pybytes())
        archive.writestr("box/text.arrow", b"no stream")
    settings = {"name": "box", "version": "1.0", "member": "box/data.arrow", "layout": "arc", "questions": 2}
    settings |= {"licence": "MIT", "attribution": "us", "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
    return TaskWheel(**settings | changes)


def test_a_school_question():
    expected = Question("S_1", "Question: Which is hot?\nAnswer:", ["ice", "fire", "fog"], 1)
    assert parse(SCHOOL, "arc", "here") == expected


def test_a_text_that_goes_on():
    """What it is about comes first; titles end a sentence, other marks go, spaces are single, a part begins large."""
    context = "Mending a roof: A man sits on a roof.. He has nails. The man"
    assert parse(ROOF, "hellaswag", "here") == Question(
        "video~1", context, [" hammers.", "sings a song.", "flies off.", "sleeps."], 1
    )


@pytest.mark.parametrize(
    ("row", "layout", "message"),
    [
        (ROOF, "arc", "here: not of layout 'arc' (KeyError: 'choices')"),
        (SCHOOL | {"answerKey": "E"}, "arc", "here: not of layout 'arc' (ValueError: 'E' is not in list)"),
        (ROOF | {"label": ""}, "hellaswag", "here: not of layout 'hellaswag' (ValueError: "),
        (
            ROOF | {"label": "4"},
            "hellaswag",
            "here: should have a name, a text, two answers or more, and which of them",
        ),
        (ROOF | {"endings": ["a", "[b]"]}, "hellaswag", "here: should have a name, a text, two answers or more"),
        (ROOF | {"ctx_b": None}, "hellaswag", "here: not of layout 'hellaswag' (AttributeError: "),
    ],
)
def test_a_row_of_another_layout_is_one_error(row, layout, message):
    with pytest.raises(InputError) as caught:
        parse(row, layout, "here")
    assert str(caught.value).startswith(message)


def test_questions_are_drawn_by_seed_one_of_a_text(tmp_path, monkeypatch):
    rows = [SCHOOL | {"id": f"S_{index // 2}", "question": f"Which, {index}?"} for index in range(20)]
    box = wheel(tmp_path, monkeypatch, rows, questions=6)
    made = questions.make({"school": box}, 1)
    assert made.schema.equals(QUESTIONS.schema) and set(made["task"].to_pylist()) == {"school"}
    names = made["question"].to_pylist()
    assert len(names) == 6 == len(set(names)) and names != sorted(names)
    few = questions.make({"school": box.model_copy(update={"questions": 3})}, 1)
    assert few["context"].to_pylist() == made["context"].to_pylist()[:3]
    assert questions.make({"school": box}, 2)["question"].to_pylist() != names
    QUESTIONS.write(made)
    assert QUESTIONS.read().to_pylist() == made.to_pylist()
    with pytest.raises(
        InputError, match=r"^task 'school': 11 questions are asked for, but wheel box 1.0, box/data.arrow"
    ):
        questions.make({"school": box.model_copy(update={"questions": 11})}, 1)


def test_without_tasks_there_are_no_questions(tmp_path, monkeypatch):
    monkeypatch.setattr("duo.tables.files.ROOT", tmp_path)
    QUESTIONS.write(questions.make({}, 1))
    assert len(QUESTIONS.read()) == 0


@pytest.mark.parametrize(
    ("member", "message"),
    [("box/none.arrow", "holds no file 'box/none.arrow'"), ("box/text.arrow", "box/text.arrow: no Arrow stream")],
)
def test_a_wheel_that_lacks_it_is_one_error(tmp_path, monkeypatch, member, message):
    box = wheel(tmp_path, monkeypatch, [SCHOOL], member=member)
    with pytest.raises(InputError, match=f"^wheel box 1.0[:,] {message}"):
        questions.make({"school": box}, 1)
