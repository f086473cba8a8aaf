"""Stage 2: the loss of every token under every route, by the tree of route prefixes (paper, section 3.2).

Trying 4,096 routes of 12 layers one by one would run the model 4,096 times. But routes that agree in their first layers
share that part of the computation: the tree of prefixes has a node for each prefix, so the first layer is computed
once, the second twice, and only the last 4,096 times; and siblings, which differ in one layer's FFN alone, share its
attention too. The tree is walked in chunks of a fixed number of rows, each layer drawing on the one below it. So memory
stays bounded whatever the number of routes, and compiled code sees one shape.

What the token that is scored sees of the others is the tree's context. In `shared`, the usual one, all tokens of a
sequence take the same route. Else the others' keys and values are those of a Past: of one run of all of them
(`reference`), or of the tokens before, each on the route that won (`greedy`; duo.oracle.joint builds it of trees for
single positions).
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from duo.errors import InputError
from duo.model.device import Device
from duo.model.routable import Routable, check
from duo.oracle.branch import Past, branch, label_losses, leaf_scores
from duo.routes import RouteSpace
from duo.terms import BIG

log = logging.getLogger(__name__)

BATCH = 4  # documents whose trees are walked side by side
MOST = 2**20  # routes of a space: all three-way ones of 12 layers fit, nothing of OPT-1.3B's 24
LEAF_ROWS = 2048  # rows whose logits over the vocabulary are held at once: they should stay in the processor's cache


class Roots(NamedTuple):
    """What a tree grows from: the tokens to be scored before the first layer, and what they see of one another.

    Without pasts, a token sees those before it under the prefix that is tried. With them, one per layer, it sees itself
    under that prefix and, of the others, what `earlier` leaves open in the pasts.
    """

    x: Tensor  # [batch, length, width]
    rotations: Any  # of the model, for these positions
    pasts: list[Past] | None
    earlier: Tensor | None  # [length, length of the pasts]: 0 where a token may look, -inf elsewhere


class Scores(NamedTuple):
    """What one walk of the tree gives, fp32 on the CPU, in nats."""

    losses: Tensor  # [sets, batch, length, routes] of the labels
    expected: Tensor  # [judges, batch, length, routes] mean loss where the label comes from the judge's prediction
    highest: Tensor  # [budgets, batch, length, vocabulary] highest log-probability among the budget's routes


class Enumerator:
    """Computes the loss of every token under every route of a model.

    chunk: how many (route prefix, token) pairs are computed at once. scope: what the choice skip leaves out, "ffn" or
    "layer", the latter with its attention. budget: where given, only routes with exactly so many big layers; prefixes
    that cannot become one are cut off. Beside the results it takes, per layer, at most (choices + 1) * chunk * width
    numbers of 4 bytes, where the chunk is no smaller than the tokens given.

    InputError where the model can't be routed, has another number of layers than the space, or the routes are too many.
    """

    def __init__(
        self,
        model: Routable,
        space: RouteSpace,
        device: Device,
        chunk: int,
        scope: str = "ffn",
        budget: int | None = None,
    ):
        if len(space) > MOST:
            raise InputError(
                f"{space.layers} layers, each {' or '.join(space.choices)}, make {len(space)} routes; at most {MOST} "
                "can be tried"
            )
        if scope not in ("ffn", "layer"):
            raise InputError(f"scope {scope!r}: should be ffn or layer")
        check(model, space.layers)
        self.model, self.space, self.device, self.chunk = model, space, device, chunk
        self.scope, self.budget = scope, budget
        self._compiled_branch = device.compiled(branch)
        self._compiled_loss = device.compiled(label_losses)
        self._compiled_leaf = device.compiled(leaf_scores)

    @property
    def routes(self) -> np.ndarray:
        """Codes of the routes, ascending: what the last axis of the losses means."""
        return np.arange(len(self.space)) if self.budget is None else self.space.with_budget(self.budget)

    def documents(self, tokens: Tensor, labels: Tensor, reference: Tensor | None = None) -> Tensor:
        """Losses [documents, length, routes] of any number of documents; tokens, labels [documents, length].

        Shows its progress. reference as in `roots`.
        """
        parts = []
        with tqdm(
            total=labels.numel() * len(self.routes), unit="loss", unit_scale=True, disable=None, desc="enumerate"
        ) as progress:
            for start in range(0, len(tokens), BATCH):
                # The last batch is filled up, so that compiled code sees one shape.
                rows = torch.arange(start, start + BATCH).where(torch.arange(start, start + BATCH) < len(tokens), start)
                kept = None if reference is None else reference[rows]
                losses = self.losses(tokens[rows], labels[None, rows], progress.update, kept)[0]
                parts.append(losses[: len(tokens) - start])
                if progress.disable:
                    log.info("documents %d of %d", min(len(tokens), start + BATCH), len(tokens))
        return torch.cat(parts)

    @torch.no_grad()
    def losses(
        self,
        tokens: Tensor,
        labels: Tensor,
        on_leaves: Callable[[int], None] = lambda count: None,
        reference: Tensor | None = None,
    ) -> Tensor:
        """Losses [sets, batch, length, routes] in nats, fp32 on the CPU, routes in order of their codes.

        tokens [batch, length]; labels [sets, batch, length], any number of label sets, scored in the same pass.
        `on_leaves` is told how many (route, token) pairs are done. reference as in `roots`.
        """
        with self.device.autocast():
            return self.losses_from(self.roots(tokens, reference), labels, on_leaves)

    def losses_from(
        self, roots: Roots, labels: Tensor, on_leaves: Callable[[int], None] = lambda count: None
    ) -> Tensor:
        """What `losses` gives, of the tree that grows from these roots.

        For callers without gradients, in the precision they chose.
        """
        # Codes come first while computing: a chunk of leaves is then one block of memory.
        result = torch.empty(len(self.routes), *labels.shape)
        done = 0
        for codes, losses in self._scored(roots, labels):
            result[done : done + len(codes)] = losses
            done += len(codes)
            on_leaves(len(codes) * labels[0].numel())
        return result.permute(1, 2, 3, 0)

    @torch.no_grad()
    def stream(self, tokens: Tensor, labels: Tensor, take: Callable[[np.ndarray, Tensor], None]) -> None:
        """Hand all losses to `take`, a chunk of routes at a time, keeping none.

        tokens and labels as in `losses`; take(codes [routes], losses [routes, sets, batch, length]), codes ascending
        over all calls.
        """
        with self.device.autocast():
            for codes, losses in self._scored(self.roots(tokens), labels):
                take(codes, losses)

    @torch.no_grad()
    def everything(
        self,
        tokens: Tensor,
        labels: Tensor,
        judges: Tensor | None,
        budgets: Sequence[int],
        on_leaves: Callable[[int], None] = lambda count: None,
        reference: Tensor | None = None,
    ) -> Scores:
        """Losses, expected losses under judges, and the highest probabilities (docs/gain.md), all in one walk.

        tokens, labels, on_leaves, reference as in `losses`; judges [judges, batch, length, vocabulary],
        log-probabilities; budgets: numbers of big layers whose highest probabilities to give. Beside what `losses`
        takes, it holds batch * length * vocabulary numbers of 4 bytes for every budget and judge: of (route, vocabulary
        entry) pairs no more than LEAF_ROWS * vocabulary are there at once.
        """
        sets, batch, length = labels.shape
        labels = labels.to(self.device.name).flatten(1).T
        means = self._mean_outputs(judges, len(labels))
        scores = torch.empty(len(self.routes), len(labels), sets + means.shape[1])
        highest = torch.full((len(budgets), len(labels), len(self.model.outputs)), -torch.inf, device=labels.device)
        # Chunks that are whole subtrees: the counts of big layers in all of them differ by a constant, so one
        # compiled form serves all.
        size, choices, done = 1, len(self.space.choices), 0
        while size * choices * len(labels) <= self.chunk:
            size *= choices
        with self.device.autocast():
            for codes, x in self._prefixes(self.roots(tokens, reference), self.space.layers, size):
                by_budget = dict(zip(budgets, highest, strict=True))
                leaves = self._score_everything(codes, x, labels, means, by_budget, len(x) == size)
                scores[done : done + len(codes)] = leaves[: len(codes)].cpu()
                done += len(codes)
                on_leaves(len(codes) * len(labels))
        scores = scores.view(-1, batch, length, sets + means.shape[1]).permute(3, 1, 2, 0)
        return Scores(scores[:sets], scores[sets:], highest.cpu().unflatten(1, (batch, length)))

    def roots(self, tokens: Tensor, reference: Tensor | None = None) -> Roots:
        """Where the tree of tokens [batch, length] begins: in the context `shared`, or, with reference [batch, length],
        in that of this run.

        reference: code of the route that each token keeps while another's routes are tried.
        """
        tokens = tokens.to(self.device.name)
        length = tokens.shape[1]
        shared = Roots(self.model.embed(tokens), self.model.rotations(0, length), None, None)
        if reference is None:
            return shared
        _, pasts = self.follow(shared, reference)
        earlier = torch.full((length, length), -torch.inf, device=tokens.device).triu()
        return Roots(shared.x, shared.rotations, pasts, earlier)

    def at(self, roots: Roots, position: int) -> Roots:
        """The roots of the tokens at one position alone, of roots with pasts."""
        here = slice(position, position + 1)
        return Roots(roots.x[:, here], self.model.rotations(here.start, here.stop), roots.pasts, roots.earlier[here])

    def follow(self, roots: Roots, routes: Tensor) -> tuple[Tensor, list[Past]]:
        """Run the tokens together, each along a route of its own, whose codes are routes [batch, length].

        Returns x [batch, length, width] after the last layer, and what other tokens see of these, layer by layer.
        """
        digits = torch.from_numpy(self.space.decode(routes.numpy()).astype(np.int64)).to(self.device.name)
        x, pasts = roots.x, []
        for index, layer in enumerate(self.model.layers):
            _, *keys_and_values = layer.project(x, roots.rotations)
            pasts.append(Past(*keys_and_values))
            children = self._grow(branch, roots, index, x[None])
            x = children.gather(0, digits[None, ..., index, None].expand(1, *x.shape))[0]
        return x, pasts

    def _grow(self, grow: Callable[..., Tensor], roots: Roots, index: int, x: Tensor) -> Tensor:
        """What layer `index` makes of prefixes x [prefixes, batch, length, width], by `branch` or its compiled form."""
        past = roots.pasts and roots.pasts[index]
        layer = self.model.layers[index]
        return grow(layer, x, roots.rotations, self.space.choices, self.scope, past, roots.earlier)

    def _prefixes(self, roots: Roots, depth: int, size: int) -> Iterator[tuple[np.ndarray, Tensor]]:
        """All prefixes of `depth` layers in order of code, in chunks of `size`: codes [prefixes], x [prefixes, batch,
        length, width].

        Once there are enough for a full chunk, the last one is filled up: it has more streams than codes.
        """
        if depth == 0:
            yield np.zeros(1, np.int64), roots.x[None]
            return
        choices = len(self.space.choices)
        waiting, streams, filled = np.zeros(0, np.int64), roots.x[None][:0], 0
        for codes, x in self._prefixes(roots, depth - 1, size):
            # Shallow chunks are of many shapes: not worth compiling.
            children = self._grow(self._compiled_branch if len(x) == size else branch, roots, depth - 1, x)
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

    def _scored(self, roots: Roots, labels: Tensor) -> Iterator[tuple[np.ndarray, Tensor]]:
        """Codes [routes], ascending, with losses [routes, sets, batch, length] on the CPU, a chunk of routes at a
        time.
        """
        size, labels = max(1, self.chunk // labels[0].numel()), labels.to(self.device.name)
        for codes, x in self._prefixes(roots, self.space.layers, size):
            yield codes, self._score(x, labels, self._compiled_loss if len(x) == size else label_losses)[: len(codes)]

    def _score(self, x: Tensor, labels: Tensor, score: Callable[[Routable, Tensor, Tensor], Tensor]) -> Tensor:
        """Losses [routes, sets, batch, length], on the CPU, of finished routes x [routes, batch, length, width].

        score: label_losses or its compiled form.
        """
        routes, sets = len(x), len(labels)
        streams, by_row = x.flatten(0, 2), labels.flatten(1).T.repeat(routes, 1)
        losses = [
            score(self.model, rows, by_row[start : start + LEAF_ROWS])
            for start, rows in zip(range(0, len(streams), LEAF_ROWS), streams.split(LEAF_ROWS), strict=True)
        ]
        return torch.cat(losses).view(routes, *labels.shape[1:], sets).movedim(-1, 1).cpu()

    def _mean_outputs(self, judges: Tensor | None, tokens: int) -> Tensor:
        """[tokens, judges, width]: each judge's mean of the rows of the output matrix.

        The mean of the logits under a judge is the product of this and the final stream: no sum over the vocabulary
        for every route.
        """
        outputs = self.model.outputs.float()
        if judges is None:
            return outputs.new_empty(tokens, 0, outputs.shape[1])
        means = [judge.flatten(0, 1).to(outputs.device).float().exp() @ outputs for judge in judges]
        return torch.stack(means, dim=1)

    def _score_everything(
        self, codes: np.ndarray, x: Tensor, labels: Tensor, means: Tensor, highest: dict[int, Tensor], whole: bool
    ) -> Tensor:
        """Losses and expected losses [routes, tokens, sets + judges] of finished routes x [routes, batch, length,
        width].

        labels [tokens, sets]; means [tokens, judges, width]. Raises highest [tokens, vocabulary], by budget, where
        a log-probability is higher. whole: the chunk is a full one.
        """
        score = self._compiled_leaf if whole else leaf_scores
        codes = np.concatenate([codes, np.repeat(codes[:1], len(x) - len(codes))])  # fillers repeat the first stream
        big = self.space.count(codes, BIG)
        order = np.argsort(big, kind="stable")  # routes of a budget stand together: one maximum for all of them
        present, counts = np.unique(big, return_counts=True)
        streams = x.flatten(1, 2)[torch.from_numpy(order).to(x.device)]
        scores = torch.empty(*streams.shape[:2], labels.shape[1] + means.shape[1], device=x.device)
        step = max(1, LEAF_ROWS // len(streams))
        for start in range(0, len(labels), step):
            rows = slice(start, start + step)
            scores[:, rows], best = score(
                self.model, streams[:, rows], labels[rows], means[rows], tuple(counts.tolist())
            )
            for budget, log_probabilities in zip(present.tolist(), best, strict=True):
                if budget in highest:
                    torch.maximum(highest[budget][rows], log_probabilities, out=highest[budget][rows])
        return scores[torch.from_numpy(np.argsort(order)).to(x.device)]
