"""What later stages need of the text, so that too little of it is told before anything is trained.

The counts are bounds: what a stage passes over, such as a window that repeats training text, it tells itself.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from duo.errors import InputError
from duo.settings import Ablation, EvaluationSize

ENDINGS = 4  # of an item of multiple choice, each of another document


class Need(NamedTuple):
    """So many pieces of so many tokens each, of the documents of a split; keys: the params that ask for them."""

    split: str
    tokens: int
    pieces: int
    one_each: bool  # whether a document gives one piece at most
    keys: str

    def of(self, lengths: Sequence[int]) -> int:
        """How many pieces documents of these lengths have, in tokens, BOS included."""
        found = [length // self.tokens for length in lengths]
        return sum(min(each, 1) for each in found) if self.one_each else sum(found)


def training(sequence: int) -> list[Need]:
    """A row of packed tokens to train on, and one to validate on; for domains that are trained on alone."""
    return [Need(split, 1, sequence + 1, False, "tokens.sequence") for split in ("train", "validation")]


def judging(size: EvaluationSize, windows: Mapping[str, tuple[int, str]], items: Ablation, routed: int) -> list[Need]:
    """Of every domain. windows: how many a split gives, and the param that says so; routed: tokens of the routing split
    that the learning curves take.
    """
    needs = []
    for split, (documents, key) in windows.items():
        keys = f"{key} and evaluation_set.tokens"
        needs.append(Need(split, size.tokens + 1, documents, True, keys))
        inside = int(documents * size.inside)
        needs.append(Need(split, 2 * size.tokens + 1, inside, True, f"{keys}, and evaluation_set.inside"))
    item = items.context + items.continuation
    needs.append(Need("test", item, items.items, False, "ablation.items, ablation.context and ablation.continuation"))
    needs.append(Need("test", item, ENDINGS, True, "ablation.context and ablation.continuation"))
    needs.append(Need("routing", 1, routed + 1, False, "learning.tokens"))
    return needs


def check(lengths: Mapping[tuple[str, str], Sequence[int]], trained: Sequence[Need], every: Sequence[Need]) -> None:
    """InputError that names all that is missing, of documents of these lengths by domain and split.

    trained: what domains with a training split need; every: what all need.
    """
    domains = dict.fromkeys(domain for domain, _ in lengths)
    needs = {domain: [*(trained if lengths[domain, "train"] else ()), *every] for domain in domains}
    missing = [
        f"domain {domain!r}: its {need.split} split has {have} {_pieces(need)}, but {need.pieces} are asked for by "
        f"{need.keys}"
        for domain, asked in needs.items()
        for need in asked
        if (have := need.of(lengths[domain, need.split])) < need.pieces
    ]
    if missing:
        raise InputError("\n".join([*missing, "give more text, a larger share to the split, or ask for less"]))


def _pieces(need: Need) -> str:
    if need.tokens == 1:
        return "tokens"
    return f"documents of {need.tokens} tokens or more" if need.one_each else f"pieces of {need.tokens} tokens"
