"""Stage 2: the loss of every token under every route, by the tree of route prefixes (paper, section 3.2).

Two routes that agree in their first layers share that part of the computation, and siblings, which differ in one layer's
FFN alone, share its attention too. The tree is walked depth first in chunks of a fixed number of rows, so memory stays
bounded whatever the number of routes, and compiled code sees one shape.
"""

import logging
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from duo import runtime
from duo.config import Runtime
from duo.model import Duo, Layer, Positions
from duo.routes import RouteSpace

log = logging.getLogger(__name__)

BATCH = 4  # documents whose trees are walked side by side
LEAF_ROWS = 2048  # rows whose logits over the vocabulary are held at once: they should stay in the processor's cache


class Enumerator:
    """Computes route losses in the context `shared`: all tokens of a sequence take the same route.

    rows: how many (route prefix, token) pairs are computed at once.
    """

    def __init__(self, model: Duo, space: RouteSpace, machine: Runtime, precision: str, rows: int):
        self.model, self.space, self.machine, self.precision, self.rows = model, space, machine, precision, rows
        self._compiled_branch = runtime.compiled(branch, machine.compile)
        self._compiled_loss = runtime.compiled(label_losses, machine.compile)

    def documents(self, tokens: Tensor, labels: Tensor) -> Tensor:
        """Losses [documents, time, routes] of any number of documents; tokens, labels [documents, time]. Shows its progress."""
        batches = list(zip(tokens.split(BATCH), labels.split(BATCH), strict=True))
        done = []
        with tqdm(total=labels.numel() * len(self.space), unit="loss", unit_scale=True, disable=None, desc="enumerate") as progress:
            for index, (some, wanted) in enumerate(batches):
                short = BATCH - len(some)  # the last batch is filled up, so that compiled code sees one shape
                some, wanted = (torch.cat([part, part[:1].expand(short, -1)]) for part in (some, wanted))
                losses = self.losses(some, wanted[None], progress.update)[0]
                done.append(losses[: BATCH - short])
                if progress.disable:
                    log.info("documents %d of %d", min(len(tokens), (index + 1) * BATCH), len(tokens))
        return torch.cat(done)

    @torch.no_grad()
    def losses(self, tokens: Tensor, labels: Tensor, on_leaves: Callable[[int], None] = lambda count: None) -> Tensor:
        """Loss in nats, [sets, batch, time, routes], fp32 on the CPU, of every label under every route, in order of route code.

        tokens [batch, time]; labels [sets, batch, time], any number of label sets, scored in the same pass. `on_leaves` is
        told how many (route, token) pairs are done.
        """
        tokens, labels = tokens.to(self.machine.device), labels.to(self.machine.device)
        # Codes come first while computing: a chunk of leaves is then one block of memory.
        result = torch.empty(len(self.space), *labels.shape)
        positions = self.model.positions(tokens.shape[1])
        with runtime.autocast(self.machine.device, self.precision):
            root = self.model.embed(tokens)[None]
            self._walk(root, 0, 0, positions, labels, result, on_leaves)
        return result.permute(1, 2, 3, 0)

    def _walk(
        self, x: Tensor, depth: int, first: int, positions: Positions, labels: Tensor, result: Tensor, on_leaves: Callable[[int], None]
    ) -> None:
        """Fill in the losses below consecutive prefixes, from code `first` on; x [prefixes, batch, time, width]."""
        if depth == self.space.layers:
            self._score(x, first, labels, result)
            on_leaves(x.shape[0] * labels[0].numel())
            return
        full = len(x) == self._prefixes(x)
        grow = self._compiled_branch if full else branch  # shallow chunks are few and of many shapes: not worth compiling
        children = grow(self.model.layers[depth], x, positions, self.space.choices)
        for start in range(0, len(children), self._prefixes(x)):
            chunk = children[start : start + self._prefixes(x)]
            self._walk(chunk, depth + 1, first * len(self.space.choices) + start, positions, labels, result, on_leaves)

    def _prefixes(self, x: Tensor) -> int:
        """How many prefixes make a full chunk: the power of the number of choices that fits in `rows`."""
        choices, room = len(self.space.choices), max(1, self.rows // x[0, ..., 0].numel())
        return choices ** int(np.log(room) / np.log(choices) + 1e-9)

    def _score(self, x: Tensor, first: int, labels: Tensor, result: Tensor) -> None:
        """Losses of finished routes; x [routes, batch, time, width] are their last residual streams."""
        routes, sets = len(x), len(labels)
        streams = x.flatten(0, 2)
        wanted = labels.flatten(1).T.repeat(routes, 1)
        losses = [
            self._compiled_loss(self.model, rows, wanted[start : start + LEAF_ROWS])
            for start, rows in zip(range(0, len(streams), LEAF_ROWS), streams.split(LEAF_ROWS), strict=True)
        ]
        result[first : first + routes] = torch.cat(losses).view(routes, *labels.shape[1:], sets).movedim(-1, 1).to(result.device)


def branch(layer: Layer, x: Tensor, positions: Positions, choices: tuple[str, ...]) -> Tensor:
    """One layer of the tree: x [prefixes, batch, time, width] -> [prefixes * choices, batch, time, width], siblings together."""
    x = layer.attend(x.flatten(0, 1), positions).view(x.shape)
    normed = layer.ffn_norm(x)
    return torch.stack([x + layer.ffns[choice](normed) for choice in choices], dim=1).flatten(0, 1)


def label_losses(model: Duo, x: Tensor, labels: Tensor) -> Tensor:
    """Negative log-likelihoods [rows, sets] of labels [rows, sets] given residual streams x [rows, width]."""
    logits = model.logits(x).float()
    peak = logits.amax(dim=1, keepdim=True)
    total = (logits - peak).exp().sum(dim=1, keepdim=True)
    return peak + total.log() - logits.gather(1, labels)
