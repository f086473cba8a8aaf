"""One walk of the tree of a model that has too many routes to try all: what few departures from all big gain, and luck.

An oracle leaves out layers, token by token, with the true next token in hand, and gains. How much would it gain if next
tokens came as the model itself predicts them, so that no route were better than all big in expectation? That is luck,
computed exactly (duo.oracle.null). Losses are isolated: all tokens of a document take the route under trial.
"""

from typing import NamedTuple

import numpy as np
import torch
from tqdm import tqdm

from duo.errors import InputError
from duo.oracle import choosers
from duo.oracle.tree import Enumerator
from duo.terms import ALL_BIG


class Walked(NamedTuple):
    """What the tree says of every token, in nats, routes in order of the space's codes."""

    losses: np.ndarray  # [documents, length, routes] of the true labels
    expected: np.ndarray  # [documents, length, routes] if labels came as the model predicts them, all big
    null: np.ndarray  # [departures + 1, documents, length] the oracle's, of so many departures at most, if they did


def walk(enumerator: Enumerator, tokens: np.ndarray, labels: np.ndarray) -> Walked:
    """Walk the tree of each document, one after the other, so that memory is that of one; shows its progress.

    tokens, labels [documents, length]. InputError where the enumerator's space is not bounded by departures, or leaves
    one route, or a loss is not finite.
    """
    space = enumerator.space
    if space.departures is None or len(space) < 2:
        raise InputError(f"departures {space.departures}: should be 1 or more, or there is nothing to choose")
    predict = choosers.by_route(enumerator.model, space, space.named(ALL_BIG), enumerator.device, enumerator.scope)
    budgets = [space.places - departures for departures in range(min(space.departures, space.places) + 1)]
    parts = []
    with tqdm(
        total=labels.size * len(space), unit="loss", unit_scale=True, disable=None, desc="departures"
    ) as progress:
        for document, wanted in zip(tokens, labels, strict=True):
            predicted, ids = predict(document), torch.from_numpy(document)[None]
            words = torch.from_numpy(wanted)[None, None]
            scores = enumerator.everything(ids, words, predicted[None, None], budgets, progress.update)
            best = scores.highest[:, 0].cummax(dim=0).values.double()
            null = -(predicted.double().exp() * best).sum(-1)
            parts.append(Walked(scores.losses[0, 0].numpy(), scores.expected[0, 0].numpy(), null.numpy()))
    losses, expected, null = zip(*parts, strict=True)
    found = Walked(np.stack(losses), np.stack(expected), np.stack(null, axis=1))
    wrong = np.flatnonzero(~np.isfinite(found.losses).all(axis=(1, 2)))
    if len(wrong):
        raise InputError(f"losses of the model: one of document {wrong[0]} is not finite")
    return found
