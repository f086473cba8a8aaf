"""Multiple-choice items: four endings that differ, the true one in its place, the others from elsewhere, all in whole
tokens.
"""

from collections import Counter
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from made_up import WORDS, word_tokenizer

from duo.data import tasks
from duo.data import tokenizer as tokens
from duo.errors import InputError
from duo.tables.data import MULTIPLE_CHOICE
from workflow.params import load_params

SETTINGS = load_params("params.yaml").ablation.model_copy(update={"items": 12, "context": 6, "continuation": 4})


@pytest.fixture(scope="module")
def tokenizer():
    return word_tokenizer()


@pytest.fixture(scope="module")
def documents() -> dict[str, str]:
    rng = np.random.default_rng(1)
    return {f"d{index}": "\n".join(" ".join(rng.choice(WORDS, 9)) for _ in range(6)) for index in range(8)}


def table(texts: dict[str, str], tokenizer, domains=("text", "code")) -> pa.Table:
    ids = [np.insert(each, 0, tokens.BOS_ID) for each in tokens.encode(tokenizer, list(texts.values()))]
    return pa.table(
        {
            "domain": [domain for domain in domains for _ in texts],
            "document": list(texts) * len(domains),
            "cluster": list(texts) * len(domains),
            "tokens": pa.array(ids * len(domains), pa.list_(pa.uint16())),
        }
    )


@pytest.fixture(scope="module")
def items(tokenizer, documents) -> list[dict]:
    return tasks.make_items(table(documents, tokenizer), tokenizer, SETTINGS, seed=1).to_pylist()


def test_every_domain_has_its_items_of_four_different_endings(items):
    assert Counter(item["domain"] for item in items) == {"text": 12, "code": 12}
    assert [item["item"] for item in items] == [*range(12), *range(12)]
    assert all(len(set(item["endings"])) == 4 for item in items)
    assert len({item["label"] for item in items}) > 1


def test_true_ending_goes_on_where_the_context_stops_and_wrong_ones_are_of_other_documents(items, documents):
    for item in items:
        own = documents[item["document"]]
        for index, ending in enumerate(item["endings"]):
            assert (item["context"] + ending in own) == (index == item["label"])
            assert (
                any(ending in text for name, text in documents.items() if name != item["document"])
                or index == item["label"]
            )


def test_windows_of_a_document_do_not_overlap(items):
    for domain in ("text", "code"):
        for document in {item["document"] for item in items}:
            starts = sorted(
                item["position"] for item in items if (item["domain"], item["document"]) == (domain, document)
            )
            assert all(later - earlier >= 10 for earlier, later in pairwise(starts))


def test_position_is_that_of_the_context_in_its_document(items, documents, tokenizer):
    for item in items:
        ids = tokenizer.encode(documents[item["document"]], add_special_tokens=False).ids
        assert tokenizer.decode(ids[item["position"] : item["position"] + 6]) == item["context"]


def test_tokens_of_context_and_ending_are_those_of_their_text(items, tokenizer):
    def ids(text):
        return tokenizer.encode(text, add_special_tokens=False).ids

    for item in items:
        assert len(ids(item["context"])) == 6
        for ending in item["endings"]:
            assert len(ids(ending)) == 4 and ids(item["context"] + ending) == ids(item["context"]) + ids(ending)


def test_items_follow_from_the_seed(items, tokenizer, documents, tmp_path, monkeypatch):
    again, other = (tasks.make_items(table(documents, tokenizer), tokenizer, SETTINGS, seed=seed) for seed in (1, 2))
    assert again.to_pylist() == items != other.to_pylist()
    monkeypatch.setattr("duo.tables.files.ROOT", tmp_path)
    MULTIPLE_CHOICE.write(again)
    assert MULTIPLE_CHOICE.read().to_pylist() == items


def test_contexts_and_endings_begin_at_words_and_hold_whole_ones(items):
    for item in items:
        assert item["context"][0].isspace() or item["position"] == 0
        assert all(text == text.rstrip() for text in (item["context"], *item["endings"]))
        assert all(ending[0].isspace() and set(ending.split()) <= set(WORDS) for ending in item["endings"])


def test_text_without_white_space_gives_no_item(tokenizer):
    owls = {f"d{index}": "🦉" * 40 for index in range(4)}
    with pytest.raises(InputError, match="give 0 at most"):
        tasks.make_items(table(owls, tokenizer), tokenizer, SETTINGS, seed=1)


def test_too_few_windows_name_the_domain_and_the_largest_number(tokenizer, documents):
    some = {name: documents[name] for name in ("d0", "d1")}
    with pytest.raises(InputError) as caught:
        tasks.make_items(
            table(some, tokenizer, ["code"]), tokenizer, SETTINGS.model_copy(update={"items": 500}), seed=1
        )
    assert str(caught.value).startswith(
        "domain 'code': 500 items of 6 + 4 tokens are asked for, but its test documents give"
    )
    possible = int(str(caught.value).split(" give ")[1].split()[0])
    fits = SETTINGS.model_copy(update={"items": possible})
    assert len(tasks.make_items(table(some, tokenizer, ["code"]), tokenizer, fits, seed=1)) == possible


def test_one_document_has_no_wrong_endings(tokenizer, documents):
    with pytest.raises(
        InputError, match=r"domain 'text': its items need wrong endings, at least 3 of other documents than 'd0'"
    ):
        few = SETTINGS.model_copy(update={"items": 2})
        tasks.make_items(table({"d0": documents["d0"]}, tokenizer, ["text"]), tokenizer, few, seed=1)
