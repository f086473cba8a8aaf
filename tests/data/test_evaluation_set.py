"""The held-out tokens that every comparison is made on."""

import re
from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from made_up import word_tokenizer

from duo.data import evaluation_set
from duo.data.evaluation_set import GRAM, bos_id, choose, grams_of, grams_of_packed, of_windows, share_in
from duo.errors import InputError
from duo.settings import EvaluationSize

BOS = 7
TOKENIZER = word_tokenizer()


def table(lengths: dict[str, dict[str, list[int]]], vocabulary: int = 250, **texts: list[int]) -> pa.Table:
    """Columns of HELD_OUT: by domain and cluster, documents of random tokens of these lengths behind the BOS token.

    texts: tokens of documents instead, by their names, which tell domain, cluster and number.
    """
    rng, rows = np.random.default_rng(0), []
    for domain, by_cluster in lengths.items():
        for cluster, each in by_cluster.items():
            for index, length in enumerate(each):
                name = f"{domain}_{cluster}_{index}"
                ids = texts.get(name) or rng.integers(8, vocabulary, length).tolist()
                rows.append({"domain": domain, "document": name, "cluster": cluster, "tokens": [BOS, *ids]})
    return pa.Table.from_pylist(rows)


def size(tokens: int = 20, inside: float = 0.5, shared: float = 0.2) -> EvaluationSize:
    return EvaluationSize(documents=2, tokens=tokens, inside=inside, shared=shared)


def chosen(rows: pa.Table, documents: int, options: EvaluationSize, seed: int = 1, trained: np.ndarray | None = None):
    known = grams_of(np.zeros((0, 9), np.int64) if trained is None else trained)
    domains = rows["domain"].unique().to_pylist()
    return choose(rows, dict.fromkeys(domains, known), options, documents, TOKENIZER, seed, "test")


TABLE = table({domain: {name: [90, 60, 41, 25] for name in "pqrst"} for domain in ("a", "b")})


def test_windows_are_tokens_of_their_documents_in_order():
    found = chosen(TABLE, 8, size()).windows
    documents = dict(zip(*(TABLE[name].to_pylist() for name in ("document", "tokens")), strict=True))
    for row in found.to_pylist():
        start = row["start"]
        assert row["tokens"] == documents[row["document"]][start : start + 21]
        assert row["bytes"] == sum(len(TOKENIZER.id_to_token(index)) for index in row["tokens"][1:])
    sample = of_windows(found)
    np.testing.assert_array_equal(sample.tokens[:, 1:], sample.labels[:, :-1])
    assert sample.domains == ["a"] * 8 + ["b"] * 8 and len(set(sample.documents)) == 16


def test_half_of_the_windows_lie_inside_documents_clear_of_their_first_tokens():
    starts = chosen(TABLE, 8, size()).windows["start"].to_pylist()
    assert sum(start == 0 for start in starts) == 8 and all(start == 0 or start >= 20 for start in starts)
    assert not any(chosen(TABLE, 8, size(inside=0.0)).windows["start"].to_pylist())
    assert len(set(starts)) > 5  # a random place


def test_clusters_take_turns():
    rows = table({"a": {"large": [50] * 40, "small": [50] * 2, "middle": [50] * 4}})
    assert Counter(chosen(rows, 3, size()).windows["cluster"].to_pylist()) == {"large": 1, "small": 1, "middle": 1}
    nine = Counter(chosen(rows, 9, size()).windows["cluster"].to_pylist())
    assert nine["small"] == 2 and {nine["large"], nine["middle"]} == {3, 4}
    assert chosen(rows, 9, size()).counts["a"]["clusters"] == 3


@pytest.mark.parametrize("clusters", [4, 5])
@pytest.mark.parametrize("inside", [0.5, 0.25])
def test_every_cluster_gives_beginnings_and_insides(clusters, inside):
    rounds = round(1 / inside)
    rows = table({"a": {f"c{index}": [50] * 8 for index in range(clusters)}})
    windows = chosen(rows, clusters * rounds, size(inside=inside)).windows.to_pylist()
    assert Counter(row["cluster"] for row in windows) == dict.fromkeys([f"c{i}" for i in range(clusters)], rounds)
    assert Counter(row["cluster"] for row in windows if row["start"]) == {f"c{i}": 1 for i in range(clusters)}


def test_fewer_documents_are_the_first_of_more_and_the_seed_decides():
    few, many = (of_windows(chosen(TABLE, documents, size()).windows) for documents in (3, 8))
    assert few.documents == many.documents[:3] + many.documents[8:11]
    assert of_windows(chosen(TABLE, 8, size(), seed=2).windows).documents != many.documents
    shuffled = TABLE.take(np.random.default_rng(0).permutation(len(TABLE)))
    of_a, of_b = (of_windows(chosen(shuffled, 8, size()).windows).of(domain) for domain in ("a", "b"))
    assert of_a.documents + of_b.documents == many.documents  # in whichever order the rows come
    np.testing.assert_array_equal(np.concatenate([of_a.tokens, of_b.tokens]), many.tokens)


def test_what_repeats_training_text_or_another_window_is_passed_over():
    text = np.random.default_rng(1).integers(8, 250, 25).tolist()
    lengths = {"a": {"p": [25, 25, 25], "q": [25, 25], "r": [25]}}
    rows = table(lengths, a_p_0=text, a_q_0=text, a_r_0=text)
    heads = size(inside=0.0)
    found = chosen(rows, 4, heads)
    copies = [row for row in found.windows.to_pylist() if row["tokens"][1:] == text[:20]]
    assert len(copies) == 1 and found.counts["a"]["passed_over_repeated"] == 2
    trained = np.array([[3, *text]])
    found = chosen(rows, 3, heads, trained=trained)
    assert not any(row["tokens"][1:] == text[:20] for row in found.windows.to_pylist())
    assert found.counts["a"]["passed_over_like_training"] == 3
    # With shared at 1 nothing is too like.
    assert len(chosen(rows, 6, size(inside=0.0, shared=1.0), trained=trained).windows) == 6


def test_what_repeats_a_window_of_another_split_is_passed_over():
    text = np.random.default_rng(1).integers(8, 250, 25).tolist()
    judged = chosen(table({"a": {"p": [25]}}, a_p_0=text), 1, size(inside=0.0)).windows
    rows, known = table({"a": {"q": [25] * 3}}, a_q_1=text), {"a": grams_of(np.zeros((0, 9), np.int64))}

    def learned(earlier: list[pa.Table]) -> evaluation_set.Windows:
        return choose(rows, known, size(inside=0.0), 3 - len(earlier), TOKENIZER, 1, "routing", earlier)

    assert "a_q_1" in learned([]).windows["document"].to_pylist()
    assert "a_q_1" not in learned([judged]).windows["document"].to_pylist()
    elsewhere = judged.set_column(0, "domain", pa.array(["b"]))
    assert learned([elsewhere]).counts["a"]["passed_over_repeated"] == 0


def test_runs_across_the_cuts_of_packed_rows_are_known():
    stream = np.random.default_rng(0).integers(8, 10_000, 10 * 16 + 1)
    rows = np.lib.stride_tricks.sliding_window_view(stream, 17)[::16]
    np.testing.assert_array_equal(grams_of_packed(rows), grams_of(stream[None]))
    assert len(grams_of(rows)) < len(grams_of(stream[None]))


def test_share_of_runs_by_brute_force():
    rng = np.random.default_rng(0)
    first, second = rng.integers(0, 3, (1, 400)), rng.integers(0, 3, (6, 500))
    runs = {tuple(row[i : i + GRAM]) for row in first.tolist() for i in range(400 - GRAM + 1)}
    known = {tuple(row[i : i + GRAM]) for row in second.tolist() for i in range(500 - GRAM + 1)}
    assert len(grams_of(first)) == len(runs)
    assert share_in(grams_of(first), grams_of(second)) == pytest.approx(len(runs & known) / len(runs))
    assert 0.2 < len(runs & known) / len(runs) < 0.9
    assert share_in(grams_of(np.zeros((1, GRAM - 1), int)), grams_of(second)) == 0


def test_truncated_is_of_the_same_documents_in_every_domain():
    sample = of_windows(chosen(TABLE, 6, size()).windows)
    part = sample.truncate(2, 4)
    assert part.documents == sample.documents[:2] + sample.documents[6:8]
    assert part.clusters == sample.clusters[:2] + sample.clusters[6:8]
    assert part.domains == ["a", "a", "b", "b"]
    np.testing.assert_array_equal(part.labels, sample.labels[[0, 1, 6, 7], :4])
    np.testing.assert_array_equal(sample.truncate(2).tokens, sample.tokens[[0, 1, 6, 7]])
    of_one, alone = part.of("b"), sample.of("b").truncate(2, 4)
    assert of_one.documents == alone.documents == sample.documents[6:8]


def test_columns_name_each_token_document_by_document():
    columns = of_windows(chosen(TABLE, 2, size(5)).windows).columns()
    assert list(columns["domain"]) == ["a"] * 10 + ["b"] * 10
    assert list(columns["position"]) == [0, 1, 2, 3, 4] * 4
    assert len(set(columns["document"][:5])) == 1 and len(set(columns["document"])) == 4
    assert [name.split("_")[1] for name in columns["document"]] == list(columns["cluster"])


@pytest.mark.parametrize(
    ("lengths", "reason"),
    [
        ([30, 30, 30, 4, 4], "looking for one inside"),
        ([60, 60, 60, 4, 4], r"3 \(it has 5 documents, of which {'short': 2}"),
    ],
)
def test_too_few_documents_is_one_clear_error(lengths, reason):
    few = table({"a": {"p": lengths}})
    message = r"domain 'a': 6 windows of 20 tokens are asked for, but its test split gives"
    with pytest.raises(InputError, match=message) as found:
        chosen(few, 6, size())
    assert re.search(reason, str(found.value))


def test_bos_id_is_what_every_document_begins_with():
    assert bos_id(TABLE) == bos_id(TABLE.select(["tokens"])) == BOS


def test_windows_come_back_from_their_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    windows = chosen(TABLE, 3, size()).windows
    evaluation_set.EVALUATION_SET.write(windows, split="test")
    again, sample = evaluation_set.read("test"), of_windows(windows)
    assert (again.documents, again.clusters) == (sample.documents, sample.clusters)
    np.testing.assert_array_equal(again.labels, sample.labels)
