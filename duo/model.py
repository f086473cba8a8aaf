"""The Duo transformer: attention shared, and beside it in every layer a big and a small FFN (paper, section 3).

A decoder like Llama 2's: RMSNorm before attention and before the pair of FFNs, rotary positions, SwiGLU, no biases, tied
embeddings. What a token's FFN is, at each layer, is said from outside by a route; the model itself decides nothing.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

import safetensors.torch
import torch
import torch.nn.functional as F
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from duo.errors import InputError
from duo.routes import BIG, SMALL

EPSILON = 1e-5  # of RMSNorm, as in Llama 2
ROPE_BASE = 10_000.0


@dataclass(frozen=True)
class Shape:
    """Sizes of a Duo model. `big` and `small` are the FFNs' inner widths, `sequence` the context length."""

    vocabulary: int
    sequence: int
    layers: int
    width: int
    heads: int
    big: int
    small: int


class FFN(nn.Module):
    """SwiGLU: down(silu(gate x) * up x), gate and up in one matrix."""

    def __init__(self, width: int, inner: int):
        super().__init__()
        self.gate_up = nn.Linear(width, 2 * inner, bias=False)
        self.down = nn.Linear(inner, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        gate, up = self.gate_up(x).chunk(2, dim=-1)
        return self.down(F.silu(gate) * up)


class Positions(NamedTuple):
    """What attention knows of places in the sequence."""

    rope: Tensor  # [2, time, width / heads], cosines and sines
    mask: Tensor  # [time, time], 0 where a token may look, -inf in its future


class Attention(nn.Module):
    """Causal self-attention with rotary positions; query, key and value in one matrix."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)

    def forward(self, x: Tensor, positions: Positions) -> Tensor:
        """x [batch, time, width] -> [batch, time, width]."""
        batch, time, width = x.shape
        q, k, v = self.qkv(x).view(batch, time, 3, self.heads, -1).unbind(2)
        q, k, v = (_rotate(q, positions.rope).transpose(1, 2), _rotate(k, positions.rope).transpose(1, 2), v.transpose(1, 2))
        mixed = _attend(q, k, v, positions.mask)
        return self.out(mixed.transpose(1, 2).reshape(batch, time, width))


class Grouping(NamedTuple):
    """Which tokens of a batch take which FFN at one layer, as a permutation that puts big first, then small, then skip.

    The FFNs then run on slices: the big one on rows before `stop`, the small one on rows from `start` on. Both are the same
    for nearly all steps, so that compiled code sees one shape; in the rows between them, which both compute, a mask decides.
    """

    order: Tensor  # [tokens] int64: which token stands at each row
    inverse: Tensor  # [tokens] int64: at which row each token stands
    big: Tensor  # [] int64: rows of big tokens
    kept: Tensor  # [] int64: rows of big and small tokens; the others skip
    start: int  # at most `big`
    stop: int  # at least `big`


class Layer(nn.Module):
    """One decoder layer. Its two halves are separate, since routes that differ only in the FFN share the attention."""

    def __init__(self, shape: Shape):
        super().__init__()
        self.attention_norm = nn.RMSNorm(shape.width, eps=EPSILON)
        self.attention = Attention(shape.width, shape.heads)
        self.ffn_norm = nn.RMSNorm(shape.width, eps=EPSILON)
        self.ffns = nn.ModuleDict({SMALL: FFN(shape.width, shape.small), BIG: FFN(shape.width, shape.big)})

    def attend(self, x: Tensor, positions: Positions) -> Tensor:
        """The residual stream after attention, [batch, time, width]."""
        return x + self.attention(self.attention_norm(x), positions)

    def forward(self, x: Tensor, positions: Positions, grouping: Grouping) -> Tensor:
        """The layer with each token's own FFN, [batch, time, width], computing little more than these."""
        x = self.attend(x, positions)
        rows = _Permute.apply(self.ffn_norm(x).flatten(0, 1), grouping.order, grouping.inverse)
        update = self._updates(rows, grouping)
        return x + _Permute.apply(update, grouping.inverse, grouping.order).view_as(x)

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


class Duo(nn.Module):
    """The model. Weights are drawn from normal distributions that keep a unit scale at any width:

    | weight       | deviation                           |
    | embedding    | 1 / sqrt(width)                     |
    | qkv, gate_up | 1 / sqrt(inputs)                    |
    | out, down    | 1 / sqrt(inputs) / sqrt(2 * layers) |
    | norms        | all ones                            |
    """

    def __init__(self, shape: Shape):
        super().__init__()
        self.shape = shape
        self.embedding = nn.Embedding(shape.vocabulary, shape.width)
        self.layers = nn.ModuleList(Layer(shape) for _ in range(shape.layers))
        self.norm = nn.RMSNorm(shape.width, eps=EPSILON)
        self.register_buffer("rope", _rope_table(shape.sequence, shape.width // shape.heads), persistent=False)
        self.register_buffer("mask", torch.full((shape.sequence, shape.sequence), -torch.inf).triu(1), persistent=False)

    def positions(self, time: int) -> Positions:
        """Positions of the first `time` tokens."""
        return Positions(self.rope[:, :time], self.mask[:time, :time])

    def embed(self, tokens: Tensor) -> Tensor:
        """The residual stream [..., time, width] before the first layer, of tokens [..., time]."""
        return self.embedding(tokens)

    def initialise(self, generator: torch.Generator) -> "Duo":
        """Draw all weights from the generator, in the order of named_parameters."""
        with torch.no_grad():
            for name, weight in self.named_parameters():
                if "norm" in name:
                    weight.fill_(1.0)
                    continue
                deviation = weight.shape[1] ** -0.5
                if name.endswith(("attention.out.weight", "down.weight")):  # what is added to the residual stream
                    deviation /= (2 * self.shape.layers) ** 0.5
                weight.normal_(0.0, deviation, generator=generator)
        return self

    def forward(self, tokens: Tensor, big: Tensor, skip: Tensor | None = None) -> Tensor:
        """Logits [batch, time, vocabulary] of tokens [batch, time] under routes.

        big [layers], [batch, time, layers] or anything that broadcasts to the latter, bool: True takes the big FFN, False
        the small one; where `skip` (same shapes) is True, the layer's FFN is left out. Every FFN is computed for every token:
        the plain reading of a route, which training and enumeration, being faster, are tested against.
        """
        batch, time = tokens.shape
        positions = self.positions(time)
        big = big.expand(batch, time, -1)
        x = self.embed(tokens)
        for index, layer in enumerate(self.layers):
            x = layer.attend(x, positions)
            normed = layer.ffn_norm(x)
            update = torch.where(big[..., index, None], layer.ffns[BIG](normed), layer.ffns[SMALL](normed))
            if skip is not None:
                update = update.masked_fill(skip.expand(batch, time, -1)[..., index, None], 0.0)
            x = x + update
        return self.logits(x)

    def logits(self, x: Tensor) -> Tensor:
        """Logits [..., vocabulary] of the residual stream [..., width]; the embedding is the output matrix too."""
        return F.linear(self.norm(x), self.embedding.weight)


def _attend(q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:
    """Causal attention, [batch, heads, time, size]."""
    if q.device.type == "cpu" and q.requires_grad:
        # Torch's fused attention for CPUs has a backward pass in bf16 that takes as long as the rest of the step (docs/log.md).
        scores = (q @ k.transpose(-1, -2)).float() * q.shape[-1] ** -0.5 + mask
        return scores.softmax(-1).to(v.dtype) @ v
    return F.scaled_dot_product_attention(q, k, v, is_causal=True)


def _rope_table(time: int, size: int) -> Tensor:
    """Cosines and sines [2, time, size] of the rotary positions, halves laid out as in Llama."""
    frequencies = ROPE_BASE ** -(torch.arange(0, size, 2, dtype=torch.float32) / size)
    angles = torch.outer(torch.arange(time, dtype=torch.float32), frequencies).repeat(1, 2)
    return torch.stack([angles.cos(), angles.sin()])


def _rotate(x: Tensor, rope: Tensor) -> Tensor:
    """Rotary positions on x [batch, time, heads, size]; rope [2, time, size]."""
    cos, sin = rope[:, :, None].to(x.dtype)
    first, second = x.chunk(2, dim=-1)
    return x * cos + torch.cat([-second, first], dim=-1) * sin


def forward_flops(shape: Shape, tokens: int, big: float) -> float:
    """Floating-point operations of the matrix products of one forward pass over sequences of `tokens` tokens, per token.

    `big` is the mean number of big layers a token; the rest are small. A product of [m, k] and [k, n] counts 2 m k n;
    attention counts the whole square of scores, as an uncut product does. Norms, rotary positions and softmax are left out.
    """
    attention = 2 * 4 * shape.width**2 + 2 * 2 * tokens * shape.width
    ffns = 2 * 3 * shape.width * (big * shape.big + (shape.layers - big) * shape.small)
    return shape.layers * attention + ffns + 2 * shape.width * shape.vocabulary


def save(model: Duo, path: Path) -> None:
    """Weights and shape in one safetensors file; the same model gives the same bytes."""
    state = {name: tensor.contiguous() for name, tensor in sorted(model.state_dict().items())}
    safetensors.torch.save_file(state, path, metadata={"shape": json.dumps(asdict(model.shape), sort_keys=True)})


def load(path: Path, device: str = "cpu") -> Duo:
    """The model that `save` wrote, ready for evaluation. InputError where the file is missing or damaged."""
    try:
        with safe_open(path, "pt") as file:
            shape = Shape(**json.loads(file.metadata()["shape"]))
        model = Duo(shape)
        model.load_state_dict(safetensors.torch.load_file(path))
    except FileNotFoundError:
        raise InputError(f"{path}: is missing; run the stage that makes it") from None
    except (SafetensorError, KeyError, TypeError, RuntimeError, ValueError) as error:
        raise InputError(f"{path}: not a Duo model ({str(error).splitlines()[0]}); delete it and run its stage again") from None
    return model.eval().requires_grad_(False).to(device)
