"""What the tree computes of a model: one layer, from prefixes to their children, and the leaves.

These functions, and only these, touch the model, through the methods of Routable. They are pure, so that they can be
compiled.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from duo.errors import InputError
from duo.model.attention import attention
from duo.model.device import Device
from duo.model.routable import Routable, RoutableLayer
from duo.routes import RouteSpace
from duo.terms import BIG, REPEAT, SKIP


class Past(NamedTuple):
    """What attention of one layer sees of other tokens: keys and values [batch, heads, length, size]."""

    keys: Tensor
    values: Tensor


def branch(
    layer: RoutableLayer,
    x: Tensor,
    rotations: Any,
    choices: Sequence[str],
    scope: str = "ffn",
    past: Past | None = None,
    earlier: Tensor | None = None,
) -> Tensor:
    """Streams [prefixes * choices, batch, length, width] behind one layer, siblings together, from x [prefixes, ...].

    Attention is computed once for all choices. scope says what a skip leaves out, the "ffn" or the whole "layer".
    past and earlier as in Roots. What is left out takes no work. What is repeated sees the other tokens, when it runs
    for the second time, as the first time leaves them. InputError from a past, which doesn't say how that is.
    """
    if scope == "layer" and set(choices) == {SKIP}:
        return x
    if past is None:
        attended = attend(layer, x, rotations, earlier)
    else:
        attended = attend_to_past(layer, x, rotations, past, earlier)
    ffns = list(dict.fromkeys(BIG if choice == REPEAT else choice for choice in choices if choice != SKIP))
    read = x if getattr(layer, "parallel", False) else attended
    updates = dict(zip(ffns, layer.feed_forward(read, ffns), strict=True)) if ffns else {}
    by_choice = {choice: attended + update for choice, update in updates.items()}
    by_choice[SKIP] = attended if scope == "ffn" else x
    if REPEAT in choices:
        if past is not None:
            raise InputError(f"choice {REPEAT}: can be tried only where all tokens take the same route")
        by_choice[REPEAT] = branch(layer, by_choice[BIG], rotations, (BIG,), earlier=earlier)
    return torch.stack([by_choice[choice] for choice in choices], dim=1).flatten(0, 1)


def attend(layer: RoutableLayer, x: Tensor, rotations: Any, earlier: Tensor | None = None) -> Tensor:
    """The residual stream x [prefixes, batch, length, width] after attention within each prefix, causal, or, where
    given, to what `earlier` [length, length] leaves open.
    """
    streams = x.flatten(0, 1)
    mixed = attention(*layer.project(streams, rotations), earlier)
    return (streams + layer.merge(mixed.transpose(1, 2).flatten(2))).view(x.shape)


def attend_to_past(layer: RoutableLayer, x: Tensor, rotations: Any, past: Past, earlier: Tensor) -> Tensor:
    """The residual stream x [prefixes, batch, length, width] after attention to the past and to oneself.

    earlier [length, length of the past]: 0 where a token may look, -inf elsewhere. One softmax over both. The past is
    the same for all prefixes, so their queries meet its keys in one product.
    """
    prefixes, batch, length, _ = x.shape
    projected = layer.project(x.flatten(0, 1), rotations)
    q, k, v = (
        part.unflatten(0, (prefixes, batch)).permute(1, 2, 0, 3, 4) for part in projected
    )  # [batch, heads, prefixes, length, size]
    scale = q.shape[-1] ** -0.5
    scores = (q.flatten(2, 3) @ past.keys.mT).unflatten(2, (prefixes, length)).float() * scale + earlier
    to_self = (q.float() * k.float()).sum(-1, keepdim=True) * scale
    peak = torch.maximum(scores.amax(-1, keepdim=True), to_self)
    weights, to_self = (scores - peak).exp(), (to_self - peak).exp()
    from_past = (weights.to(v.dtype).flatten(2, 3) @ past.values).unflatten(2, (prefixes, length))
    mixed = (from_past.float() + to_self * v.float()) / (weights.sum(-1, keepdim=True) + to_self)
    return x + layer.merge(mixed.to(v.dtype).permute(2, 0, 3, 1, 4).flatten(3))


@torch.no_grad()
def log_probabilities(
    model: Routable,
    space: RouteSpace,
    tokens: np.ndarray,
    route: int,
    device: Device,
    scope: str = "ffn",
    context: int = 0,
) -> Tensor:
    """Log-probabilities [length, vocabulary], fp32 on the CPU, of what follows each token of one document but the
    first `context`.

    One plain forward pass of tokens [context + length], all on one route, a code of the space. scope as in `branch`.
    """
    with device.autocast():
        x = model.embed(torch.from_numpy(tokens)[None].to(device.name))
        rotations = model.rotations(0, len(tokens))
        for layer, digit in zip(model.layers, space.by_layer(np.array(route)), strict=True):
            x = branch(layer, x[None], rotations, [space.choices[digit]], scope)[0]
        scores = logits(model, x[0, context:])
    return scores.float().log_softmax(-1).cpu()


def logits(model: Routable, x: Tensor) -> Tensor:
    """Logits [..., vocabulary] of the residual stream [..., width] after the last layer."""
    return F.linear(model.final(x), model.outputs)


def label_losses(model: Routable, x: Tensor, labels: Tensor) -> Tensor:
    """Negative log-likelihoods [rows, sets] of labels [rows, sets], from streams x [rows, width], in nats."""
    scores = logits(model, x).float()
    return _log_total(scores) - scores.gather(1, labels)


def leaf_scores(
    model: Routable, x: Tensor, labels: Tensor, means: Tensor, groups: tuple[int, ...]
) -> tuple[Tensor, Tensor]:
    """Losses and expected losses [routes, tokens, sets + judges], and highest log-probabilities [groups, tokens,
    vocabulary], of streams x [routes, tokens, width].

    labels [tokens, sets]. means [tokens, judges, width]: each judge's mean of the rows of the output matrix, whose
    product with a stream is the judge's mean of its logits. groups: how many routes, one after the other, share each
    maximum.
    """
    streams = model.final(x)
    scores = F.linear(streams, model.outputs).float()
    total = _log_total(scores)
    losses = total - scores.gather(-1, labels.expand(len(x), -1, -1))
    expected = total - (streams.float()[:, :, None] * means).sum(-1)
    highest = [part.amax(dim=0) for part in (scores - total).split(groups)]
    return torch.cat([losses, expected], dim=-1), torch.stack(highest)


def _log_total(scores: Tensor) -> Tensor:
    """log of the sum of exp(scores [..., vocabulary]), [..., 1]."""
    peak = scores.amax(dim=-1, keepdim=True)
    return peak + (scores - peak).exp().sum(dim=-1, keepdim=True).log()
