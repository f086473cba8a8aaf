"""What the tree of routes asks of a decoder, so that any decoder whose layers have a choice can be routed.

A layer of a decoder adds two things to the residual stream: what attention gathers from earlier tokens, then what an
FFN makes of the token itself. A route says, layer by layer, which FFN that is, or that there is none. Routes that agree
in their first layers share that part of the computation, and routes that differ in one layer's FFN share its attention.
So the tree does not call a decoder from end to end; it asks for the parts, through the methods below, and walks.

To route a model of your own, wrap it in two small classes that have these methods and inherit nothing: some 40 lines
(examples/own_model.py). It fits if it is causal, adds attention before the FFN or beside it, and scores by queries
times keys over the root of their size. Norms belong to whoever reads or writes the stream: `project`, `merge`
and `feed_forward` apply their layer's own. Weights are only read.
"""

from collections.abc import Sequence
from typing import Any, Protocol

from torch import Tensor

from duo.errors import InputError


class RoutableLayer(Protocol):
    """One layer, in three parts. x [batch, length, width] is the residual stream as it reaches the part.

    A layer whose FFN reads the stream as it was before attention has an attribute `parallel` that is true.
    """

    def project(self, x: Tensor, rotations: Any) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values, [batch, heads, length, size] each, of the stream before attention.

        As many heads of keys and values as of queries: repeat them (not by a view) where several queries share one.
        `rotations` is what the model's own `rotations` gave for these positions, to be applied to queries and keys.
        """

    def merge(self, heads: Tensor) -> Tensor:
        """What attention adds to the stream, [batch, length, width], from its heads [batch, length, heads * size]."""

    def feed_forward(self, x: Tensor, choices: Sequence[str]) -> Sequence[Tensor]:
        """What the FFN of each choice adds to the stream after attention, [batch, length, width], in this order.

        The words are those of the RouteSpace, such as small and big. Skip is never asked for: it adds nothing. All
        choices come in one call, so that what they share, such as the norm, is computed once.
        """


class Routable(Protocol):
    """A causal decoder whose layers have a choice. Tensors lie on the device that the losses are computed on."""

    layers: Sequence[RoutableLayer]  # from the first to the last
    outputs: Tensor  # [vocabulary, width] the output matrix; a bias can be one more column of it, beside a 1 in `final`

    def embed(self, tokens: Tensor) -> Tensor:
        """The residual stream [batch, length, width] before the first layer, of token ids [batch, length].

        Learned positions are added here, counted from 0.
        """

    def rotations(self, start: int, stop: int) -> Any:
        """Whatever `project` needs to know of the positions start, ..., stop - 1, such as their cosines and sines.

        None where positions are learned. The tree only hands it on.
        """

    def final(self, x: Tensor) -> Tensor:
        """The stream after the last layer as the output matrix reads it, normed: logits are final(x) @ outputs.T."""


_MODEL = ("layers", "outputs", "embed", "rotations", "final")
_LAYER = ("project", "merge", "feed_forward")


def check(model: Routable, layers: int | None = None) -> None:
    """InputError where the model lacks a part that the tree needs, or has another number of layers than the routes."""
    lacking = [name for name in _MODEL if not hasattr(model, name)]
    if not lacking:
        lacking = [f"layers[0].{name}" for name in _LAYER if len(model.layers) and not hasattr(model.layers[0], name)]
    if lacking:
        raise InputError(
            f"model {type(model).__name__} can't be routed: it lacks {', '.join(lacking)}; "
            "duo.Routable says what it needs"
        )
    if not isinstance(model.outputs, Tensor) or model.outputs.ndim != 2:
        raise InputError(f"model {type(model).__name__}: its outputs should be a tensor [vocabulary, width]")
    if layers is not None and len(model.layers) != layers:
        raise InputError(
            f"space: routes over {layers} layers, but model {type(model).__name__} has {len(model.layers)}"
        )
