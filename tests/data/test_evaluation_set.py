"""The held-out tokens that every comparison is made on."""

import numpy as np
import pyarrow as pa
import pytest

from duo.data.evaluation_set import beginnings, choose
from duo.errors import InputError

MARK = 7


def table(lengths: dict[str, list[int]]) -> pa.Table:
    rows = [
        {"domain": domain, "document": f"{domain}{i}", "tokens": [MARK, *range(100 * i, 100 * i + length)]}
        for domain, each in lengths.items()
        for i, length in enumerate(each)
    ]
    return pa.Table.from_pylist(rows)


TRAIN_LOSSES = table({domain: [5 + i % 7 for i in range(40)] for domain in ("a", "b")})


def test_documents_are_drawn_by_seed_and_long_enough():
    chosen, other = choose(TRAIN_LOSSES, 6, 9, seed=1), choose(TRAIN_LOSSES, 6, 9, seed=2)
    assert chosen.domains == ["a"] * 6 + ["b"] * 6
    assert len(set(chosen.documents)) == 12
    assert chosen.labels.shape == (12, 9)
    assert chosen.documents == choose(TRAIN_LOSSES, 6, 9, seed=1).documents != other.documents


def test_a_token_is_predicted_from_those_before_it():
    chosen = choose(TRAIN_LOSSES, 3, 9, seed=1)
    assert (chosen.tokens[:, 0] == MARK).all()
    np.testing.assert_array_equal(chosen.tokens[:, 1:], chosen.labels[:, :-1])
    first = [100 * int(document[1:]) for document in chosen.documents]
    np.testing.assert_array_equal(chosen.labels, np.array(first)[:, None] + np.arange(9))


def test_beginning_is_of_the_same_documents_in_every_domain():
    chosen = choose(TRAIN_LOSSES, 6, 9, seed=1)
    part = chosen.beginning(2, 4)
    assert part.documents == chosen.documents[:2] + chosen.documents[6:8]
    assert part.domains == ["a", "a", "b", "b"]
    np.testing.assert_array_equal(part.labels, chosen.labels[[0, 1, 6, 7], :4])
    np.testing.assert_array_equal(part.tokens, chosen.tokens[[0, 1, 6, 7], :4])
    of_one, alone = part.of("b"), chosen.of("b").beginning(2, 4)
    assert of_one.documents == alone.documents == chosen.documents[6:8]


def test_columns_name_each_token_document_by_document():
    columns = choose(TRAIN_LOSSES, 2, 5, seed=1).columns()
    assert list(columns["domain"]) == ["a"] * 10 + ["b"] * 10
    assert list(columns["position"]) == [0, 1, 2, 3, 4] * 4
    assert len(set(columns["document"][:5])) == 1 and len(set(columns["document"])) == 4


def test_too_few_documents_is_one_clear_error():
    few = table({"a": [20, 20, 20, 4, 4, 4, 4, 4, 4]})
    message = r"4 documents asked, but domain 'a' has 3 test documents of at least 10 tokens \(of 9\); lower evaluation_set.documents"
    with pytest.raises(InputError, match=message):
        choose(few, 4, 10, seed=1)


LENGTHS = [3, 9, 12, 10, 4, 30]


def packed() -> np.ndarray:
    """Rows of 8 tokens, one after the other, of documents of LENGTHS tokens behind the mark; document i counts from
    100 (i + 1).
    """
    ids = np.concatenate([[MARK, *range(100 * i, 100 * i + length)] for i, length in enumerate(LENGTHS, 1)])
    return np.lib.stride_tricks.sliding_window_view(ids, 9)[::8]


def test_beginnings_are_those_of_packed_documents():
    """Across the rows that they are cut into; documents that are too short, or whose end is cut off, are none of
    them.
    """
    found = beginnings("a", packed(), MARK, 3, 9, seed=1, split="train")
    assert set(found.documents) <= {"1", "2", "3", "5"} and len(set(found.documents)) == 3
    assert (found.tokens[:, 0] == MARK).all() and found.labels.shape == (3, 9)
    np.testing.assert_array_equal(found.tokens[:, 1:], found.labels[:, :-1])
    first = [100 * (int(document) + 1) for document in found.documents]
    np.testing.assert_array_equal(found.labels, np.array(first)[:, None] + np.arange(9))
    drawn = [beginnings("a", packed(), MARK, 3, 9, seed, "train").documents for seed in (1, 1, 2, 3, 4)]
    assert found.documents == drawn[0] == drawn[1] and any(other != drawn[0] for other in drawn)


def test_too_few_packed_documents_are_one_error():
    message = r"policies.train_documents: 5 documents asked, but domain 'a' has 4 train documents of at least 9 tokens \(of 6\)"
    with pytest.raises(InputError, match=message):
        beginnings("a", packed(), MARK, 5, 9, seed=1, split="train")
