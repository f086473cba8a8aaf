"""Windows of a pretrained model: the same places, earlier where they leave too few tokens."""

import numpy as np
import pyarrow as pa
import pytest
import saved_model
from made_up import WORDS

from duo.data import evaluation_set, own_windows, tokenizer
from duo.errors import InputError
from duo.model import pretrained
from duo.tables.data import EVALUATION_SET

TEXT = " ".join(np.random.default_rng(0).choice([word for word in WORDS if word.isascii()], 40))
OURS = tokenizer.train([TEXT], 300)


@pytest.fixture(scope="module")
def theirs(tmp_path_factory):
    """A tokenizer of bytes, which begins texts with 128."""
    folder = tmp_path_factory.mktemp("theirs")
    saved_model.save(folder)
    return pretrained.load(str(folder))[1]


def window(theirs, start: int, tokens: int) -> dict:
    place = {"domain": "text", "document": "d", "cluster": "c", "start": start, "bytes": 1, "tokens": [1, 2]}
    places = pa.Table.from_pylist([place], EVALUATION_SET.schema)
    (row,) = own_windows.choose(places, {("text", "d"): TEXT}, OURS, theirs, 300, 1, tokens).to_pylist()
    return row


def test_a_window_is_its_place_s_as_far_as_that_leaves_enough(theirs):
    row = window(theirs, 3, 12)
    assert row["start"] > 0 and TEXT[row["start"]] == " "
    assert row["tokens"] == [128, *map(ord, TEXT[row["start"] : row["start"] + 13])]
    assert row["bytes"] == 12


@pytest.mark.parametrize("tokens", [30, 31, 32, 33, 34, 35])
def test_else_it_begins_with_the_last_word_that_does(theirs, tokens):
    last = len(tokenizer.encode_one(OURS, TEXT)) - 2
    row = window(theirs, last, tokens)
    following = TEXT.find(" ", row["start"] + 1)
    assert TEXT[row["start"]] == " " and len(TEXT) - row["start"] >= tokens + 1 > len(TEXT) - following
    assert row["tokens"][1:] == [*map(ord, TEXT[row["start"] : row["start"] + tokens + 1])]


def test_a_document_may_be_its_window_but_not_shorter(theirs):
    assert window(theirs, 5, len(TEXT) - 1)["start"] == 0
    with pytest.raises(InputError, match=f"0 of 1 windows .* of documents with {len(TEXT) + 1} tokens .* should be 1"):
        window(theirs, 5, len(TEXT))


def test_what_follows_the_first_token_is_read_alone(theirs):
    row = window(theirs, 3, 12)
    sample = evaluation_set.of_windows(pa.Table.from_pylist([row, row]), pretrained.CONTEXT)
    assert sample.context == 1 and sample.tokens.shape == (2, 13) and sample.labels.shape == (2, 12)
    assert sample.labels[0].tolist() == row["tokens"][2:] and sample.tokens[0].tolist() == row["tokens"][:-1]
    part = sample.truncate(1, 5)
    assert part.context == 1 and part.tokens.tolist() == [row["tokens"][:6]] and part.labels.shape == (1, 5)
    assert part.columns()["position"].tolist() == [0, 1, 2, 3, 4]
