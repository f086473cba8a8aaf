"""The stage of the answer oracle, on a tiny model in a directory: its tables, and the figure of them."""

import pyarrow as pa
import pytest
import torch
import transformers
from made_up import word_tokenizer
from project import REPOSITORY

from duo.answer_settings import AnswerSearch
from duo.data.tokenizer import BOS
from duo.tables.answers import ANSWER_CURVES, ANSWER_SCORES
from duo.tables.data import QUESTIONS
from duo.tables.pretrained import PRETRAINED
from duo.tables.report import FIGURE
from workflow import params as checked
from workflow.stages import answers, figures_answers

SEARCH = {"model": "tiny", "questions": 6, "scope": "layer", "choices": ["skip", "big"], "blocks": 2, "departures": 1}


@pytest.fixture
def experiment(tmp_path, monkeypatch):
    """Two searches that share a model, whose tasks are in the table of questions."""
    monkeypatch.chdir(tmp_path)
    whole = checked.load_params(REPOSITORY / "params.yaml")
    searches = {f"tiny-{task}": AnswerSearch(task=task, **SEARCH) for task in ("arc_easy", "hellaswag")}
    figures = whole.figures.model_copy(update={"answers": {"searched": list(searches)}})
    runtime = whole.runtime.model_copy(update={"threads": 1})
    known = whole.model_copy(update={"answers": searches, "figures": figures, "runtime": runtime})
    for stage in (answers, figures_answers):
        monkeypatch.setattr(stage, "load_params", lambda: known)
    torch.manual_seed(2)
    sizes = {"vocab_size": 300, "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 4}
    config = transformers.LlamaConfig(**sizes, num_attention_heads=2)
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=word_tokenizer(), bos_token=BOS)
    for part in (transformers.LlamaForCausalLM(config), tokenizer):
        part.save_pretrained(PRETRAINED.path(model="tiny"))
    rows = [
        {"task": task, "question": f"{task}-{index}", "context": "amber birch", "label": index % 3}
        | {"endings": [["cedar", "delta ember", "reed"], ["flint grove", "heron", "otter"]][index % 2]}
        for task in ("hellaswag", "arc_easy")
        for index in range(8)
    ]
    QUESTIONS.write(pa.Table.from_pylist(rows, QUESTIONS.schema))
    return list(searches)


def test_scores_curves_and_their_figure(experiment):
    for name in experiment:
        answers.main(name)
        scores, curves = ANSWER_SCORES.read(name=name), ANSWER_CURVES.read(name=name)
        task = name.removeprefix("tiny-")
        assert scores["question"].unique().to_pylist() == [f"{task}-{index}" for index in range(6)]
        assert {len(each) for each in scores["scores"].to_pylist()} == {3}, "all big, and each of two blocks left out"
        assert set(zip(*(curves[column].to_pylist() for column in ("name", "model", "task")), strict=True)) == {
            (name, "tiny", task)
        }
        assert set(curves["tried"].to_pylist()) == {1, 2, 3}
    figures_answers.main("searched")
    assert FIGURE.path(name="searched", format="png").exists()
