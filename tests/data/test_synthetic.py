"""The synthetic domain is what its description says."""

import numpy as np
import pytest

from duo.data import synthetic
from duo.data.synthetic import BASE, BLOCK, DIGITS, FIRST_COLUMN, FIRST_DIGIT, FIRST_LETTER, KINDS, LETTERS

COUNT, LENGTH = 400, 2 * BLOCK + 1


@pytest.fixture(scope="module")
def sequences() -> np.ndarray:
    return synthetic.draw(COUNT, LENGTH, seed=1, split="test")


def after(sequences: np.ndarray, start: int, count: int) -> np.ndarray:
    """[segments, count] of TOKEN: what follows every token with this id."""
    rows, columns = np.nonzero(sequences["id"] == start)
    return sequences[rows[:, None], columns[:, None] + np.arange(1, count + 1)]


def split(columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The digits of both numbers in columns of TOKEN."""
    return np.divmod(columns["id"].astype(int) - FIRST_COLUMN, BASE)


def kinds(tokens: np.ndarray) -> set[str]:
    return {KINDS[kind] for kind in np.unique(tokens["kind"])}


@pytest.mark.parametrize(
    ("first", "second", "columns"),
    [
        ([0, 1, 0, 2], [1, 0, 0, 3], [1, 1, 1, 0]),  # no pass: every carry comes from the next column
        (
            [0, 1, 2, 0],
            [1, 2, 1, 1],
            [3, 1, 1, 0],
        ),  # two passes before the lowest column, which shows what they hand on
        ([3, 0, 1, 2], [0, 3, 2, 1], [3, 1, 1, 0]),  # passes alone: all of them must be read, and nothing comes in
        (
            [3, 3, 1, 1],
            [0, 3, 2, 1],
            [1, 2, 1, 0],
        ),  # the highest digit may be a pass: nothing on its left shows what comes in
    ],
)
def test_carry_columns_by_hand(first, second, columns):
    assert synthetic.carry_columns(np.array(first), np.array(second)).tolist() == columns


def test_carry_columns_are_all_that_is_needed():
    """Whatever stands in other columns: the digit is the same, where no column on its left shows it."""
    rng = np.random.default_rng(0)
    powers = BASE ** np.arange(DIGITS - 1, -1, -1)
    first, second = rng.integers(BASE, size=(2, 300, DIGITS))
    second = np.where(rng.random(second.shape) < 0.5, BASE - 1 - first, second)
    columns, passes = synthetic.carry_columns(first, second), first + second == BASE - 1

    def total(one, other):
        return ((one + other) * powers).sum(axis=-1, keepdims=True) // powers % BASE

    written = total(first, second)
    carried = (written - first - second) % BASE  # into each column
    np.testing.assert_array_equal(
        carried[:, 1:][passes[:, 1:]], carried[:, :-1][passes[:, 1:]]
    )  # the column on the left shows it
    for _ in range(20):
        noise = rng.integers(BASE, size=(2, *first.shape))
        for place in range(DIGITS):
            shown = passes[:, place] & (place > 0)
            further = np.arange(DIGITS) > place + columns[:, place, None]
            one, other = (np.where(further, new, old) for new, old in zip(noise, (first, second), strict=True))
            assert (total(one, other)[:, place] == written[:, place])[~shown].all()
            longer = np.flatnonzero(
                (columns[:, place] > 1) & ~shown
            )  # one column less isn't enough: what comes into a pass decides
            assert passes[longer, place + columns[longer, place] - 1].all()


def test_a_copy_repeats_its_string_and_sums_are_right(sequences):
    string = after(sequences, synthetic.COPY, 2 * LETTERS + 1)
    first, second = string[:, :LETTERS], string[:, LETTERS + 1 :]
    np.testing.assert_array_equal(first["id"], second["id"])
    assert (
        (string["id"][:, LETTERS] == synthetic.AGAIN).all() and kinds(first) == {"noise"} and kinds(second) == {"copy"}
    )
    assert (second["difficulty"] == 1).all() and (second["entropy"] == 0).all()
    columns, equals, digits = np.split(after(sequences, synthetic.SUM, 2 * DIGITS + 1), [DIGITS, DIGITS + 1], axis=1)
    assert kinds(columns) == {"column"} and (equals["id"] == synthetic.EQUALS).all() and kinds(digits) == {"sum"}
    first, second = split(columns)
    powers = BASE ** np.arange(DIGITS - 1, -1, -1)
    numbers = [(each * powers).sum(axis=1) for each in (first, second, digits["id"] - FIRST_DIGIT)]
    np.testing.assert_array_equal((numbers[0] + numbers[1]) % BASE**DIGITS, numbers[2])
    expected = 2 + synthetic.carry_columns(first, second)
    np.testing.assert_array_equal(digits["difficulty"], expected)
    assert set(np.unique(expected)) == set(range(2, 2 + DIGITS))


def test_noise_is_uniform_and_every_block_has_one_of_each(sequences):
    noise = sequences[sequences["kind"] == KINDS.index("noise")]
    shares = np.bincount(noise["id"] - FIRST_LETTER) / len(noise)
    assert shares == pytest.approx(1 / synthetic.ALPHABET, abs=0.01)
    assert (noise["difficulty"] == 0).all()
    starts = np.array([row[np.isin(row, (synthetic.COPY, synthetic.SUM, synthetic.NOISE))] for row in sequences["id"]])
    blocks = starts.reshape(-1, 3)
    assert (np.sort(blocks) == [synthetic.COPY, synthetic.SUM, synthetic.NOISE]).all() and len(
        np.unique(blocks, axis=0)
    ) == 6
    assert (sequences["id"][:, 0] == synthetic.BOS).all() and sequences["id"].max() < synthetic.VOCABULARY


def test_entropy_is_that_of_what_is_drawn(sequences):
    """Of each kind that chance draws, the empirical entropy given what is known before it."""
    columns = after(sequences, synthetic.SUM, DIGITS)
    shares = np.bincount(columns["id"].ravel() - FIRST_COLUMN) / columns.size
    assert columns["entropy"] == pytest.approx(-(shares * np.log(shares)).sum(), abs=0.01)
    starts = sequences["entropy"][np.isin(sequences["id"], (synthetic.COPY, synthetic.SUM, synthetic.NOISE))]
    assert starts.reshape(-1, 3) == pytest.approx(np.tile(np.log([3, 2, 1]), (len(starts) // 3, 1)))
    assert (sequences["entropy"][sequences["kind"] == KINDS.index("sum")] == 0).all()


def test_sequences_follow_seed_and_split_alone(sequences):
    again = synthetic.draw(COUNT // 4, LENGTH - 30, seed=1, split="test")
    np.testing.assert_array_equal(again, sequences[: COUNT // 4, : LENGTH - 30])
    others = [synthetic.draw(COUNT, LENGTH, 1, "train")["id"], synthetic.draw(COUNT, LENGTH, 2, "test")["id"]]
    mine = {row.tobytes() for row in sequences["id"]}
    assert len(mine) == COUNT and not any(row.tobytes() in mine for other in others for row in other)


def test_the_held_out_evaluation_set_predicts_all_but_the_bos_token(sequences):
    known, sample = synthetic.held_out(3, LENGTH - 1, seed=1)
    np.testing.assert_array_equal(known, sequences[:3])
    np.testing.assert_array_equal(sample.tokens, sequences["id"][:3, :-1])
    np.testing.assert_array_equal(sample.labels, sequences["id"][:3, 1:])
    assert sample.domains == ["synthetic"] * 3 and sample.documents == ["0", "1", "2"]


def test_true_chances_are_those_that_tokens_come_by():
    """Their entropy is the token's, the tokens have them, and over many sequences each word is as frequent as said."""
    sequences = synthetic.draw(400, 130, 3, "test")
    chances = synthetic.chances(sequences)
    np.testing.assert_allclose(chances.sum(-1), 1, rtol=1e-5)
    with np.errstate(divide="ignore", invalid="ignore"):
        entropy = -np.where(chances > 0, chances * np.log(chances), 0).sum(-1)
    np.testing.assert_allclose(entropy, sequences["entropy"], atol=1e-5)
    own = np.take_along_axis(chances, sequences["id"].astype(np.int64)[..., None], -1)[..., 0]
    assert (own > 0).all()
    seen = np.bincount(sequences["id"].ravel(), minlength=synthetic.VOCABULARY)
    expected = chances.sum((0, 1))
    assert (np.abs(seen - expected) < 4 * np.sqrt(expected) + 1e-3).all()
    # Of the tokens that a chance of a half is given to, half come.
    halves = np.abs(chances - 0.5) < 1e-6
    came = np.eye(synthetic.VOCABULARY, dtype=bool)[sequences["id"]][halves]
    assert 0.47 < came.mean() < 0.53 and len(came) > 1000


def test_a_shorter_sequence_has_the_same_chances():
    sequences = synthetic.draw(5, 90, 3, "test")
    np.testing.assert_array_equal(synthetic.chances(sequences[:, :50]), synthetic.chances(sequences)[:, :50])
