"""Stage 2: the loss of every token under every route, by the tree of route prefixes (paper, section 3.2).

Two routes that agree in their first layers share that part of the computation, and siblings, which differ in one layer's
FFN alone, share its attention too. The tree is walked in chunks of a fixed number of rows, each layer drawing on the one
below it, so memory stays bounded whatever the number of routes, and compiled code sees one shape.
"""

import logging
from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from duo import runtime
from duo.errors import InputError
from duo.model import Duo, Layer, Positions
from duo.routes import BIG, SKIP, RouteSpace
from duo.settings import Runtime

log = logging.getLogger(__name__)

BATCH = 4  # documents whose trees are walked side by side
MOST = 2**20  # routes of a space: all three-way ones of 12 layers fit, nothing of OPT-1.3B's 24
LEAF_ROWS = 2048  # rows whose logits over the vocabulary are held at once: they should stay in the processor's cache


class Enumerator:
    """Computes route losses in the context `shared`: all tokens of a sequence take the same route.

    rows: how many (route prefix, token) pairs are computed at once. skip: what the choice skip leaves out, "ffn" or "layer", the
    latter with its attention. budget: where given, only routes with exactly so many big layers; prefixes that cannot become one
    are cut off. Beside the results it takes, a layer, at most (choices + 1) * rows * width numbers of 4 bytes, where `rows` is
    no smaller than the tokens given.
    """

    def __init__(
        self, model: Duo, space: RouteSpace, machine: Runtime, precision: str, rows: int, skip: str = "ffn", budget: int | None = None
    ):
        if len(space) > MOST:
            kinds = " or ".join(space.choices)
            raise InputError(f"model.layers: {space.layers} layers, each {kinds}, make {len(space)} routes; at most {MOST} are enumerated")
        self.model, self.space, self.machine, self.precision, self.rows = model, space, machine, precision, rows
        self.skip, self.budget = skip, budget
        self._compiled_branch = runtime.compiled(branch, machine.compile)
        self._compiled_loss = runtime.compiled(label_losses, machine.compile)

    @property
    def routes(self) -> np.ndarray:
        """Codes of the routes, ascending: what the last axis of the losses means."""
        return np.arange(len(self.space)) if self.budget is None else self.space.with_budget(self.budget)

    def documents(self, tokens: Tensor, labels: Tensor) -> Tensor:
        """Losses [documents, time, routes] of any number of documents; tokens, labels [documents, time]. Shows its progress."""
        batches = list(zip(tokens.split(BATCH), labels.split(BATCH), strict=True))
        done = []
        with tqdm(total=labels.numel() * len(self.routes), unit="loss", unit_scale=True, disable=None, desc="enumerate") as progress:
            for index, (some, wanted) in enumerate(batches):
                short = BATCH - len(some)  # the last batch is filled up, so that compiled code sees one shape
                some, wanted = (torch.cat([part, part[:1].expand(short, -1)]) for part in (some, wanted))
                losses = self.losses(some, wanted[None], progress.update)[0]
                done.append(losses[: BATCH - short])
                if progress.disable:
                    log.info("documents %d of %d", min(len(tokens), (index + 1) * BATCH), len(tokens))
        return torch.cat(done)

    def losses(self, tokens: Tensor, labels: Tensor, on_leaves: Callable[[int], None] = lambda count: None) -> Tensor:
        """Loss in nats, [sets, batch, time, routes], fp32 on the CPU, of every label under every route, in order of route code.

        tokens [batch, time]; labels [sets, batch, time], any number of label sets, scored in the same pass. `on_leaves` is
        told how many (route, token) pairs are done.
        """
        # Codes come first while computing: a chunk of leaves is then one block of memory.
        result = torch.empty(len(self.routes), *labels.shape)
        done = 0

        def take(codes: np.ndarray, losses: Tensor) -> None:
            nonlocal done
            result[done : done + len(codes)] = losses
            done += len(codes)
            on_leaves(len(codes) * labels[0].numel())

        self.stream(tokens, labels, take)
        return result.permute(1, 2, 3, 0)

    @torch.no_grad()
    def stream(self, tokens: Tensor, labels: Tensor, take: Callable[[np.ndarray, Tensor], None]) -> None:
        """Hand all losses to `take`, a chunk of routes at a time, keeping none.

        tokens and labels as in `losses`; take(codes [routes], losses [routes, sets, batch, time]), codes ascending over all calls.
        """
        tokens, labels = tokens.to(self.machine.device), labels.to(self.machine.device)
        positions = self.model.positions(tokens.shape[1])
        with runtime.autocast(self.machine.device, self.precision):
            root = self.model.embed(tokens)[None]
            for codes, x in self._prefixes(root, self.space.layers, positions):
                take(codes, self._score(x, labels)[: len(codes)])

    def _prefixes(self, root: Tensor, depth: int, positions: Positions) -> Iterator[tuple[np.ndarray, Tensor]]:
        """All prefixes of `depth` layers in order of code, in chunks: codes [prefixes], streams x [prefixes, batch, time, width].

        Once there are enough for a full chunk, the last one is filled up: it has more streams than codes.
        """
        if depth == 0:
            yield np.zeros(1, np.int64), root
            return
        size, choices = max(1, self.rows // root[0, ..., 0].numel()), len(self.space.choices)
        waiting, streams, filled = np.zeros(0, np.int64), root[:0], 0
        for codes, x in self._prefixes(root, depth - 1, positions):
            grow = self._compiled_branch if len(x) == size else branch  # shallow chunks are of many shapes: not worth compiling
            children = grow(self.model.layers[depth - 1], x, positions, self.space.choices, self.skip)
            following = (codes[:, None] * choices + np.arange(choices)).ravel()
            kept = np.flatnonzero(self._can_meet_budget(following, depth))
            if len(kept) < len(children):
                following, children = following[kept], children[torch.from_numpy(kept).to(children.device)]
            waiting = np.concatenate([waiting, following])
            streams = torch.cat([streams, children]) if len(streams) else children
            while len(waiting) >= size:
                yield waiting[:size], streams[:size]
                waiting, streams, filled = waiting[size:], streams[size:], size
        if len(waiting):
            missing = max(0, filled - len(waiting))
            yield waiting, torch.cat([streams, streams[:1].expand(missing, -1, -1, -1)]) if missing else streams

    def _can_meet_budget(self, codes: np.ndarray, depth: int) -> np.ndarray:
        """[prefixes] bool: whether a route of the budget begins with the prefix of `depth` layers."""
        if self.budget is None:
            return np.ones(len(codes), bool)
        big = RouteSpace(depth, self.space.choices).count(codes, BIG)
        return (big <= self.budget) & (self.budget <= big + self.space.layers - depth)

    def _score(self, x: Tensor, labels: Tensor) -> Tensor:
        """Losses [routes, sets, batch, time], on the CPU, of finished routes; x [routes, batch, time, width]."""
        routes, sets = len(x), len(labels)
        streams = x.flatten(0, 2)
        wanted = labels.flatten(1).T.repeat(routes, 1)
        losses = [
            self._compiled_loss(self.model, rows, wanted[start : start + LEAF_ROWS])
            for start, rows in zip(range(0, len(streams), LEAF_ROWS), streams.split(LEAF_ROWS), strict=True)
        ]
        return torch.cat(losses).view(routes, *labels.shape[1:], sets).movedim(-1, 1).cpu()


def branch(layer: Layer, x: Tensor, positions: Positions, choices: tuple[str, ...], skip: str = "ffn") -> Tensor:
    """One layer of the tree: x [prefixes, batch, time, width] -> [prefixes * choices, batch, time, width], siblings together.

    skip says what the choice of that name leaves out: "ffn", or the whole "layer".
    """
    attended = layer.attend(x.flatten(0, 1), positions).view(x.shape)
    normed = layer.ffn_norm(attended)

    def after(choice: str) -> Tensor:
        if choice == SKIP:
            return attended if skip == "ffn" else x
        return attended + layer.ffns[choice](normed)

    return torch.stack([after(choice) for choice in choices], dim=1).flatten(0, 1)


def label_losses(model: Duo, x: Tensor, labels: Tensor) -> Tensor:
    """Negative log-likelihoods [rows, sets] of labels [rows, sets] given residual streams x [rows, width]."""
    logits = model.logits(x).float()
    peak = logits.amax(dim=1, keepdim=True)
    total = (logits - peak).exp().sum(dim=1, keepdim=True)
    return peak + total.log() - logits.gather(1, labels)
