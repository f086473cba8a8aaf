"""Nothing of the text is lost, nothing leaks between splits, and the same text gives the same bytes."""

import itertools
import os
import subprocess
import sys

import numpy as np
import pytest
from made_up import TEXTS, corpora
from project import REPOSITORY as ROOT
from transformers import PreTrainedTokenizerFast

from duo.data import tokenizer as tokens
from duo.data.needs import Need
from duo.errors import InputError
from duo.seeds import stream
from duo.tables import files
from duo.tables.adapted import ADAPTED_PACKED
from duo.tables.data import PACKED, SHORT, TOKEN_METRICS, TOKENIZER, held_out, packed

HARD = [
    "",
    " ",
    "\x00\x01\x7f",
    "\r\n\t  \u2028",
    "naïve café",
    "日本語 🐝👩\u200d👩\u200d👧",
    "e\u0301 ≠ \u00e9",
    f"a {tokens.BOS} b",
    "\ufeff\ufffd\U0010ffff",
]


@pytest.fixture(autouse=True)
def own_artifacts(tmp_path, monkeypatch):
    monkeypatch.setattr("duo.tables.files.ROOT", tmp_path)


@pytest.fixture(scope="module")
def tokenizer():
    return tokens.train(TEXTS, 300)


@pytest.mark.parametrize("text", [*HARD, "".join(map(chr, range(0x800)))])
def test_any_text_comes_back_whole(tokenizer, text):
    (ids,) = tokens.encode(tokenizer, [text])
    assert tokenizer.decode(ids.tolist(), skip_special_tokens=False) == text
    assert tokens.BOS_ID not in ids


def test_saved_tokenizer_encodes_alike(tokenizer):
    tokens.save(tokenizer)
    loaded = tokens.load()
    assert loaded.token_to_id(tokens.BOS) == tokens.BOS_ID
    assert loaded.get_vocab_size() == 300
    for mine, its in zip(tokens.encode(tokenizer, HARD + TEXTS), tokens.encode(loaded, HARD + TEXTS), strict=True):
        np.testing.assert_array_equal(mine, its)


def test_many_documents_are_encoded_in_order(tokenizer):
    many = [f"value {number}" for number in range(2 * tokens.BATCH + 3)]
    assert [tokenizer.decode(ids.tolist()) for ids in tokens.encode(tokenizer, many)] == many


@pytest.mark.parametrize("threads", ["1", "3"])
def test_training_is_the_same_in_every_process(tokenizer, threads):
    script = f"from duo.data import tokenizer; print(tokenizer.train({TEXTS}, 300).to_str())"
    environment = os.environ | {"RAYON_NUM_THREADS": threads}
    ran = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT, env=environment
    )
    assert ran.stdout == tokenizer.to_str() + "\n"


def test_vocabulary_that_the_text_cannot_fill():
    with pytest.raises(InputError, match=r"vocabulary: 300 entries are more than .*; the largest possible is 259"):
        tokens.train(["aaaa"], 300)


def test_packing_predicts_every_id_once_and_drops_the_tail():
    documents = [np.insert(ids, 0, tokens.BOS_ID) for ids in (np.arange(10, 15), np.arange(20, 22), np.arange(30, 37))]
    rows = tokens.pack(documents, 4, stream(1, "test"))
    flat = np.concatenate([rows[0, :1], rows[:, 1:].reshape(-1)])
    starts = np.flatnonzero(flat == tokens.BOS_ID)
    pieces = np.split(flat, starts)[1:]
    assert rows.shape == (4, 5) and starts[0] == 0
    np.testing.assert_array_equal(rows[1:, 0], rows[:-1, -1])
    whole = [piece.tolist() for piece in pieces[:-1]]
    assert len(whole) == 2 and all(piece in [document.tolist() for document in documents] for piece in whole)
    assert rows.tolist() == tokens.pack(documents, 4, stream(1, "test")).tolist()
    assert {tokens.pack(documents, 4, stream(seed, "test"))[0, 1] for seed in range(20)} == {10, 20, 30}


def test_less_than_a_row_packs_to_none():
    assert tokens.pack([np.arange(4)], 4, stream(1)).shape == (0, 5)
    assert tokens.pack([np.arange(5)], 4, stream(1)).shape == (1, 5)


def test_tables_and_counts():
    given = {"train": TEXTS[:150], "validation": TEXTS[150:170], "test": TEXTS[170:190], "routing": TEXTS[190:]}
    tokens.tokenize(corpora(**given), 300, 16, seed=1)
    tokenizer = tokens.load()
    packed, tested, counts = PACKED.read(), held_out("test"), TOKEN_METRICS.read()
    assert files.matrix(packed["tokens"]).shape[1] == 17
    assert set(packed["split"].to_pylist()) == {"train", "validation"}
    assert tested["document"].to_pylist() == tested["cluster"].to_pylist() == [f"test{i}" for i in range(170, 190)]
    assert [len(held_out(split)) for split in ("train", "validation", "routing")] == [0, 20, 10]
    assert {ids[0] for ids in tested["tokens"].to_pylist()} == {tokens.BOS_ID}
    assert [tokenizer.decode(ids[1:]) for ids in tested["tokens"].to_pylist()] == TEXTS[170:190]
    assert {split: each["documents"] for split, each in counts["notes"].items()} == {
        "train": 150,
        "validation": 20,
        "test": 20,
        "routing": 10,
    }
    assert counts["notes"]["test"]["tokens"] == sum(len(ids) - 1 for ids in tested["tokens"].to_pylist())
    assert counts["notes"]["train"]["bytes"] == len("".join(TEXTS[:150]).encode())
    rows = packed["split"].to_pylist().count("train")
    assert rows == (counts["notes"]["train"]["tokens"] + 150 - 1) // 16


def test_held_out_text_does_not_shape_the_tokenizer():
    def digests(test):
        given = {"train": TEXTS[:150], "validation": TEXTS[150:170], "test": test, "routing": test[::-1]}
        tokens.tokenize(corpora(**given), 300, 16, seed=1)
        return TOKENIZER.digest(), PACKED.digest()

    assert digests(TEXTS[170:]) == digests(["zebra zebra zebra zebra"] * 30)


def test_what_no_model_trains_on_is_held_out_and_not_packed():
    given = {"validation": TEXTS[150:170], "test": TEXTS[170:190], "routing": TEXTS[190:]}
    trained = corpora(train=TEXTS[:150], **given)
    alone = tokens.tokenize(trained, 300, 16, seed=1), PACKED.digest(), TOKENIZER.digest()
    tokens.tokenize(trained | {"unseen": corpora(**given)["notes"]}, 300, 16, seed=1)
    assert (None, PACKED.digest(), TOKENIZER.digest()) == alone
    assert held_out("validation")["domain"].value_counts().to_pylist() == [
        {"values": name, "counts": 20} for name in ("notes", "unseen")
    ]
    assert TOKEN_METRICS.read()["unseen"]["train"] == {"documents": 0, "tokens": 0, "bytes": 0}


def test_documents_with_nothing_to_predict_are_left_out():
    given = {"train": TEXTS[:150], "validation": TEXTS[150:170], "test": ["a", *TEXTS[170:]], "routing": TEXTS[:1]}
    tokens.tokenize(corpora(**given), 300, 16, seed=1)
    assert SHORT.read().to_pylist() == [{"domain": "notes", "document": "test170", "tokens": 1}]
    assert "test170" not in held_out("test")["document"].to_pylist()
    assert TOKEN_METRICS.read()["notes"]["test"]["documents"] == 30


def test_too_many_such_documents_are_an_error_that_names_one():
    given = {"train": TEXTS[:150], "validation": TEXTS[150:170], "test": ["a"] * 20, "routing": TEXTS[:1]}
    message = r"domain 'notes': 20 of 191 documents would be left out as shorter than 2 tokens \(the first: test170\)"
    with pytest.raises(InputError, match=message):
        tokens.tokenize(corpora(**given), 300, 16, seed=1, most_left_out={"notes": 0.1})
    assert not (files.ROOT / "tokens").exists()


def test_all_that_is_missing_is_said_at_once_and_nothing_is_written():
    given = {"train": TEXTS[:150], "validation": ["ab"], "test": TEXTS[:3], "routing": TEXTS[:1]}
    asked = [Need("test", 8, 5, True, "a.documents"), Need("test", 9000, 1, False, "an.item")]
    with pytest.raises(InputError) as caught:
        tokens.tokenize(corpora(**given), 300, 16, seed=1, asked=asked)
    assert str(caught.value).splitlines() == [
        "domain 'notes': its validation split has 3 tokens, but 17 are asked for by tokens.sequence",
        "domain 'notes': its test split has 3 documents of 8 tokens or more, but 5 are asked for by a.documents",
        "domain 'notes': its test split has 0 pieces of 9000 tokens, but 1 are asked for by an.item",
        "give more text, a larger share to the split, or ask for less",
    ]
    assert not (files.ROOT / "tokens").exists()


def test_missing_and_damaged_tokenizer():
    with pytest.raises(InputError, match=r"tokenizer.json: is missing"):
        tokens.load()
    path = TOKENIZER.path()
    path.parent.mkdir()
    path.write_text('{"version"')
    with pytest.raises(InputError, match=r"tokenizer.json: damaged"):
        tokens.load()


def test_repacked_as_a_pretrained_model_reads(tmp_path, monkeypatch):
    """In its own tokens, of 32 bits, behind the one that begins a text; where there is none, the one that ends it."""
    monkeypatch.setattr("duo.tables.files.ROOT", tmp_path)
    own = tokens.train(TEXTS, 300)
    theirs = PreTrainedTokenizerFast(tokenizer_object=own, eos_token=tokens.BOS)
    texts = {"train": TEXTS[:100], "validation": TEXTS[100:120], "test": TEXTS[120:122], "routing": TEXTS[122:124]}
    columns = tokens.repacked_as(theirs, corpora(**texts), 16, 1)
    ADAPTED_PACKED.write(columns, model="tiny")
    rows = packed("train", ADAPTED_PACKED.instance(model="tiny"))["notes"]
    assert rows.dtype == np.uint32 and rows.shape[1] == 17
    ids = [rows[0, 0], *rows[:, 1:].ravel().tolist()]
    starts = [index for index, each in enumerate(ids) if each == tokens.BOS_ID]
    found = {own.decode(ids[start + 1 : stop]) for start, stop in itertools.pairwise(starts)}
    assert len(found) >= 95 and found <= set(texts["train"])
    with pytest.raises(InputError, match="tokenizer: object should be a fast tokenizer of transformers"):
        tokens.repacked_as(object(), corpora(**texts), 16, 1)
