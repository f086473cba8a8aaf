"""Small, big or skip: the streamed reduction against all losses at once."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from models import DEVICE, TINY, brute_force, make, random_tokens

from duo.data.evaluation_set import EvaluationSet
from duo.errors import InputError
from duo.oracle import three_way
from duo.oracle.three_way import CHOICES
from duo.oracle.tree import Enumerator
from duo.routes import RouteSpace
from duo.tables.oracle import THREE_WAY
from duo.terms import BIG, SKIP

SPACE = RouteSpace(4, CHOICES)
SAMPLE = EvaluationSet(
    ["text"] * 3,
    ["d0", "d1", "d2"],
    ["d0", "d1", "d2"],
    random_tokens(3, 5).numpy(),
    random_tokens(3, 5, seed=1).numpy(),
)
PAIRS = [(big, skip) for big in range(5) for skip in range(5 - big)]


def cells_of(losses: np.ndarray, chunk: int) -> three_way.Cells:
    cells = three_way.Cells(SPACE, losses.shape[1])
    for start in range(0, len(SPACE), chunk):
        codes = np.arange(start, min(start + chunk, len(SPACE)))
        cells.add(codes, losses[codes])
    return cells


@pytest.mark.parametrize("skip", ["ffn", "layer"])
def test_tree_equals_brute_force(skip):
    """Minimum, route, sum and count of every cell of every token, from losses that were never there together."""
    duo = make(replace(TINY, layers=4))
    tokens, labels = random_tokens(3, 5), random_tokens(3, 5, seed=1)
    expected = brute_force(duo, SPACE, tokens, labels[None], skip)[0].flatten(0, 1).T.numpy()
    cells = three_way.enumerate_routes(Enumerator(duo, SPACE, DEVICE, 150, skip), SAMPLE)
    assert list(zip(cells.big, cells.skip, strict=True)) == PAIRS
    assert cells.count.sum() == 81
    for row, (big, skipped) in enumerate(PAIRS):
        codes = np.flatnonzero((SPACE.counts(BIG) == big) & (SPACE.counts(SKIP) == skipped))
        assert cells.count[row] == len(codes)
        np.testing.assert_allclose(cells.lowest[row], expected[codes].min(axis=0), rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(cells.sum[row], expected[codes].sum(axis=0), rtol=1e-4, atol=1e-5)
        np.testing.assert_array_equal(cells.route[row], codes[expected[codes].argmin(axis=0)])


@pytest.mark.parametrize("chunk", [1, 7, 81])
def test_ties_go_to_the_lowest_code_whatever_the_chunks(chunk):
    losses = np.random.default_rng(0).integers(1, 4, (81, 6)).astype(np.float32)
    cells = cells_of(losses, chunk)
    for row, (big, skip) in enumerate(PAIRS):
        codes = np.flatnonzero((SPACE.counts(BIG) == big) & (SPACE.counts(SKIP) == skip))
        np.testing.assert_array_equal(cells.route[row], codes[losses[codes].argmin(axis=0)])
        np.testing.assert_array_equal(cells.lowest[row], losses[codes].min(axis=0))
        np.testing.assert_array_equal(cells.sum[row], losses[codes].sum(axis=0))


@pytest.fixture
def table(tmp_path, monkeypatch) -> pa.Table:
    """THREE_WAY as written and read, of losses in which every big layer takes off 1, every skipped one adds 2, and
    noise up to 0.1.
    """
    monkeypatch.chdir(tmp_path)
    noise = np.random.default_rng(0).random((81, 15)).astype(np.float32) / 10
    losses = 10 - SPACE.counts(BIG)[:, None] + 2 * SPACE.counts(SKIP)[:, None] + noise
    THREE_WAY.write(three_way.table("duo", SAMPLE, cells_of(losses.astype(np.float32), 9)), domain="text")
    return THREE_WAY.read(domain="text")


def test_table_has_a_row_a_token_and_cell(table):
    assert len(table) == 15 * len(PAIRS)
    rows = table.slice(7 * len(PAIRS), len(PAIRS)).to_pylist()
    assert {(row["document"], row["position"]) for row in rows} == {("d1", 2)}
    for row in rows:
        digits = SPACE.digits[row["oracle_route"]]
        assert [(digits == SPACE.choices.index(choice)).sum() for choice in (BIG, SKIP)] == [row["big"], row["skip"]]
        assert row["oracle_loss"] <= row["loss_sum"] / row["routes"] + 1e-5


def test_a_loss_that_is_not_finite_is_one_error():
    losses = np.ones((81, 15), np.float32)
    losses[40, 6] = np.nan
    with pytest.raises(InputError, match="model duo, document d1: a loss is not finite"):
        three_way.table("duo", SAMPLE, cells_of(losses, 9))
