"""Scores of answers, all of a question in one tree, against each answer and route run by hand."""

import numpy as np
import pyarrow as pa
import pytest
import torch
import transformers

from duo.data.packed import pack
from duo.errors import InputError
from duo.model.decoders import routable
from duo.model.device import Device
from duo.oracle import answers
from duo.oracle.branch import log_probabilities
from duo.oracle.tree import Enumerator
from duo.routes import RouteSpace
from duo.tables.answers import ANSWER_SCORES
from duo.tables.data import QUESTIONS
from duo.terms import ALL_BIG, BIG, REPEAT, SKIP

DEVICE, LAYERS, VOCABULARY = Device(), 4, 61
SIZES = {"vocab_size": VOCABULARY, "hidden_size": 16, "num_hidden_layers": LAYERS, "num_attention_heads": 4}
SIZES |= {"intermediate_size": 24, "max_position_embeddings": 32}
CONFIGS = {
    "Llama": SIZES | {"num_key_value_heads": 2},
    "GPTNeoX": SIZES,
    "OPT": SIZES | {"ffn_dim": 24},
    "GPT2LMHead": {"vocab_size": VOCABULARY, "n_embd": 16, "n_layer": LAYERS, "n_head": 4, "n_positions": 32},
}
CONTEXT, ANSWERS = [0, 7, 19, 4, 33], [[5], [8, 9, 40, 2], [21, 21], [60, 3, 1]]
SPACES = [
    RouteSpace(LAYERS, (SKIP, BIG), departures=2),
    RouteSpace(LAYERS, (SKIP, BIG), blocks=2),
    RouteSpace(LAYERS, (BIG, REPEAT), departures=1),
    RouteSpace(LAYERS, (SKIP, BIG, REPEAT), blocks=2, departures=1),
]


def made(family: str = "Llama"):
    """A random model, its weights scaled up so that every part matters."""
    torch.manual_seed(3)
    name = "GPT2Config" if family == "GPT2LMHead" else f"{family}Config"
    kind = "GPT2LMHeadModel" if family == "GPT2LMHead" else f"{family}ForCausalLM"
    model = getattr(transformers, kind)(getattr(transformers, name)(**CONFIGS[family])).eval().requires_grad_(False)
    for weight in model.parameters():
        weight += 0.3 * torch.randn(weight.shape)
    return model


def by_hand(model, space: RouteSpace, scope: str) -> np.ndarray:
    """[answers, routes]: one text, one route at a time, without padding or company."""
    found = np.zeros((len(ANSWERS), len(space)))
    for index, answer in enumerate(ANSWERS):
        ids = np.array(CONTEXT + answer)
        for column, route in enumerate(space.codes):
            predicted = log_probabilities(model, space, ids[:-1], int(route), DEVICE, scope)
            found[index, column] = predicted[np.arange(len(CONTEXT) - 1, len(ids) - 1), answer].sum()
    return found


@pytest.mark.parametrize("scope", ["ffn", "layer"])
@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("family", CONFIGS)
def test_all_answers_of_a_question_in_one_tree(family, space, scope):
    model = routable(made(family))
    expected = by_hand(model, space, scope)
    assert expected.std(axis=1).mean() > 0.1, "routes must differ, or the test could not fail"
    for chunk in (1, 50, 5000):
        found = answers.by_route(Enumerator(model, space, DEVICE, chunk, scope), CONTEXT, ANSWERS)
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("family", CONFIGS)
def test_all_big_is_the_model_itself(family):
    model, space = made(family), SPACES[0]
    found = answers.by_route(Enumerator(routable(model), space, DEVICE, 100), CONTEXT, ANSWERS)
    for answer, scores in zip(ANSWERS, found, strict=True):
        logits = model(torch.tensor([CONTEXT + answer])).logits[0, len(CONTEXT) - 1 : -1]
        expected = logits.log_softmax(-1).gather(1, torch.tensor(answer)[:, None]).sum().item()
        assert scores[space.index(np.array(space.named(ALL_BIG)))] == pytest.approx(expected, rel=1e-4)


def test_answers_have_no_influence_on_one_another():
    tree = Enumerator(routable(made()), SPACES[0], DEVICE, 100)
    together = answers.by_route(tree, CONTEXT, ANSWERS)
    for order in ([2, 0], [1], [3, 1, 1]):
        found = answers.by_route(tree, CONTEXT, [ANSWERS[index] for index in order])
        np.testing.assert_allclose(found, together[order], rtol=1e-5, atol=1e-5)


def test_a_question_in_one_row():
    packed = pack([1, 2], [[3], [4, 5, 6]])
    assert packed.rows.tolist() == [[1, 2, 1, 1], [1, 2, 4, 5]]
    assert packed.kept.tolist() == [[0, 0], [0, 1], [1, 2], [1, 3]]
    assert packed.asked.tolist() == [1, 2, 3]
    assert packed.labels.tolist() == [[3, 0, 0], [4, 5, 6]]
    assert packed.scored.tolist() == [[True, False, False], [True, True, True]]
    apart = pack([1], [[3, 4], [5, 6]])  # the text, an answer, the other, which does not see the first
    assert (apart.earlier == 0).tolist() == [[True, False, False], [True, True, False], [True, False, True]]


def characters(text: str) -> list[int]:
    return [ord(letter) % VOCABULARY for letter in text]


def test_questions_become_a_table(tmp_path, monkeypatch):
    monkeypatch.setattr("duo.tables.files.ROOT", tmp_path)
    rows = [
        {"task": "t", "question": "q", "context": "Why?", "endings": ["so", "no idea", "yes"], "label": 2},
        {"task": "t", "question": "p", "context": "Who", "endings": ["me", "you"], "label": 0},
    ]
    tree = Enumerator(routable(made()), SPACES[0], DEVICE, 100)
    ANSWER_SCORES.write(answers.score(tree, characters, 9, pa.Table.from_pylist(rows, QUESTIONS.schema)), name="x")
    found = ANSWER_SCORES.read(name="x").to_pylist()
    assert [(row["question"], row["answer"], row["right"], row["tokens"]) for row in found] == [
        *(("q", 0, False, 3), ("q", 1, False, 8), ("q", 2, True, 4)),
        *(("p", 0, True, 3), ("p", 1, False, 4)),
    ]
    expected = answers.by_route(tree, [9, *characters("Who")], [characters(" me"), characters(" you")])
    np.testing.assert_allclose([row["scores"] for row in found[3:]], expected)


def test_bad_input_is_one_error():
    model = routable(made())
    one = pa.Table.from_pylist(
        [{"task": "t", "question": "q", "context": "Why?", "endings": ["so", "x" * 40], "label": 0}], QUESTIONS.schema
    )
    with pytest.raises(InputError, match="the routes are one"):
        answers.score(Enumerator(model, RouteSpace(LAYERS, (SKIP, BIG), departures=0), DEVICE, 9), characters, 9, one)
    with pytest.raises(InputError, match="tokens: 45 of them, but the model reads at most 32"):
        answers.score(Enumerator(model, SPACES[0], DEVICE, 9), characters, 9, one)
    with pytest.raises(InputError, match="tokenizer: gives the id 121, but the model knows 61; it is another model's"):
        answers.score(Enumerator(model, SPACES[0], DEVICE, 9), lambda text: list(map(ord, text)), 9, one)
    broken = made()
    broken.lm_head.weight[7] = torch.nan
    with pytest.raises(InputError, match="question 'q': the score of an answer is not finite"):
        tree = Enumerator(routable(broken), SPACES[0], DEVICE, 9)
        answers.score(tree, characters, 9, one.set_column(3, "endings", pa.array([["so", "no"]])))
