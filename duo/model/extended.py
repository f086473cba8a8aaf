"""A pretrained decoder with small FFNs beside its own, which are the big ones (paper, appendix A).

How much of a finished model's depth do its tokens need? With all layers big it is the model that it was. The small FFNs
are of the same kind, narrower, and read what the big one beside them reads; they alone are weights of the module, so
that a training, a checkpoint and a file hold them and nothing else. duo.training.adapt trains them.
"""

from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from duo.errors import InputError
from duo.model import decoders
from duo.model.attention import attention
from duo.model.decoders import Decoder, DecoderLayer
from duo.model.device import Device
from duo.model.switched import Positions, Switched, SwitchedLayer
from duo.model.tensors import write_tensors
from duo.terms import BIG, SMALL


class ExtendedLayer(SwitchedLayer):
    """One layer: all but the small FFN is the pretrained one's, and none of the module's own."""

    def __init__(self, pretrained: DecoderLayer, small: nn.Module):
        super().__init__()
        self.pretrained, self.small = pretrained, small
        self.parallel = pretrained.parallel

    @property
    def attention_norm(self) -> nn.Module:
        return self.pretrained.norm

    @property
    def ffn_norm(self) -> nn.Module:
        return self.pretrained.ffn_norm

    @property
    def ffns(self) -> dict[str, Any]:
        return {SMALL: self.small, BIG: self.pretrained.ffn}

    def attention(self, normed: Tensor, positions: Positions, mask: Tensor | None = None) -> Tensor:
        """What attention adds to the residual stream, [batch, length, width], of the normed stream of that shape."""
        mixed = attention(*self.pretrained.heads(normed, positions), mask)
        return self.merge(mixed.transpose(1, 2).flatten(2))

    def project(self, x: Tensor, rotations: Any) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values, as RoutableLayer says."""
        return self.pretrained.project(x, rotations)

    def merge(self, heads: Tensor) -> Tensor:
        """What attention adds, as RoutableLayer says."""
        return self.pretrained.merge(heads)


class Extended(Switched):
    """The decoder with small FFNs of an inner width, in all layers the same; as they are made, they say nothing."""

    def __init__(self, pretrained: Decoder, small: int):
        super().__init__()
        self.pretrained, self.inner = pretrained, small
        self.layers = nn.ModuleList(ExtendedLayer(layer, pretrained.another(small)) for layer in pretrained.layers)

    @property
    def outputs(self) -> Tensor:
        return self.pretrained.outputs

    @property
    def width(self) -> int:
        return self.pretrained.width

    def embed(self, tokens: Tensor) -> Tensor:
        """The residual stream before the first layer, as Routable says."""
        return self.pretrained.embed(tokens)

    def rotations(self, start: int, stop: int) -> Any:
        """What attention needs to know of some positions, as Routable says."""
        return self.pretrained.rotations(start, stop)

    def final(self, x: Tensor) -> Tensor:
        """The stream after the last layer as the output matrix reads it."""
        return self.pretrained.final(x)

    def initialise(self, generator: torch.Generator) -> "Extended":
        """Draw what reads the stream from normal distributions of unit scale; what is added to it is zero."""
        with torch.no_grad():
            for name, weight in self.named_parameters():
                weight.zero_()
                if weight.ndim > 1 and not name.endswith("down.weight"):
                    weight.normal_(0.0, weight.shape[1] ** -0.5, generator=generator)
        return self


def extend(model: nn.Module, small: int, device: Device | None = None) -> Extended:
    """A transformers model, from now on frozen, with small FFNs of an inner width.

    They lie where it lies. device, and InputError, as of duo.model.decoders.routable.
    """
    decoder = decoders.routable(model.requires_grad_(False), device)
    return Extended(decoder, small).to(decoder.outputs.device)


def save(model: Extended, path: Path) -> None:
    """Write the small FFNs to a safetensors file; the same weights give the same bytes."""
    weights = {name: weight.detach().contiguous() for name, weight in sorted(model.named_parameters())}
    write_tensors(weights, path, {"small": str(model.inner)})


def load(path: Path, model: nn.Module, device: Device | None = None) -> Extended:
    """The small FFNs that `save` wrote, beside those of the transformers model that they were trained beside.

    device as of duo.model.decoders.routable, for a tree, which asks for logits many times. InputError where the file is
    missing, or holds none that fit this model.
    """
    try:
        with safe_open(path, "pt") as file:
            small = int(file.metadata()["small"])
        made = extend(model, small, device)
        made.load_state_dict(safetensors.torch.load_file(path))
    except FileNotFoundError:
        raise InputError(f"{path}: is missing") from None
    except (SafetensorError, KeyError, TypeError, RuntimeError, ValueError) as error:
        raise InputError(f"{path}: no small FFNs of this model ({' '.join(str(error).split())[:200]})") from None
    return made.eval().requires_grad_(False)
