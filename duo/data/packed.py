"""A text and several that may follow it in one row, so that the text is computed once for all of them."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

Ids = list[int]


class Packed(NamedTuple):
    """A context and its answers in one row.

    An answer's tokens see the context and the answer's own tokens before them, at the places that they would have if
    the answer stood alone. Its last token predicts nothing and is left out.
    """

    rows: Tensor  # [answers, length of the longest] ids: the context, then each answer but its last token, filled up
    kept: Tensor  # [length, 2] which of these, as (answer, place), stand in the row one after the other
    earlier: Tensor  # [length, length] 0 where a token may look, -inf elsewhere
    asked: Tensor  # [asked] places in the row that predict a token of some answer
    labels: Tensor  # [answers, asked] those tokens; 0 where the place predicts none of that answer
    scored: Tensor  # [answers, asked] bool: whether it does


def pack(context: Ids, answers: Sequence[Ids]) -> Packed:
    """A context, of one token or more, and the answers to it, of one or more each, in one row."""
    first, longest = len(context), max(map(len, answers))
    rows = torch.tensor([[*context, *answer[:-1]] + context[:1] * (longest - len(answer)) for answer in answers])
    kept = [(0, place) for place in range(first)]
    kept += [(index, first + place) for index, answer in enumerate(answers) for place in range(len(answer) - 1)]
    owner = torch.tensor([-1] * first + [index for index, _ in kept[first:]])
    open_to = (owner == -1) | (owner == owner[:, None])
    earlier = torch.zeros(len(kept), len(kept)).masked_fill(~open_to.tril(), -torch.inf)
    scored = owner[first - 1 :] == torch.arange(len(answers))[:, None]
    scored[:, 0] = True  # the context's last token predicts the first one of every answer
    labels = torch.zeros(scored.shape, dtype=torch.int64)
    labels[scored] = torch.tensor([token for answer in answers for token in answer])
    return Packed(rows, torch.tensor(kept), earlier, torch.arange(first - 1, len(kept)), labels, scored)
