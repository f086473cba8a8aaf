"""Difficulty on made-up losses: what is planted comes out, and only that."""

import logging

import numpy as np
import pyarrow as pa
import pytest
from made_up import tabled
from scipy.stats import spearmanr

from duo.data import tokenizer as tokens
from duo.errors import InputError
from duo.stats import Intervals, Statistic
from duo.studies import difficulty
from duo.studies.difficulty import (
    LINE_STARTS,
    LOSS_GAP_RANK,
    WITHOUT_GAIN,
    WITHOUT_GAIN_ALL_BIG,
    ClassMean,
    TokenDifficulty,
    line_start,
)
from duo.tables.studies import DIFFICULTY, DIFFICULTY_CLASSES, DIFFICULTY_HISTOGRAM, DIFFICULTY_STATISTICS, PASSAGES

TIME = 24
PROSE = "There is one\nline after another. 日本 "
CODE = "def f(x):\n    return x + 'é'\n\n\nfor y in z:\n    g(y)\n"


@pytest.fixture(scope="module")
def tokenizer():
    return tokens.train([PROSE * 3, CODE * 3], 290)


def selections(losses: dict[str, np.ndarray]) -> pa.Table:
    """SELECTIONS' columns of the model `duo`, and others of another model; losses [documents, time] by domain;
    documents out of order.
    """
    rows = []
    for model in ("other", "duo"):
        for domain, values in losses.items():
            for document in reversed(range(len(values))):
                for position, value in enumerate(values[document]):
                    name = f"{domain}{document}"
                    row = {"model": model, "domain": domain, "document": name, "cluster": name, "position": position}
                    rows.append(row | {"oracle_loss": np.float32(value if model == "duo" else -1)})
    return pa.Table.from_pylist(rows)


def documents(texts: dict[str, str]) -> pa.Table:
    """DOCUMENTS' columns."""
    count = len(texts)
    return pa.table(
        {
            "id": list(texts),
            "text": list(texts.values()),
            "source": ["a book: someone"] * count,
            "licence": ["MIT"] * count,
        }
    )


def table(
    classes: np.ndarray,
    line_starts: np.ndarray,
    small: np.ndarray,
    oracle: np.ndarray,
    big: np.ndarray | None = None,
    together: int = 1,
) -> pa.Table:
    """DIFFICULTY of arrays [documents, time]; so many documents in a row make a cluster."""
    count, time = small.shape
    columns = {
        "document": np.repeat([f"d{index}" for index in range(count)], time),
        "cluster": np.repeat([f"c{index // together}" for index in range(count)], time),
        "position": np.tile(np.arange(time), count),
    }
    columns |= {
        "class": classes.ravel(),
        "line_start": line_starts.ravel(),
        "all_small": small.ravel(),
        "oracle": oracle.ravel(),
    }
    columns |= {"all_big": (oracle if big is None else big).ravel(), "gap": (small - oracle).ravel()}
    return pa.table({"model": ["duo"] * small.size, "domain": ["code"] * small.size} | columns)


def planted(documents: int = 8, time: int = 40) -> tuple[TokenDifficulty, Intervals]:
    """Line starts, one in four: loss 6, gap 0.3. Names: loss 3, gap 2. All with noise."""
    rng = np.random.default_rng(0)
    line_starts = np.tile(np.arange(time) % 4 == 0, (documents, 1))
    small = np.where(line_starts, 6, 3) + rng.uniform(-0.1, 0.1, line_starts.shape)
    oracle = small - np.where(line_starts, 0.3, 2)
    domain = TokenDifficulty(table(np.where(line_starts, "keyword", "name"), line_starts, small, oracle))
    return domain, domain.intervals(200, 0.95, 1)


def test_planted_line_starts_and_classes_come_out():
    domain, found = planted()
    assert found[line_start("loss")].value == pytest.approx(3, abs=0.05) and found[line_start("loss")].low > 2.9
    assert found[line_start("gap")].value == pytest.approx(-1.7) and found[line_start("gap")].high < -1.6
    assert found[line_start("relative_gap")].value == pytest.approx(0.3 / 6 - 2 / 3, abs=0.01)
    mean_loss, mean_gap = 0.25 * 6 + 0.75 * 3, 0.25 * 0.3 + 0.75 * 2
    expected = min((6 - 3) / mean_loss, (2 / 3 - 0.3 / 6) / (mean_gap / mean_loss))
    assert found[LINE_STARTS].value == pytest.approx(expected, abs=0.02)
    assert found[WITHOUT_GAIN].value == 1  # the highest fifth of losses are line starts, whose gap is a twentieth
    assert found[LOSS_GAP_RANK].high < 0
    rows = tabled(DIFFICULTY_CLASSES, (domain, found)).to_pylist()
    assert [(row["class"], row["tokens"]) for row in rows] == [("keyword", 80), ("name", 240)]
    for row, (loss, gap) in zip(rows, [(6, 0.3), (3, 2)], strict=True):
        assert row["loss_low"] <= row["loss"] <= row["loss_high"] and row["loss"] == pytest.approx(loss, abs=0.05)
        assert row["gap"] == pytest.approx(gap)


def test_line_starts_are_compared_with_context_alone():
    """In the first 64 positions they have ten times the loss: headers, which nothing before them could tell."""
    documents, time = 6, 160
    line_starts = np.tile(np.arange(time) % 4 == 0, (documents, 1))
    header = line_starts & (np.arange(time) < 64)
    small = np.where(header, 30.0, np.where(line_starts, 4.0, 3.0))
    oracle = small - np.where(line_starts, 1.0, 1.5)
    found = TokenDifficulty(table(np.full(small.shape, "name"), line_starts, small, oracle)).intervals(100, 0.95, 1)
    assert found[line_start("loss")].value == pytest.approx(1.0)
    relative = {"lines": 1 / 4, "rest": 1.5 / 3, "all": (0.25 * 1 + 0.75 * 1.5) / (0.25 * 4 + 0.75 * 3)}
    expected = min(1 / 3.25, (relative["rest"] - relative["lines"]) / relative["all"])
    assert found[LINE_STARTS].value == pytest.approx(expected)


def test_line_starts_that_are_as_hard_as_they_are_helped_are_no_exception():
    documents, time = 8, 64
    line_starts = np.tile(np.arange(time) % 4 == 0, (documents, 1))
    small = np.where(line_starts, 6.0, 3.0)
    found = TokenDifficulty(table(np.full(small.shape, "name"), line_starts, small, small / 2)).intervals(100, 0.95, 1)
    assert found[LINE_STARTS].value == pytest.approx(0)  # twice the loss, and the same share of it is gained


def test_documents_of_a_cluster_are_drawn_together():
    small = np.arange(1.0, 41).reshape(8, 5)
    study = TokenDifficulty(table(np.full(small.shape, "name"), small < 0, small, small / 2, together=4))
    assert study.clusters == 2
    assert study.numbers(np.array([[2.0, 0.0]]))[ClassMean("loss", "name")] == pytest.approx(small[:4].mean())


def test_no_gain_is_a_gap_below_a_tenth_of_a_high_loss():
    small = np.tile(np.linspace(1, 10, 50), (6, 1))  # the ten highest are high
    none = np.tile(np.arange(50) % 2 == 0, (6, 1))
    oracle, big = small - np.where(none, 0.05, 0.5) * small, small + 1.0
    found = TokenDifficulty(table(np.full(small.shape, "name"), none, small, oracle, big)).intervals(100, 0.95, 1)
    assert found[WITHOUT_GAIN] == pytest.approx((0.5, 0.5, 0.5))
    assert found[WITHOUT_GAIN_ALL_BIG].value == 1


def test_rank_correlation_is_spearman_s():
    rng = np.random.default_rng(1)
    small = rng.gamma(2, 2, (6, 30)).round(1)  # with ties
    oracle = small * rng.uniform(0, 1, small.shape).round(1)
    found = TokenDifficulty(table(np.full(small.shape, "name"), small < 0, small, oracle)).intervals(300, 0.95, 1)
    assert found[LOSS_GAP_RANK].value == pytest.approx(spearmanr(small.ravel(), (small - oracle).ravel()).statistic)
    assert found[LOSS_GAP_RANK].low < found[LOSS_GAP_RANK].value < found[LOSS_GAP_RANK].high


def test_what_too_few_documents_have_is_left_out():
    small = np.random.default_rng(2).gamma(2, 2, (8, 10))
    classes, line_starts = np.full(small.shape, "name", dtype="<U10"), np.zeros(small.shape, bool)
    classes[:4, 0], line_starts[:4, 1] = "number", True
    domain = TokenDifficulty(table(classes, line_starts, small, small / 2))
    found = domain.intervals(100, 0.95, 1)
    assert {key for key in found if isinstance(key, Statistic)} == {LOSS_GAP_RANK, WITHOUT_GAIN, WITHOUT_GAIN_ALL_BIG}
    assert tabled(DIFFICULTY_CLASSES, (domain, found))["class"].to_pylist() == ["name"]


def test_a_replicate_without_a_class_takes_the_sample_s_mean():
    classes = np.array([["number"] * 2 + ["name"] * 2] * 5 + [["name"] * 4] * 3)
    small = np.arange(32.0).reshape(8, 4)
    domain = TokenDifficulty(table(classes, classes == "none", small, small / 2))
    weights = np.array([[0.0] * 5 + [1, 1, 6], [1.0] * 8])
    assert domain.numbers(weights)[ClassMean("loss", "number")].tolist() == [small[:5, :2].mean()] * 2


def test_histogram_counts_every_token_once():
    domain, found = planted()
    cells = tabled(DIFFICULTY_HISTOGRAM, (domain, found)).to_pylist()
    assert sum(cell["tokens"] for cell in cells) == 8 * 40
    for cell in cells:
        inside = (domain.loss >= cell["loss"]) & (domain.loss < cell["loss"] + cell["width"])
        inside &= (domain.gap >= cell["gap"]) & (domain.gap < cell["gap"] + cell["width"])
        assert inside.sum() == cell["tokens"] > 0


def test_tokens_are_the_first_model_s_in_order():
    small, big, oracle = (
        {"text": np.full((3, 2), 1.0), "code": np.arange(6.0).reshape(3, 2) + add} for add in (5, 3, 1)
    )
    found = difficulty.token_losses("duo", "code", *map(selections, (small, big, oracle)))
    assert found["document"].to_pylist() == ["code0", "code0", "code1", "code1", "code2", "code2"]
    assert found["position"].to_pylist() == [0, 1] * 3
    assert found["all_small"].to_pylist() == [5, 6, 7, 8, 9, 10] and found["all_big"].to_pylist() == [3, 4, 5, 6, 7, 8]
    assert found["gap"].to_pylist() == [4] * 6


def test_other_labels_have_the_classes_of_the_true_ones():
    losses = {"text": np.full((2, 3), 1.0), "code": np.arange(6.0).reshape(2, 3)}
    mine, other = (difficulty.token_losses(model, "code", *[selections(losses)] * 3) for model in ("duo", "other"))
    kinds = pa.array(list("abcdef"))
    full = mine.append_column("class", kinds).append_column("line_start", pa.array([True] + [False] * 5))
    elsewhere = full.set_column(1, "domain", pa.array(["text"] * 6))
    shuffled = pa.concat_tables([elsewhere, full]).take(np.random.default_rng(0).permutation(12))
    found = difficulty.as_described(other, shuffled)
    assert found["class"].to_pylist() == list("abcdef") and found["line_start"].to_pylist() == [True] + [False] * 5
    assert set(found["model"].to_pylist()) == {"other"}
    with pytest.raises(InputError, match="domain code: labels at other places"):
        difficulty.as_described(other.slice(1), full)


def described(tokenizer, texts: dict[str, str], language: str | None, start: int = 0):
    losses = {"code": np.random.default_rng(3).gamma(2, 2, (len(texts), TIME))}
    found = difficulty.token_losses("duo", "code", *[selections(losses)] * 3)
    windows = pa.table({"document": list(texts), "start": [start] * len(texts)})
    return *difficulty.describe(found, windows, documents(texts), tokenizer, language), losses["code"]


def test_classes_follow_the_language_and_the_log_counts_what_is_not_of_it(tokenizer, caplog):
    caplog.set_level(logging.INFO)
    texts = {"code1": CODE, "code0": "it isn't '''Python, is it? " + PROSE, "code2": CODE}  # not in order
    found, _, _ = described(tokenizer, texts, "python")
    classes = np.array(found["class"].to_pylist()).reshape(3, TIME)
    assert classes[1].tolist() == classes[2].tolist() and classes[1][0] == "keyword" and "operator" in classes[1]
    assert classes[0][0] == "word start" and "keyword" not in classes[0]
    assert "code: 1 of 3 documents are not python" in caplog.text
    plain, _, _ = described(tokenizer, texts, None)
    assert set(plain["class"].to_pylist()) <= {"word start", "continuation", "punctuation", "digit", "whitespace"}


def test_tokens_are_those_of_the_window(tokenizer):
    """Inside a document, as at its beginning: what stands before the window is known all the same."""
    texts = {"code0": CODE * 3, "code1": "x = 1\n" + CODE * 3}
    whole = described(tokenizer, texts, "python")[1]
    assert len(tokenizer.encode(texts["code0"]).ids) > TIME + 5
    table, inside, _ = described(tokenizer, texts, "python", start=5)
    for name in texts:
        for kind in ("pieces", "classes", "line_starts"):
            assert getattr(inside[name], kind)[: TIME - 5] == getattr(whole[name], kind)[5:]
    assert table["class"].to_pylist() == [kind for name in texts for kind in inside[name].classes]


def test_passage_is_the_beginning_of_a_document_with_its_losses_and_origin(tokenizer, tmp_path, monkeypatch):
    monkeypatch.setattr("duo.tables.files.ROOT", tmp_path)
    texts = {f"code{index}": (CODE if index == 4 else "x" * 40 + "日") for index in range(6)}
    found, kinds, losses = described(tokenizer, texts, None)
    passage = difficulty.passage(found, kinds, documents(texts), 20, seed=1)
    PASSAGES.write([passage])
    assert PASSAGES.read() == [passage]
    assert {key: passage[key] for key in ("domain", "document", "source", "licence")} == {
        "domain": "code",
        "document": "code4",  # the one with line starts
        "source": "a book: someone",
        "licence": "MIT",
    }
    text = "".join(token["text"] for token in passage["tokens"])
    assert len(passage["tokens"]) == 20 and CODE.startswith(text) and "\n    return" in text
    assert [token["loss"] for token in passage["tokens"]] == pytest.approx(losses[4, :20])
    without = {name: "one long line" + "日" * 20 for name in texts}
    found, kinds, _ = described(tokenizer, without, None)
    chosen = {difficulty.passage(found, kinds, documents(without), 20, seed)["document"] for seed in range(20)}
    assert len(chosen) > 1  # by seed


def test_tables_fit_their_schemas(tmp_path, monkeypatch, tokenizer):
    monkeypatch.setattr("duo.tables.files.ROOT", tmp_path)
    found, _, _ = described(tokenizer, {f"code{index}": CODE for index in range(2)}, "python")
    study = TokenDifficulty(found)
    numbers = study.intervals(100, 0.95, 1)
    for table in (DIFFICULTY, DIFFICULTY_HISTOGRAM, DIFFICULTY_CLASSES, DIFFICULTY_STATISTICS):
        table.write(tabled(table, (study, numbers)))
    assert DIFFICULTY.read().to_pydict() == found.select(DIFFICULTY.schema.names).to_pydict()
    assert {"keyword", "name", "operator"} <= set(DIFFICULTY_CLASSES.read()["class"].to_pylist())
    rows = DIFFICULTY_STATISTICS.read().to_pylist()
    assert np.isfinite([row["value"] for row in rows]).all()
    assert len(rows) == 7 == len({row["words"] for row in rows}), "every statistic has words of its own"
