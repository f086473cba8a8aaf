"""A decoder with a switch in every layer: a big FFN, a small one beside it, or neither, whoever made the rest of it.

What is here is what the models trained here (duo.model.transformer) and pretrained ones with small FFNs beside their
own (duo.model.extended) have in common: how training and routers run a batch whose tokens each take routes of their
own. The tree takes the same layers apart by the methods of duo.model.routable.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from duo.terms import BIG, SMALL


class FFN(nn.Module):
    """Gated, by default SwiGLU: down(silu(gate x) * up x), gate and up in one matrix."""

    def __init__(self, width: int, inner: int, activation: Callable[[Tensor], Tensor] = F.silu):
        super().__init__()
        self.gate_up = nn.Linear(width, 2 * inner, bias=False)
        self.down = nn.Linear(inner, width, bias=False)
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        gate, up = self.gate_up(x).chunk(2, dim=-1)
        return self.down(self.activation(gate) * up)


class PlainFFN(nn.Module):
    """Two matrices with biases, by default OPT's: down(relu(up x))."""

    def __init__(self, width: int, inner: int, activation: Callable[[Tensor], Tensor] = F.relu):
        super().__init__()
        self.up = nn.Linear(width, inner)
        self.down = nn.Linear(inner, width)
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        return self.down(self.activation(self.up(x)))


# What a model's `rotations` gives for the positions of a sequence; None where they are learned.
Positions = Any


class Grouping(NamedTuple):
    """Which tokens of a batch take which FFN at one layer, as a permutation that puts big first, then small, then skip.

    The FFNs then run on slices: the big one on rows before `stop`, the small one on rows from `start` on. Both are
    the same for nearly all steps, so that compiled code sees one shape; in the rows between them, which both compute,
    a mask decides.
    """

    order: Tensor  # [tokens] int64: which token stands at each row
    inverse: Tensor  # [tokens] int64: at which row each token stands
    big: Tensor  # [] int64: rows of big tokens
    kept: Tensor  # [] int64: rows of big and small tokens; the others skip
    start: int  # at most `big`
    stop: int  # at least `big`


class SwitchedLayer(nn.Module):
    """One layer. Its two halves are separate, since routes that differ only in the FFN share the attention.

    `forward` and `attend` serve training and routers; the tree takes the layer apart by the methods of RoutableLayer.
    A subclass has the modules below, `attention` of the normed stream, the positions and a mask as in
    duo.model.attention, and the tree's other methods.
    """

    attention_norm: nn.Module
    attention: Callable[[Tensor, Positions, Tensor | None], Tensor]
    ffn_norm: nn.Module
    ffns: Mapping[str, nn.Module]  # small and big
    parallel = False  # whether the FFNs read what attention reads, not what it leaves

    def attend(self, x: Tensor, positions: Positions, mask: Tensor | None = None) -> Tensor:
        """The residual stream after attention, [batch, length, width]; mask as in duo.model.attention."""
        return x + self.attention(self.attention_norm(x), positions, mask)

    def feed_forward(self, x: Tensor, choices: Sequence[str]) -> list[Tensor]:
        """What the FFN of each choice adds, as RoutableLayer says."""
        normed = self.ffn_norm(x)
        return [self.ffns[choice](normed) for choice in choices]

    def forward(self, x: Tensor, positions: Positions, grouping: Grouping, mask: Tensor | None = None) -> Tensor:
        """The stream after the layer [batch, length, width], each token by its own FFN, computing little more than
        these; mask as in duo.model.attention.
        """
        attended = self.attend(x, positions, mask)
        rows = self.ffn_norm(x if self.parallel else attended).flatten(0, 1)
        update = self._updates(_Permute.apply(rows, grouping.order, grouping.inverse), grouping)
        return attended + _Permute.apply(update, grouping.inverse, grouping.order).view_as(x)

    def _updates(self, rows: Tensor, grouping: Grouping) -> Tensor:
        """What the FFNs add to the residual stream, for normed rows [tokens, width] in the grouping's order."""
        _, _, big, kept, start, stop = grouping
        index = torch.arange(len(rows), device=rows.device)[:, None]
        parts = []
        if stop > 0:
            from_big = self.ffns[BIG](rows[:stop])
        if start < len(rows):
            from_small = self.ffns[SMALL](rows[start:]).masked_fill(index[start:] >= kept, 0.0)
        if start > 0:
            parts.append(from_big[:start])
        if start < stop and start < len(rows):
            parts.append(torch.where(index[start:stop] < big, from_big[start:], from_small[: stop - start]))
        if stop < len(rows):
            parts.append(from_small[stop - start :])
        return torch.cat(parts)


class _Permute(torch.autograd.Function):
    """x[order], whose gradient is a gather too: a permutation needs no scatter, which is slow and adds in any order."""

    @staticmethod
    def forward(ctx, x: Tensor, order: Tensor, inverse: Tensor) -> Tensor:
        ctx.save_for_backward(order, inverse)
        return x[order]

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None, None]:
        order, inverse = ctx.saved_tensors
        return _Permute.apply(gradient, inverse, order), None, None


class Switched(nn.Module):
    """A decoder of such layers, as duo.Routable asks for it; a subclass has what is named here."""

    layers: Sequence[SwitchedLayer]
    outputs: Tensor
    width: int  # of the residual stream
    embed: Callable[[Tensor], Tensor]
    rotations: Callable[[int, int], Any]
    final: Callable[[Tensor], Tensor]

    def positions(self, length: int) -> Positions:
        """Those of the first `length` tokens, for SwitchedLayer.attend."""
        return self.rotations(0, length)

    def forward(self, tokens: Tensor, big: Tensor, skip: Tensor | None = None, scope: str = "ffn") -> Tensor:
        """Logits [batch, length, vocabulary] of tokens [batch, length] under routes.

        The plain reading of what a route means, in which every FFN is computed for every token. Training and the tree,
        which are faster, are tested against it.

        big [layers], [batch, length, layers] or anything that broadcasts to the latter, bool: True takes the big FFN,
        False the small one. Where `skip` (same shapes) is True the layer's FFN is left out, or with scope "layer"
        its attention too; what later tokens see of that token there stays.
        """
        batch, length = tokens.shape
        positions = self.positions(length)
        big = big.expand(batch, length, -1)
        x = self.embed(tokens)
        for index, layer in enumerate(self.layers):
            attended = layer.attend(x, positions)
            normed = layer.ffn_norm(x if layer.parallel else attended)
            after = attended + torch.where(big[..., index, None], layer.ffns[BIG](normed), layer.ffns[SMALL](normed))
            if skip is not None:
                skipped = skip.expand(batch, length, -1)[..., index, None]
                after = torch.where(skipped, attended if scope == "ffn" else x, after)
            x = after
        return self.logits(x)

    def logits(self, x: Tensor) -> Tensor:
        """Logits [..., vocabulary] of the residual stream [..., width] after the last layer."""
        return F.linear(self.final(x), self.outputs)
