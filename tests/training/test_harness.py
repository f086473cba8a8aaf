"""EleutherAI's harness asks our model what we would ask it, and touches no network for our items."""

import os
import socket

import numpy as np
import pyarrow as pa
import pytest
import torch
import transformers
from made_up import WORDS, word_tokenizer

os.environ["HF_HUB_OFFLINE"] = "1"  # read when the harness is imported

from duo.data import tasks
from duo.data import tokenizer as tokens
from duo.errors import InputError
from duo.model.device import Device
from duo.model.transformer import Duo, Shape
from duo.tables.data import MULTIPLE_CHOICE, QUESTIONS
from duo.tables.training import HARNESS
from duo.training import harness
from workflow.params import load_params

SHAPE = Shape(vocabulary=300, sequence=24, layers=2, width=16, heads=2, big=32, small=8)
DEVICE = Device()
NO_QUESTIONS, NO_ITEMS = QUESTIONS.schema.empty_table(), MULTIPLE_CHOICE.schema.empty_table()
SETTINGS = load_params("params.yaml").ablation.model_copy(update={"items": 10, "context": 6, "continuation": 4})


@pytest.fixture(scope="module")
def tokenizer():
    return word_tokenizer()


@pytest.fixture(scope="module")
def items(tokenizer) -> pa.Table:
    rng = np.random.default_rng(1)
    texts = ["\n".join(" ".join(rng.choice(WORDS, 9)) for _ in range(6)) for _ in range(6)]
    ids = [np.insert(each, 0, tokens.BOS_ID) for each in tokens.encode(tokenizer, texts)]
    columns = {"domain": ["text"] * 6 + ["code"] * 6, "document": [f"d{index}" for index in range(6)] * 2}
    columns["cluster"] = columns["document"]
    return tasks.make_items(
        pa.table(columns | {"tokens": pa.array(ids * 2, pa.list_(pa.uint16()))}), tokenizer, SETTINGS, 1
    )


@pytest.fixture(scope="module")
def duo() -> Duo:
    return Duo(SHAPE).initialise(torch.Generator().manual_seed(0)).requires_grad_(False)


def as_model(duo, tokenizer, p_big=1.0, seed=1) -> harness.DuoInHarness:
    return harness.DuoInHarness(duo, tokenizer, tokens.BOS_ID, p_big, DEVICE, seed)


def own_scores(duo: Duo, tokenizer, item: dict, big: bool) -> list[float]:
    """Log-likelihoods of the endings by the plain forward pass, one at a time."""
    found = []
    for ending in item["endings"]:
        context, whole = (
            tokenizer.encode(text, add_special_tokens=False).ids for text in (item["context"], item["context"] + ending)
        )
        ids = torch.tensor([tokens.BOS_ID, *whole])
        chances = duo(ids[None, :-1], torch.full((2,), big))[0].log_softmax(-1)
        found.append(sum(chances[at, whole[at]].item() for at in range(len(context), len(whole))))
    return found


@pytest.mark.parametrize("p_big", [0.0, 1.0])
def test_the_harness_gives_the_choice_of_our_own_scoring(duo, tokenizer, items, p_big, monkeypatch):
    def refuse(*words):
        raise AssertionError(f"the network was asked: {words}")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    answers = harness.run(as_model(duo, tokenizer, p_big), items, NO_QUESTIONS).to_pylist()
    assert len(answers) == len(items) == 20
    for item, answer in zip(items.to_pylist(), answers, strict=True):
        scores = own_scores(duo, tokenizer, item, p_big == 1)
        choice = int(np.argmax([score / len(ending) for score, ending in zip(scores, item["endings"], strict=True)]))
        assert answer["likeliest"] == int(np.argmax(scores))
        assert answer["log_likelihoods"] == pytest.approx(scores, rel=1e-5)
        assert (answer["choice"], answer["correct"]) == (choice, choice == item["label"])
        assert [answer[key] for key in ("domain", "document", "item", "label")] == [
            item[key] for key in ("domain", "document", "item", "label")
        ]
        assert answer["p_big"] == p_big


def test_random_routes_depend_on_seed_and_context_not_on_the_batch(duo, tokenizer, items, monkeypatch):
    first, other = (
        harness.run(as_model(duo, tokenizer, 0.5, seed), items, NO_QUESTIONS)["log_likelihoods"].to_pylist()
        for seed in (1, 2)
    )
    monkeypatch.setattr(harness, "BATCH", 3)
    again = harness.run(as_model(duo, tokenizer, 0.5), items, NO_QUESTIONS)["log_likelihoods"].to_pylist()
    assert np.allclose(first, again, rtol=1e-5) and not np.allclose(first, other, rtol=1e-5)


def test_answers_fit_their_table(duo, tokenizer, items, tmp_path, monkeypatch):
    monkeypatch.setattr("duo.tables.files.ROOT", tmp_path)
    answers = harness.run(as_model(duo, tokenizer), items, NO_QUESTIONS)
    HARNESS.write(answers.append_column("model", pa.array(["duo"] * len(answers))), model="duo")
    assert HARNESS.read(model="duo")["lengths"].to_pylist() == [
        list(map(len, each)) for each in items["endings"].to_pylist()
    ]


def scores(model: harness.DuoInHarness, *pairs: tuple[list[int], list[int]]) -> list[harness.Score]:
    return model._loglikelihood_tokens([(("", ""), *pair) for pair in pairs])


def test_of_a_text_beyond_the_context_length_the_beginning_is_left_out(duo, tokenizer):
    model = as_model(duo, tokenizer)
    long = list(range(1, 60))
    (short_value, _), (long_value, _) = scores(model, (long[-21:], [7, 8, 9]), (long, [7, 8, 9]))
    model_sees_all = scores(model, (long[-22:], [7, 8, 9]))[0][0]
    assert long_value == pytest.approx(model_sees_all, rel=1e-5) and short_value != pytest.approx(long_value, rel=1e-5)
    assert len(scores(model, ([1], long))) == 1
    together = scores(model, (long, [7, 8, 9]), (long, [7]), (long, [8, 8, 8]))
    assert together[0][0] == pytest.approx(long_value, rel=1e-5)
    assert together[1][0] == pytest.approx(scores(model, (long[-24:], [7]))[0][0], rel=1e-5)


def test_greedy_is_what_the_model_would_say(duo, tokenizer):
    model = as_model(duo, tokenizer)
    likeliest = duo(torch.tensor([[0, 5, 6]]), torch.ones(2, dtype=torch.bool))[0, -1].argmax().item()
    found = scores(model, ([0, 5, 6], [likeliest]), ([0, 5, 6], [likeliest - 1]))
    assert [greedy for _, greedy in found] == [True, False]


def test_a_context_is_computed_once_and_its_endings_do_not_see_each_other(duo, tokenizer, monkeypatch):
    """Under random routes too, where each ending alone has the same score."""
    model, computed = as_model(duo, tokenizer, 0.5), []
    monkeypatch.setattr(
        harness, "routed", lambda model, x, *rest, run=harness.routed: computed.append(x.shape) or run(model, x, *rest)
    )
    context, endings = list(range(10)), [[5, 6, 7], [8], [9, 9], [7, 6, 5]]
    together = scores(model, *((context, ending) for ending in endings))
    assert computed == [(1, 10 + 2 + 0 + 1 + 2, SHAPE.width)]
    alone = [scores(model, (context, ending))[0] for ending in endings]
    assert [value for value, _ in together] == pytest.approx([value for value, _ in alone], rel=1e-5)


def test_texts_of_unlike_length_have_the_scores_that_each_has_alone(duo, tokenizer):
    """Under random routes, where what fills the shorter ones up takes some."""
    model = as_model(duo, tokenizer, 0.5)
    pairs = [(list(range(1, 20)), [3, 4]), ([1, 2], [5]), ([1, 2, 3, 4], [6, 7, 8]), ([9], [9, 9, 9, 9])]
    alone = [scores(model, pair)[0][0] for pair in pairs]
    assert [value for value, _ in scores(model, *pairs)] == pytest.approx(alone, rel=1e-5)


def test_endings_that_leave_no_room_for_their_context_do_not_share_one(duo, tokenizer):
    model = as_model(duo, tokenizer)
    pairs = [([0], list(range(10, 40))), ([0], list(range(50, 80))), ([0], [7])]
    alone = [scores(model, pair)[0][0] for pair in pairs]
    assert [value for value, _ in scores(model, *pairs)] == pytest.approx(alone, rel=1e-5)


def test_many_endings_of_one_context_take_several_rows(duo, tokenizer, monkeypatch):
    model, lengths = as_model(duo, tokenizer), []
    monkeypatch.setattr(
        harness,
        "routed",
        lambda model, x, *rest, run=harness.routed: lengths.append(x.shape[1]) or run(model, x, *rest),
    )
    pairs = [([0], [index % 300, 5, 6]) for index in range(200)]
    together = scores(model, *pairs)
    assert max(lengths) <= harness.LONGEST * SHAPE.sequence
    for index in (0, 77, 199):
        assert together[index][0] == pytest.approx(scores(model, pairs[index])[0][0], rel=1e-5)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("task: [", "the harness can't load it"),
        ("task: mine\noutput_type: unheard_of\ndataset_path: json\n", "the harness can't load it: .*unheard_of"),
        (None, "the harness can't load it"),
    ],
)
def test_a_task_that_does_not_parse_or_exist_is_one_error(duo, tokenizer, items, tmp_path, monkeypatch, text, message):
    monkeypatch.setattr(harness, "TaskManager", lambda **words: manager(**{"include_defaults": False} | words))
    file = tmp_path / "mine.yaml"
    if text:
        file.write_text(text)
    with pytest.raises(InputError, match=rf"^task '{file}': {message}") as caught:
        harness.run(as_model(duo, tokenizer), items, NO_QUESTIONS, [str(file)])
    assert len(str(caught.value).splitlines()) == 1


manager = harness.TaskManager


def test_another_task_runs_beside_ours_if_it_is_multiple_choice(duo, tokenizer, items, tmp_path, monkeypatch):
    monkeypatch.setattr(harness, "TaskManager", lambda **words: manager(**{"include_defaults": False} | words))
    data, file = tmp_path / "data.jsonl", tmp_path / "mine.yaml"
    data.write_text('{"q": "amber", "ends": ["birch", "cedar", "reed"], "a": 2}\n' * 2)
    source = f"dataset_path: json\ndataset_kwargs: {{data_files: {{test: {data}}}, cache_dir: {tmp_path}}}\n"
    source += "test_split: test\ntask: mine\n"
    asks = "doc_to_text: q\ndoc_to_target: a\ndoc_to_choice: ends\n"
    file.write_text(source + asks + "output_type: multiple_choice\n")
    answers = harness.run(as_model(duo, tokenizer), items, NO_QUESTIONS, [str(file)]).to_pylist()
    assert [(row["document"], row["lengths"]) for row in answers if row["domain"] == "mine"] == [
        ("0", [5, 5, 4]),
        ("1", [5, 5, 4]),
    ]
    file.write_text(
        source
        + asks
        + "output_type: multiple_choice\nmetric_list: [{metric: acc, aggregation: mean, higher_is_better: true}]\n"
    )
    with pytest.raises(InputError, match="mine has no metric acc_norm"):
        harness.run(as_model(duo, tokenizer), items, NO_QUESTIONS, [str(file)])
    file.write_text(source + "doc_to_text: q\ndoc_to_target: q\noutput_type: generate_until\n")
    with pytest.raises(InputError, match=r"mine is of output_type generate_until; only multiple_choice can be run"):
        harness.run(as_model(duo, tokenizer), items, NO_QUESTIONS, [str(file)])


ASKED = [
    {"context": "amber birch\nAnswer:", "endings": ["cedar", " delta ember flint", "grove grove", "reed"], "label": 1},
    {"context": "naïve otter", "endings": ["quartz reed", "larch", "heron jolly amber birch"], "label": 0},
]


@pytest.fixture(scope="module")
def asked() -> pa.Table:
    rows = [{"task": "school", "question": f"q{index}", **row} for index, row in enumerate(ASKED)]
    return pa.Table.from_pylist(rows, QUESTIONS.schema)


def test_without_items_and_questions_there_are_no_answers(duo, tokenizer):
    answers = harness.run(as_model(duo, tokenizer), NO_ITEMS, NO_QUESTIONS)
    assert len(answers) == 0 and {*answers.column_names, "model"} == set(HARNESS.schema.names)


class WordTokenizer:
    """As those of transformers are called."""

    def __init__(self, tokenizer):
        self.tokenizer = tokenizer

    def __call__(self, text: str, add_special_tokens: bool) -> dict[str, list[int]]:
        assert not add_special_tokens
        return {"input_ids": self.tokenizer.encode(text, add_special_tokens=False).ids}


def test_questions_stand_beside_our_items(duo, tokenizer, items, asked):
    answers = harness.run(as_model(duo, tokenizer), items, asked).to_pylist()
    assert [row["domain"] for row in answers].count("school") == 2 and len(answers) == 22
    for index, row in enumerate(answers[20:]):
        scores = own_scores(
            duo, tokenizer, ASKED[index] | {"endings": [f" {each}" for each in ASKED[index]["endings"]]}, True
        )
        assert row["log_likelihoods"] == pytest.approx(scores, rel=1e-5)
        assert (row["document"], row["cluster"], row["label"]) == (f"q{index}", f"q{index}", ASKED[index]["label"])
        assert row["lengths"] == [len(each) for each in ASKED[index]["endings"]], "the space before it does not count"


@pytest.mark.parametrize("family", ["Llama", "OPT", "GPT2", "GPTNeoX"])
def test_a_pretrained_model_is_scored_as_it_is(tokenizer, asked, family, monkeypatch):
    """By acc and acc_norm, as by hand: its own forward pass, an answer at a time, without padding."""
    config = {"vocab_size": 300, "max_position_embeddings": 40}
    config |= {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2}
    if family == "OPT":
        config |= {"ffn_dim": 24, "word_embed_proj_dim": 8}
    if family == "GPT2":
        config = {"vocab_size": 300, "n_positions": 40, "n_embd": 16, "n_layer": 2, "n_head": 2}
    torch.manual_seed(1)
    model = getattr(transformers, f"{family}ForCausalLM", None) or transformers.GPT2LMHeadModel
    model = model(getattr(transformers, f"{family}Config")(**config)).eval().requires_grad_(False)
    for weight in model.parameters():
        weight *= 6
    monkeypatch.setattr(harness, "BATCH", 3)
    scored = harness.PretrainedInHarness("tiny", model, WordTokenizer(tokenizer), 0, 40, DEVICE)
    for row, item in zip(harness.run(scored, NO_ITEMS, asked).to_pylist(), ASKED, strict=True):
        expected = []
        for ending in item["endings"]:
            texts = (item["context"], f"{item['context']} {ending}")
            before, ids = (tokenizer.encode(text, add_special_tokens=False).ids for text in texts)
            chances = model(torch.tensor([[0, *ids]])).logits[0].log_softmax(-1)
            expected.append(sum(chances[at, ids[at]].item() for at in range(len(before), len(ids))))
        assert np.ptp(expected) > 1e-2 and row["log_likelihoods"] == pytest.approx(expected, rel=1e-4)
        by_length = [value / len(ending) for value, ending in zip(expected, item["endings"], strict=True)]
        assert (row["likeliest"], row["choice"]) == (int(np.argmax(expected)), int(np.argmax(by_length)))
        assert row["correct"] == (row["choice"] == item["label"])
