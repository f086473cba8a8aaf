"""A domain whose difficulty is known by construction: does a token's loss, its gap, or the gap freed of luck recover
it?

A sequence is the mark, then blocks of one copy, one sum and one run of noise each, in random order:

| copy  | COPY, LETTERS random letters, AGAIN, the same letters             |
| sum   | SUM, the DIGITS columns of two numbers, EQUALS, the sum's digits  |
| noise | NOISE, LETTERS random letters                                     |

A column is one token for two digits, one of each number, as they stand above each other on paper; the sum has as many
digits, any more are left out. Digits are those of base BASE, the highest first, so a carry comes from what is written
later: the digit of a column is known only with the nearest column on its right that is no pass, one whose two digits
make BASE - 1 and hand a carry on. To make long chains common, a column is a pass with chance PASS, else its second
digit is uniform over the others; its first digit, and letters, are uniform.

The difficulty of a token is how much must be looked up to know it: 0 where nothing helps or the place in the sequence
says it, 1 for a letter that is copied, 2 for a sum's digit, and 1 more for every other column that its carry depends
on (`carry_columns`). Its entropy, that of the chance it is drawn with given all before it, is known as well: no
model's mean loss can be below it.
"""

import math
from itertools import permutations

import numpy as np

from duo.data.evaluation_set import Sample
from duo.seeds import stream

NAME = "synthetic"  # of the domain and of its model
BASE, DIGITS, PASS = 4, 6, 0.5
ALPHABET, LETTERS = 16, 8  # letters there are, and letters of a string
SUM_STEPS = 2  # difficulty of a digit without a carry
MARK, COPY, SUM, NOISE, AGAIN, EQUALS = range(6)
FIRST_DIGIT = EQUALS + 1
FIRST_COLUMN = FIRST_DIGIT + BASE
FIRST_LETTER = FIRST_COLUMN + BASE**2
VOCABULARY = FIRST_LETTER + ALPHABET
KINDS = ("structure", "noise", "column", "copy", "sum")
TOKEN = np.dtype(
    [("id", np.uint16), ("kind", np.uint8), ("difficulty", np.uint8), ("entropy", np.float32)]
)  # kind: index in KINDS

_LENGTHS = (2 + 2 * LETTERS, 2 + 2 * DIGITS, 1 + LETTERS)  # of copy, sum and noise
BLOCK = sum(_LENGTHS)
_SEGMENTS = np.split(np.arange(BLOCK), np.cumsum(_LENGTHS)[:-1])
_ORDERS = np.array(
    [np.concatenate(order) for order in permutations(_SEGMENTS)]
)  # [orders, BLOCK] places of a block's tokens
_DRAWS = (1, LETTERS, LETTERS, DIGITS, DIGITS, DIGITS)  # uniform numbers that a block is made of


def draw(count: int, length: int, seed: int, split: str) -> np.ndarray:
    """[count, length] of TOKEN: sequences of a split; a smaller count or length gives the beginning of a larger one."""
    streams = (stream(seed, NAME, split, index) for index in range(count))
    blocks = math.ceil((length - 1) / BLOCK)
    uniform = np.array([stream.random((blocks, sum(_DRAWS))) for stream in streams])
    mark = _tokens(np.full((count, 1), MARK), "structure")
    return np.concatenate([mark, _blocks(uniform).reshape(count, -1)], axis=1)[:, :length]


def _blocks(uniform: np.ndarray) -> np.ndarray:
    """[..., BLOCK] of TOKEN from numbers [..., draws] uniform between 0 and 1."""
    order, copied, noise, *digits = np.split(uniform, np.cumsum(_DRAWS)[:-1], axis=-1)
    tokens = np.concatenate([_copy(copied), _sum(*digits), _noise(noise)], axis=-1)
    tokens = np.take_along_axis(tokens, _ORDERS[_below(len(_ORDERS), order[..., 0])], axis=-1)
    starts = np.isin(tokens["id"], (COPY, SUM, NOISE))
    left = len(_SEGMENTS) + 1 - starts.cumsum(axis=-1)  # segments of the block that may come, at a start
    tokens["entropy"][starts] = np.log(left[starts])
    return tokens


def _copy(uniform: np.ndarray) -> np.ndarray:
    letters = FIRST_LETTER + _below(ALPHABET, uniform)
    first, second = _tokens(letters, "noise", entropy=math.log(ALPHABET)), _tokens(letters, "copy", 1)
    return _joined(COPY, first, AGAIN, second)


def _noise(uniform: np.ndarray) -> np.ndarray:
    return _joined(NOISE, _tokens(FIRST_LETTER + _below(ALPHABET, uniform), "noise", entropy=math.log(ALPHABET)))


def _sum(first: np.ndarray, passing: np.ndarray, other: np.ndarray) -> np.ndarray:
    first, passing = _below(BASE, first), passing < PASS
    second = (BASE - 1 - first + np.where(passing, 0, 1 + _below(BASE - 1, other))) % BASE
    powers = BASE ** np.arange(DIGITS - 1, -1, -1)
    total = ((first + second) * powers).sum(axis=-1, keepdims=True) // powers % BASE
    entropy = math.log(BASE) - PASS * math.log(PASS) - (1 - PASS) * math.log((1 - PASS) / (BASE - 1))
    columns = _tokens(FIRST_COLUMN + BASE * first + second, "column", entropy=entropy)
    return _joined(SUM, columns, EQUALS, _tokens(FIRST_DIGIT + total, "sum", SUM_STEPS + carry_columns(first, second)))


def carry_columns(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """[..., digits] how many columns but its own must be read to know the carry into each column of first + second,
    highest first.

    These are the passes on its right and the column after them, if there is one. But a pass that isn't the highest
    column hands on what comes in, which the column on its left shows, as its digit of the sum is written before: 1.
    """
    passing = first + second == BASE - 1
    columns = np.zeros(first.shape, np.int64)
    for column in range(first.shape[-1] - 2, -1, -1):
        columns[..., column] = 1 + passing[..., column + 1] * columns[..., column + 1]
    shown = passing.copy()
    shown[..., 0] = False
    return np.where(shown, np.minimum(columns, 1), columns)


def _below(limit: int, uniform: np.ndarray) -> np.ndarray:
    """Whole numbers from 0 to limit - 1, each as likely."""
    return (uniform * limit).astype(np.int64)


def _tokens(ids: np.ndarray, kind: str, steps: np.ndarray | int = 0, entropy: float = 0.0) -> np.ndarray:
    """Tokens of one kind, of the shape of ids, as TOKEN."""
    tokens = np.empty(ids.shape, TOKEN)
    tokens["id"], tokens["kind"], tokens["difficulty"], tokens["entropy"] = ids, KINDS.index(kind), steps, entropy
    return tokens


def _joined(*parts: np.ndarray | int) -> np.ndarray:
    """Parts one after the other; an id is one token of structure."""
    shape = next(part.shape[:-1] for part in parts if isinstance(part, np.ndarray))
    arrays = [
        part if isinstance(part, np.ndarray) else _tokens(np.full((*shape, 1), part), "structure") for part in parts
    ]
    return np.concatenate(arrays, axis=-1)


def held_out(count: int, length: int, seed: int) -> tuple[np.ndarray, Sample]:
    """Sequences that no training sees, [count, length + 1] of TOKEN, and the sample that they make."""
    sequences = draw(count, length + 1, seed, "test")
    ids = sequences["id"].astype(np.int64)
    return sequences, Sample([NAME] * count, [str(index) for index in range(count)], ids[:, :-1], ids[:, 1:])
