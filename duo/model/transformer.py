"""The Duo transformer: in every layer one attention, and behind it a big FFN and a small one (paper, section 3).

It is a decoder with a switch in every layer (duo.model.switched): a token takes the big FFN, the small one, or none.
All settings of the switches, the routes, share one set of weights, so their losses differ by what the FFNs do and by
nothing else. Who sets the switches (chance in training, all settings in turn in the tree, a router in use) stands
outside; the model itself decides nothing.

Otherwise it is a decoder like Llama 2's: RMSNorm before attention and before the FFNs, rotary positions, SwiGLU, no
biases, tied embeddings; or one like OPT, whose parts FAMILIES names (paper, appendix A). It is a Routable.
"""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from duo.errors import InputError
from duo.model.attention import attention
from duo.model.switched import FFN, PlainFFN, Positions, Switched, SwitchedLayer
from duo.model.tensors import write_tensors
from duo.settings import Model, Tokens
from duo.terms import BIG, SMALL

EPSILON = 1e-5  # of the norms, as in Llama 2 and in OPT
ROPE_BASE = 10_000.0


@dataclass(frozen=True)
class Shape:
    """Sizes of a Duo model.

    `big` and `small` are the FFNs' inner widths, `sequence` the context length, `family` one of FAMILIES.
    """

    vocabulary: int
    sequence: int
    layers: int
    width: int
    heads: int
    big: int
    small: int
    family: str = "llama"

    @classmethod
    def of(cls, tokens: Tokens, model: Model) -> "Shape":
        """The shape that these params ask for."""
        sizes = tokens.model_dump(exclude={"pretrained"}) | model.model_dump(exclude={"pretrained"})
        return cls(**sizes, family="opt" if model.pretrained else "llama")


class Family(NamedTuple):
    """What two kinds of decoder differ in."""

    norm: Callable[[int], nn.Module]
    ffn: Callable[[int, int], nn.Module]
    matrices: int  # of an FFN
    bias: bool  # in attention
    rotary: bool  # positions turn queries and keys; else each has a learned vector, added to the embedding


FAMILIES = {
    "llama": Family(partial(nn.RMSNorm, eps=EPSILON), FFN, matrices=3, bias=False, rotary=True),
    "opt": Family(partial(nn.LayerNorm, eps=EPSILON), PlainFFN, matrices=2, bias=True, rotary=False),
}


class Attention(nn.Module):
    """Causal self-attention, with rotary positions where there are any; query, key and value in one matrix."""

    def __init__(self, width: int, heads: int, bias: bool):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width, bias=bias)
        self.out = nn.Linear(width, width, bias=bias)

    def forward(self, x: Tensor, positions: Positions, mask: Tensor | None = None) -> Tensor:
        """What attention adds to the residual stream, [batch, length, width], of the normed stream x of that shape."""
        mixed = attention(*self.project(x, positions), mask)
        return self.out(mixed.transpose(1, 2).reshape(x.shape))

    def project(self, x: Tensor, rope: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values [batch, heads, length, width / heads] of x [batch, length, width], turned."""
        q, k, v = self.qkv(x).view(*x.shape[:2], 3, self.heads, -1).unbind(2)
        if rope is not None:
            q, k = _rotate(q, rope), _rotate(k, rope)
        return q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)


class Layer(SwitchedLayer):
    """One decoder layer."""

    def __init__(self, shape: Shape):
        super().__init__()
        family = FAMILIES[shape.family]
        self.attention_norm = family.norm(shape.width)
        self.attention = Attention(shape.width, shape.heads, family.bias)
        self.ffn_norm = family.norm(shape.width)
        self.ffns = nn.ModuleDict(
            {SMALL: family.ffn(shape.width, shape.small), BIG: family.ffn(shape.width, shape.big)}
        )

    def project(self, x: Tensor, rotations: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values, as RoutableLayer says."""
        return self.attention.project(self.attention_norm(x), rotations)

    def merge(self, heads: Tensor) -> Tensor:
        """What attention adds, as RoutableLayer says."""
        return self.attention.out(heads)


class Duo(Switched):
    """The model. Weights are drawn from normal distributions that keep a unit scale at any width:

    | weight               | deviation                           |
    | embedding, places    | 1 / sqrt(width)                     |
    | qkv, gate_up, up     | 1 / sqrt(inputs)                    |
    | out, down            | 1 / sqrt(inputs) / sqrt(2 * layers) |
    | norms                | all ones                            |
    | biases               | all zeros                           |
    """

    def __init__(self, shape: Shape):
        super().__init__()
        self.shape = shape
        self.embedding = nn.Embedding(shape.vocabulary, shape.width)
        self.layers = nn.ModuleList(Layer(shape) for _ in range(shape.layers))
        self.norm = FAMILIES[shape.family].norm(shape.width)
        rotary = FAMILIES[shape.family].rotary
        self.places = None if rotary else nn.Embedding(shape.sequence, shape.width)
        self.register_buffer(
            "rope", _rope_table(shape.sequence, shape.width // shape.heads) if rotary else None, persistent=False
        )

    @property
    def width(self) -> int:
        return self.shape.width

    @property
    def outputs(self) -> Tensor:
        """[vocabulary, width] the output matrix, which is the embedding's."""
        return self.embedding.weight

    def rotations(self, start: int, stop: int) -> Tensor | None:
        """Cosines and sines [2, positions, width / heads] of some positions; None where positions are learned."""
        return None if self.rope is None else self.rope[:, start:stop]

    def rotary(self, places: Tensor) -> Tensor | None:
        """The same of places [batch, length], [2, batch, length, width / heads]."""
        return None if self.rope is None else self.rope[:, places]

    def embed(self, tokens: Tensor) -> Tensor:
        """The residual stream [..., length, width] before the first layer, of tokens [..., length]."""
        x = self.embedding(tokens)
        return x if self.places is None else x + self.places.weight[: tokens.shape[-1]]

    def initialise(self, generator: torch.Generator) -> "Duo":
        """Draw all weights from the generator, in the order of named_parameters."""
        with torch.no_grad():
            for name, weight in self.named_parameters():
                if weight.ndim == 1:
                    weight.fill_(0.0 if name.endswith("bias") else 1.0)
                    continue
                deviation = weight.shape[1] ** -0.5
                if name.endswith(("attention.out.weight", "down.weight")):  # what is added to the residual stream
                    deviation /= (2 * self.shape.layers) ** 0.5
                weight.normal_(0.0, deviation, generator=generator)
        return self

    def final(self, x: Tensor) -> Tensor:
        """The residual stream [..., width] after the last layer as the output matrix reads it."""
        return self.norm(x)


def _rope_table(length: int, size: int) -> Tensor:
    """Cosines and sines [2, length, size] of the rotary positions, halves laid out as in Llama."""
    frequencies = ROPE_BASE ** -(torch.arange(0, size, 2, dtype=torch.float32) / size)
    angles = torch.outer(torch.arange(length, dtype=torch.float32), frequencies).repeat(1, 2)
    return torch.stack([angles.cos(), angles.sin()])


def _rotate(x: Tensor, rope: Tensor) -> Tensor:
    """x [batch, length, heads, size] turned by its rotary positions; rope [2, length, size], or for each text of the
    batch, [2, batch, length, size].
    """
    cos, sin = rope[..., None, :].to(x.dtype)
    first, second = x.chunk(2, dim=-1)
    return x * cos + torch.cat([-second, first], dim=-1) * sin


def forward_flops(shape: Shape, tokens: int, big: float, skip: float = 0.0) -> float:
    """Floating-point operations per token of the matrix products of one forward pass over sequences of `tokens` tokens.

    `big` and `skip` are mean numbers of layers per token with the big FFN and with none; the rest are small. A product
    of [m, k] and [k, n] counts 2 m k n; attention counts the whole square of scores, as an uncut product does. Norms,
    biases, positions and softmax are left out.
    """
    attention = 2 * 4 * shape.width**2 + 2 * 2 * tokens * shape.width
    ffns = (
        2
        * FAMILIES[shape.family].matrices
        * shape.width
        * (big * shape.big + (shape.layers - big - skip) * shape.small)
    )
    return shape.layers * attention + ffns + 2 * shape.width * shape.vocabulary


def save(model: Duo, path: Path) -> None:
    """Weights and shape in one safetensors file; the same model gives the same bytes."""
    state = {name: tensor.contiguous() for name, tensor in sorted(model.state_dict().items())}
    write_tensors(state, path, {"shape": json.dumps(asdict(model.shape), sort_keys=True)})


def load(path: Path, device: str = "cpu") -> Duo:
    """The model that `save` wrote, ready for evaluation on a device of torch's.

    InputError where the file is missing or holds no Duo model.
    """
    try:
        with safe_open(path, "pt") as file:
            shape = Shape(**json.loads(file.metadata()["shape"]))
        model = Duo(shape)
        model.load_state_dict(safetensors.torch.load_file(path))
    except FileNotFoundError:
        raise InputError(f"{path}: is missing") from None
    except (SafetensorError, KeyError, TypeError, RuntimeError, ValueError) as error:
        raise InputError(f"{path}: not a Duo model ({str(error).splitlines()[0]})") from None
    return model.eval().requires_grad_(False).to(device)
