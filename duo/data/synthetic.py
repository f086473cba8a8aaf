"""The synthetic domain, whose difficulty is known by construction.

How hard a token is can't be read off natural text. Here it can, so a measure of difficulty (a token's loss, its gap,
or its gap corrected for selection bias) can be judged by whether it ranks tokens as the construction does.

A sequence is the BOS token, then blocks of one copy, one sum and one run of noise each, in random order:

| copy  | COPY, LETTERS random letters, AGAIN, the same letters             |
| sum   | SUM, the DIGITS columns of two numbers, EQUALS, the sum's digits  |
| noise | NOISE, LETTERS random letters                                     |

A column is one token for two digits, one of each number, as they stand above each other on paper. The sum has as many
digits as the numbers; a carry out of the highest is dropped. Digits are in base BASE, the highest first, so a carry
comes from columns that are written later. A column whose two digits make BASE - 1 is a pass: it hands on whatever
carry comes in. So a digit of the sum is known only once the nearest column on its right that is no pass is read. To
make long chains common, a column is a pass with chance PASS; else its second digit is uniform over the others. Its
first digit is uniform, and so are letters.

The difficulty of a token is how much must be looked up to know it: 0 where nothing helps or where its position says
it, 1 for a copied letter, 2 for a digit of the sum, and 1 more for every other column that its carry depends on
(`carry_columns`). Its entropy given all tokens before it is known as well: no model's mean loss can be lower.
"""

import math
from itertools import permutations

import numpy as np

from duo.data.evaluation_set import EvaluationSet
from duo.seeds import stream

NAME = "synthetic"  # of the domain and of its model
BASE, DIGITS, PASS = 4, 6, 0.5
ALPHABET, LETTERS = 16, 8  # different letters, and letters in a string
SUM_STEPS = 2  # difficulty of a digit without a carry
BOS, COPY, SUM, NOISE, AGAIN, EQUALS = range(6)
FIRST_DIGIT = EQUALS + 1
FIRST_COLUMN = FIRST_DIGIT + BASE
FIRST_LETTER = FIRST_COLUMN + BASE**2
VOCABULARY = FIRST_LETTER + ALPHABET
KINDS = ("structure", "noise", "column", "copy", "sum")
# kind: index in KINDS; entropy: nats
TOKEN = np.dtype([("id", np.uint16), ("kind", np.uint8), ("difficulty", np.uint8), ("entropy", np.float32)])

_LENGTHS = (2 + 2 * LETTERS, 2 + 2 * DIGITS, 1 + LETTERS)  # of copy, sum and noise
BLOCK = sum(_LENGTHS)
_SEGMENTS = np.split(np.arange(BLOCK), np.cumsum(_LENGTHS)[:-1])
# [orders, BLOCK]: which token of an unordered block stands at each position of an ordered one
_ORDERS = np.array([np.concatenate(order) for order in permutations(_SEGMENTS)])
# How many uniform numbers make a block's order, copy, noise, first digits, passes and second digits.
_UNIFORM = (1, LETTERS, LETTERS, DIGITS, DIGITS, DIGITS)


def draw(count: int, length: int, seed: int, split: str) -> np.ndarray:
    """[count, length] of TOKEN: the sequences of a split.

    Each has a random stream of its own, so a smaller count or length gives the beginning of a larger one.
    """
    streams = (stream(seed, NAME, split, index) for index in range(count))
    blocks = math.ceil((length - 1) / BLOCK)
    uniform = np.array([random.random((blocks, sum(_UNIFORM))) for random in streams])
    bos = _tokens(np.full((count, 1), BOS), "structure")
    return np.concatenate([bos, _blocks(uniform).reshape(count, -1)], axis=1)[:, :length]


def _blocks(uniform: np.ndarray) -> np.ndarray:
    """[..., BLOCK] of TOKEN: blocks made of numbers [..., sum(_UNIFORM)] uniform between 0 and 1."""
    order, copied, noise, *digits = np.split(uniform, np.cumsum(_UNIFORM)[:-1], axis=-1)
    tokens = np.concatenate([_copy(copied), _sum(*digits), _noise(noise)], axis=-1)
    tokens = np.take_along_axis(tokens, _ORDERS[_below(len(_ORDERS), order[..., 0])], axis=-1)
    starts = np.isin(tokens["id"], (COPY, SUM, NOISE))
    left = len(_SEGMENTS) + 1 - starts.cumsum(axis=-1)  # at a start, how many segments of the block may come
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
    """How many other columns must be read to know the carry into each column of first + second: [..., digits].

    first, second [..., digits], highest first. To be read are the passes on the column's right and the column after
    them, if there is one. A pass that is not the highest column is easier: the digit on its left is already written
    and shows what carry the pass hands on, so 1 column is enough.
    """
    passing = first + second == BASE - 1
    columns = np.zeros(first.shape, np.int64)
    for column in range(first.shape[-1] - 2, -1, -1):
        columns[..., column] = 1 + passing[..., column + 1] * columns[..., column + 1]
    shown = passing.copy()
    shown[..., 0] = False
    return np.where(shown, np.minimum(columns, 1), columns)


def chances(sequences: np.ndarray) -> np.ndarray:
    """[count, length, VOCABULARY] the true chance of every token given all before it, fp32.

    sequences [count, length] of TOKEN, from their beginning.

    Most tokens are certain. Letters of copies' originals and of noise are uniform, and so is which segment of a block
    comes next among those that have not come; columns are as `_sum` draws them.
    """
    ids, kinds = sequences["id"].astype(np.int64), sequences["kind"]
    found = np.eye(VOCABULARY, dtype=np.float32)[ids]
    found[kinds == KINDS.index("noise")] = _uniform_letters()
    found[kinds == KINDS.index("column")] = _column_chances()
    left = np.ones((len(ids), VOCABULARY), np.float32)  # segments that may begin, where one does
    starts = np.isin(np.arange(VOCABULARY), (COPY, SUM, NOISE))
    for position in range(1, ids.shape[1]):
        if (position - 1) % BLOCK == 0:
            left[:] = starts
        rows = np.flatnonzero(starts[ids[:, position]])
        found[rows, position] = left[rows] / left[rows].sum(axis=1, keepdims=True)
        left[rows, ids[rows, position]] = 0
    return found


def _uniform_letters() -> np.ndarray:
    letters = np.arange(VOCABULARY) >= FIRST_LETTER
    return letters / letters.sum()


def _column_chances() -> np.ndarray:
    """[VOCABULARY] the chance of every column of a sum."""
    first, second = np.divmod(np.arange(BASE**2), BASE)
    given_first = np.where(first + second == BASE - 1, PASS, (1 - PASS) / (BASE - 1))
    found = np.zeros(VOCABULARY)
    found[FIRST_COLUMN : FIRST_COLUMN + BASE**2] = given_first / BASE
    return found


def _below(limit: int, uniform: np.ndarray) -> np.ndarray:
    """Integers from 0 to limit - 1, all equally likely, from numbers uniform between 0 and 1."""
    return (uniform * limit).astype(np.int64)


def _tokens(ids: np.ndarray, kind: str, steps: np.ndarray | int = 0, entropy: float = 0.0) -> np.ndarray:
    """Tokens of one kind, in the shape of ids, as TOKEN."""
    tokens = np.empty(ids.shape, TOKEN)
    tokens["id"], tokens["kind"], tokens["difficulty"], tokens["entropy"] = ids, KINDS.index(kind), steps, entropy
    return tokens


def _joined(*parts: np.ndarray | int) -> np.ndarray:
    """The parts one after the other; a bare id becomes one token of kind structure."""
    shape = next(part.shape[:-1] for part in parts if isinstance(part, np.ndarray))
    arrays = [
        part if isinstance(part, np.ndarray) else _tokens(np.full((*shape, 1), part), "structure") for part in parts
    ]
    return np.concatenate(arrays, axis=-1)


def held_out(count: int, length: int, seed: int, split: str = "test") -> tuple[np.ndarray, EvaluationSet]:
    """Sequences [count, length + 1] of TOKEN of a split, which is not for training, and the evaluation set of them."""
    sequences = draw(count, length + 1, seed, split)
    ids = sequences["id"].astype(np.int64)
    names = [str(index) for index in range(count)]
    return sequences, EvaluationSet([NAME] * count, names, names, ids[:, :-1], ids[:, 1:])
