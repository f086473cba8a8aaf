"""The held-out tokens that every comparison is made on."""

import numpy as np
import pyarrow as pa
import pytest

from duo.data.evaluation_set import bos_id, choose, from_packed
from duo.errors import InputError

BOS = 7


def table(lengths: dict[str, list[int]]) -> pa.Table:
    rows = [
        {"domain": domain, "document": f"{domain}{i}", "tokens": [BOS, *range(100 * i, 100 * i + length)]}
        for domain, each in lengths.items()
        for i, length in enumerate(each)
    ]
    return pa.Table.from_pylist(rows)


TABLE = table({domain: [5 + i % 7 for i in range(40)] for domain in ("a", "b")})


def test_documents_are_drawn_by_seed_and_long_enough():
    chosen, other = choose(TABLE, 6, 9, seed=1), choose(TABLE, 6, 9, seed=2)
    assert chosen.domains == ["a"] * 6 + ["b"] * 6
    assert len(set(chosen.documents)) == 12
    assert chosen.labels.shape == (12, 9)
    assert chosen.documents == choose(TABLE, 6, 9, seed=1).documents != other.documents


def test_a_token_is_predicted_from_those_before_it():
    chosen = choose(TABLE, 3, 9, seed=1)
    assert (chosen.tokens[:, 0] == BOS).all()
    np.testing.assert_array_equal(chosen.tokens[:, 1:], chosen.labels[:, :-1])
    first = [100 * int(document[1:]) for document in chosen.documents]
    np.testing.assert_array_equal(chosen.labels, np.array(first)[:, None] + np.arange(9))


def test_truncated_is_of_the_same_documents_in_every_domain():
    chosen = choose(TABLE, 6, 9, seed=1)
    part = chosen.truncate(2, 4)
    assert part.documents == chosen.documents[:2] + chosen.documents[6:8]
    assert part.domains == ["a", "a", "b", "b"]
    np.testing.assert_array_equal(part.labels, chosen.labels[[0, 1, 6, 7], :4])
    np.testing.assert_array_equal(part.tokens, chosen.tokens[[0, 1, 6, 7], :4])
    of_one, alone = part.of("b"), chosen.of("b").truncate(2, 4)
    assert of_one.documents == alone.documents == chosen.documents[6:8]


def test_truncated_is_what_is_chosen_of_fewer_and_shorter_documents():
    long = table({domain: [20] * 12 for domain in ("a", "b")})
    part, chosen = choose(long, 6, 9, seed=1).truncate(3, 5), choose(long, 3, 5, seed=1)
    assert (part.domains, part.documents) == (chosen.domains, chosen.documents)
    np.testing.assert_array_equal(part.tokens, chosen.tokens)
    np.testing.assert_array_equal(part.labels, chosen.labels)


def test_columns_name_each_token_document_by_document():
    columns = choose(TABLE, 2, 5, seed=1).columns()
    assert list(columns["domain"]) == ["a"] * 10 + ["b"] * 10
    assert list(columns["position"]) == [0, 1, 2, 3, 4] * 4
    assert len(set(columns["document"][:5])) == 1 and len(set(columns["document"])) == 4


def test_too_few_documents_is_one_clear_error():
    few = table({"a": [20, 20, 20, 4, 4, 4, 4, 4, 4]})
    message = r"domain 'a': 4 test documents of at least 10 tokens are asked for, but it has 3 \(of 9\); ask for "
    with pytest.raises(InputError, match=message):
        choose(few, 4, 10, seed=1)


LENGTHS = [3, 9, 12, 10, 4, 30]


def packed() -> np.ndarray:
    """Rows of 8 tokens of documents of LENGTHS tokens behind the BOS token; document i counts from 100 (i + 1)."""
    ids = np.concatenate([[BOS, *range(100 * i, 100 * i + length)] for i, length in enumerate(LENGTHS, 1)])
    return np.lib.stride_tricks.sliding_window_view(ids, 9)[::8]


def test_from_packed_finds_the_beginnings_of_packed_documents():
    """Across the rows that they are cut into; documents that are too short, or whose end is cut off, are none of
    them.
    """
    found = from_packed("a", packed(), BOS, 3, 9, seed=1, split="train")
    assert set(found.documents) <= {"1", "2", "3", "5"} and len(set(found.documents)) == 3
    assert (found.tokens[:, 0] == BOS).all() and found.labels.shape == (3, 9)
    np.testing.assert_array_equal(found.tokens[:, 1:], found.labels[:, :-1])
    first = [100 * (int(document) + 1) for document in found.documents]
    np.testing.assert_array_equal(found.labels, np.array(first)[:, None] + np.arange(9))
    drawn = [from_packed("a", packed(), BOS, 3, 9, seed, "train").documents for seed in (1, 1, 2, 3, 4)]
    assert found.documents == drawn[0] == drawn[1] and any(other != drawn[0] for other in drawn)


def test_too_few_packed_documents_are_one_error():
    message = r"domain 'a': 5 train documents of at least 9 tokens are asked for, but it has 4 \(of 6\); ask for fewer"
    with pytest.raises(InputError, match=message):
        from_packed("a", packed(), BOS, 5, 9, seed=1, split="train")


def test_bos_id_is_what_every_document_begins_with():
    assert bos_id(TABLE) == bos_id(TABLE.select(["tokens"])) == BOS
