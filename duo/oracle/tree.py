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

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from duo.errors import InputError
from duo.model.device import Device
from duo.model.routable import Routable, check
from duo.oracle.branch import Past, branch, label_losses, leaf_scores
from duo.progress import progress
from duo.routes import MOST, RouteSpace
from duo.terms import BIG

BATCH = 4  # documents whose trees are walked side by side
STREAMS = 2**21  # numbers of the residual stream, and
LOGITS = 2**22  # logits, that are computed at once: they should stay in the processor's cache
ROWS = 512  # but no fewer at a product with the output matrix, which each of them reads as a whole


class Roots(NamedTuple):
    """What a tree grows from: the tokens to be scored before the first layer, and what they see of one another.

    Without pasts, a token sees those before it under the prefix that is tried, or what `earlier` leaves open. With
    them, one per layer, it sees itself under that prefix and, of the others, what `earlier` leaves open in the pasts.
    """

    x: Tensor  # [batch, length, width]
    rotations: Any  # of the model, for these positions
    pasts: list[Past] | None
    earlier: Tensor | None  # [length, length of the pasts or own]: 0 where a token may look, -inf elsewhere
    asked: Tensor | None = None  # positions that have labels, by default the last: others take no work at the leaves


class Scores(NamedTuple):
    """What one walk of the tree gives, fp32 on the CPU, in nats."""

    losses: Tensor  # [sets, batch, length, routes] of the labels
    expected: Tensor  # [judges, batch, length, routes] mean loss where the label comes from the judge's prediction
    highest: Tensor  # [budgets, batch, length, vocabulary] highest log-probability among the budget's routes


class Waiting:
    """Prefixes that wait for others to fill a chunk."""

    def __init__(self, size: int):
        self.size, self.codes, self.streams, self.filled = size, np.zeros(0, np.int64), None, 0

    def add(self, codes: np.ndarray, streams: Tensor) -> Iterator[tuple[np.ndarray, Tensor]]:
        """Take these in; the chunks that are full."""
        waited = self.streams is not None and len(self.codes)
        self.codes = np.concatenate([self.codes, codes])
        self.streams = torch.cat([self.streams, streams]) if waited else streams
        while len(self.codes) >= self.size:
            yield self.codes[: self.size], self.streams[: self.size]
            self.codes, self.streams, self.filled = self.codes[self.size :], self.streams[self.size :], self.size

    def rest(self) -> Iterator[tuple[np.ndarray, Tensor]]:
        """What still waits, filled up to a full chunk if there was one before."""
        if len(self.codes):
            waiting = self.streams[: len(self.codes)]
            missing = max(0, self.filled - len(waiting))
            yield self.codes, torch.cat([waiting, waiting[:1].expand(missing, -1, -1, -1)]) if missing else waiting


class Enumerator:
    """Computes the loss of every token under every route of a model.

    chunk: how many (route prefix, token) pairs are computed at once, at most; fewer of a wide model. scope: what the
    choice skip leaves out, "ffn" or "layer", the latter with its attention. budget: where given, only its routes
    (RouteSpace.with_budget); prefixes that cannot become one are never made. Beside the results it takes, per layer,
    at most (choices + 1) * chunk * width numbers of 4 bytes, where the chunk is no smaller than the tokens given;
    within a bound as much for each way to go on, which are few. most: routes that may be tried; more where `stream`
    alone is asked, which keeps no losses.

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
        most: int = MOST,
    ):
        if len(space) > most:
            blocks = f" in {space.blocks} blocks" if space.blocks else ""
            raise InputError(
                f"{space.layers} layers{blocks}, each {' or '.join(space.choices)}, make {len(space)} routes; at most "
                f"{most} can be tried: fewer blocks or departures make fewer"
            )
        if scope not in ("ffn", "layer"):
            raise InputError(f"scope {scope!r}: should be ffn or layer")
        check(model, space.layers)
        self.model, self.space, self.device = model, space, device
        self.chunk = min(chunk, max(1, STREAMS // model.outputs.shape[1]))
        self.scope, self.budget = scope, budget
        self._bounded = budget is not None or space.departures is not None
        self._leaf_rows = max(ROWS, LOGITS // len(model.outputs))
        self._compiled_branch = device.compiled(branch)
        self._compiled_loss = device.compiled(label_losses)
        self._compiled_leaf = device.compiled(leaf_scores)

    @property
    def routes(self) -> np.ndarray:
        """Codes of the routes, ascending: what the last axis of the losses means."""
        return self.space.codes if self.budget is None else self.space.with_budget(self.budget)

    def documents(self, tokens: Tensor, labels: Tensor, reference: Tensor | None = None) -> Tensor:
        """Losses [documents, length, routes] of any number of documents; tokens, labels [documents, length].

        Shows its progress. reference as in `roots`.
        """
        parts = []
        with progress("enumerate", "losses", total=labels.numel() * len(self.routes)) as shown:
            for start in range(0, len(tokens), BATCH):
                # The last batch is filled up, so that compiled code sees one shape.
                rows = torch.arange(start, start + BATCH).where(torch.arange(start, start + BATCH) < len(tokens), start)
                kept = None if reference is None else reference[rows]
                losses = self.losses(tokens[rows], labels[None, rows], shown.update, kept)[0]
                parts.append(losses[: len(tokens) - start])
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

        labels [sets, batch, length], scored in the same pass; tokens [batch, length], or more, the first of which are
        read alone. `on_leaves` is told how many (route, token) pairs are done. reference as in `roots`.
        """
        with self.device.autocast():
            return self.losses_from(self.roots(tokens, reference), labels, on_leaves)

    def losses_from(
        self, roots: Roots, labels: Tensor, on_leaves: Callable[[int], None] = lambda count: None
    ) -> Tensor:
        """What `losses` gives, of the tree from these roots; for callers without gradients, in their precision."""
        # Codes come first while computing: a chunk of leaves is then one block of memory.
        routes = self.routes
        result = torch.empty(len(routes), *labels.shape)
        for codes, losses in self._scored(roots, labels):
            result[torch.from_numpy(np.searchsorted(routes, codes))] = losses
            on_leaves(len(codes) * labels[0].numel())
        return result.permute(1, 2, 3, 0)

    @torch.no_grad()
    def stream(self, tokens: Tensor, labels: Tensor, take: Callable[[np.ndarray, Tensor], None]) -> None:
        """Hand all losses to `take`, a chunk of routes at a time, keeping none.

        tokens and labels as in `losses`; take(codes [routes], losses [routes, sets, batch, length]), codes ascending
        over all calls where nothing bounds them.
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
        budgets: Sequence[int | None],
        on_leaves: Callable[[int], None] = lambda count: None,
        reference: Tensor | None = None,
    ) -> Scores:
        """Losses, expected losses under judges, and the highest probabilities (docs/gain.md), all in one walk.

        tokens, labels, on_leaves, reference as in `losses`; judges [judges, batch, length, vocabulary],
        log-probabilities; budgets: those whose highest probabilities to give, None for all routes. Beside what `losses`
        takes, it holds batch * length * vocabulary numbers of 4 bytes for every budget and judge, and LOGITS logits.
        """
        sets, batch, length = labels.shape
        labels = labels.to(self.device.name).flatten(1).T
        means = self._mean_outputs(judges, len(labels))
        routes = self.routes
        scores = torch.empty(len(routes), len(labels), sets + means.shape[1])
        highest = torch.full((len(budgets), len(labels), len(self.model.outputs)), -torch.inf, device=labels.device)
        with self.device.autocast():
            size = self._size(tokens.numel())
            for codes, x in self._prefixes(self.roots(tokens, reference), self.space.places, size):
                by_budget = dict(zip(budgets, highest, strict=True))
                leaves = self._score_everything(codes, x[:, :, -length:], labels, means, by_budget, len(x) == size)
                scores[torch.from_numpy(np.searchsorted(routes, codes))] = leaves[: len(codes)].cpu()
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
        digits = torch.from_numpy(self.space.by_layer(routes.numpy()).astype(np.int64)).to(self.device.name)
        x, pasts = roots.x, []
        for index, layer in enumerate(self.model.layers):
            _, *keys_and_values = layer.project(x, roots.rotations)
            pasts.append(Past(*keys_and_values))
            children = self._layer(branch, roots, index, x[None], self.space.choices)
            x = children.gather(0, digits[None, ..., index, None].expand(1, *x.shape))[0]
        return x, pasts

    def _layer(
        self, grow: Callable[..., Tensor], roots: Roots, index: int, x: Tensor, choices: Sequence[str]
    ) -> Tensor:
        """What layer `index` makes of prefixes x [prefixes, batch, length, width], by `branch` or its compiled form."""
        past = roots.pasts and roots.pasts[index]
        layer = self.model.layers[index]
        return grow(layer, x, roots.rotations, choices, self.scope, past, roots.earlier)

    def _grow(self, grow: Callable[..., Tensor], roots: Roots, place: int, x: Tensor, choices: Sequence[str]) -> Tensor:
        """The same of the block of layers at a place, all of which take one of the choices; siblings together."""
        block = self.space.layers // self.space.places
        first, *others = range(place * block, (place + 1) * block)
        children = self._layer(grow, roots, first, x, choices)
        if not others:
            return children
        by_choice = list(children.unflatten(0, (len(x), len(choices))).unbind(1))
        for index in others:
            by_choice = [
                self._layer(grow, roots, index, each, (choice,))
                for each, choice in zip(by_choice, choices, strict=True)
            ]
        return torch.stack(by_choice, dim=1).flatten(0, 1)

    def _size(self, tokens: int) -> int:
        """How many prefixes of so many tokens make a full chunk.

        Without a bound a power of the number of choices. Chunks of leaves are then whole subtrees, whose counts of big
        layers differ by a constant, so that one compiled form serves all.
        """
        if self._bounded:
            return max(1, self.chunk // tokens)
        size = 1
        while size * len(self.space.choices) * tokens <= self.chunk:
            size *= len(self.space.choices)
        return size

    def _prefixes(self, roots: Roots, depth: int, size: int) -> Iterator[tuple[np.ndarray, Tensor]]:
        """All prefixes of `depth` places in chunks of `size`: codes [prefixes], x [prefixes, batch, length, width].

        Those of one chunk may all go on in the same ways; where nothing bounds the routes, codes ascend. Once there are
        enough for a full chunk, the last one is filled up: it has more streams than codes.
        """
        if depth == 0:
            yield np.zeros(1, np.int64), roots.x[None]
            return
        choices = len(self.space.choices)
        waiting: dict[int, Waiting] = {}
        for codes, x in self._prefixes(roots, depth - 1, size):
            taken = np.flatnonzero(self._possible(codes[:1, None] * choices + np.arange(choices), depth)[0])
            # Shallow chunks are of many shapes: not worth compiling.
            grow = self._compiled_branch if len(x) == size else branch
            children = self._grow(grow, roots, depth - 1, x, [self.space.choices[index] for index in taken])
            following = (codes[:, None] * choices + taken).ravel()
            ways = self._ways(following, depth)
            for way in np.unique(ways).tolist():
                same = np.flatnonzero(ways == way)
                whole = len(same) == len(children)
                part = children if whole else children[torch.from_numpy(same).to(children.device)]
                queue = waiting.setdefault(way, Waiting(size))
                yield from queue.add(following[same], part)
        for queue in waiting.values():
            yield from queue.rest()

    def _ways(self, codes: np.ndarray, depth: int) -> np.ndarray:
        """[prefixes] int: the same for prefixes of `depth` places that may go on in the same ways; of whole routes
        within a bound, for those with as many big layers.
        """
        if not self._bounded:
            return np.zeros(len(codes), np.int64)
        if depth == self.space.places:
            return self.space.count(codes, BIG)
        choices = np.arange(len(self.space.choices))
        return self._possible(codes[:, None] * len(choices) + choices, depth + 1) @ 2**choices

    def _possible(self, codes: np.ndarray, depth: int) -> np.ndarray:
        """[...] bool: whether a route begins with the prefix [...] of `depth` places."""
        if not self._bounded:
            return np.ones(codes.shape, bool)
        big, left = RouteSpace(depth, self.space.choices).count(codes, BIG), self.space.places - depth
        within = np.ones(codes.shape, bool) if self.budget is None else self.budget <= big + left
        if self.space.departures is not None:
            return within & (depth - big <= self.space.departures)
        return within & (big <= self.budget)

    def _scored(self, roots: Roots, labels: Tensor) -> Iterator[tuple[np.ndarray, Tensor]]:
        """Codes [routes] and losses [routes, sets, batch, length] on the CPU, in chunks and order of `_prefixes`."""
        size, labels = max(1, self.chunk // roots.x[..., 0].numel()), labels.to(self.device.name)
        for codes, x in self._prefixes(roots, self.space.places, size):
            x = x[:, :, -labels.shape[-1] :] if roots.asked is None else x[:, :, roots.asked]
            yield codes, self._score(x, labels, self._compiled_loss if len(x) == size else label_losses)[: len(codes)]

    def _score(self, x: Tensor, labels: Tensor, score: Callable[[Routable, Tensor, Tensor], Tensor]) -> Tensor:
        """Losses [routes, sets, batch, length], on the CPU, of finished routes x [routes, batch, length, width].

        score: label_losses or its compiled form.
        """
        routes, sets, step = len(x), len(labels), self._leaf_rows
        streams, by_row = x.flatten(0, 2), labels.flatten(1).T.repeat(routes, 1)
        losses = [
            score(self.model, rows, by_row[start : start + len(rows)])
            for start, rows in zip(range(0, len(streams), step), streams.split(step), strict=True)
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
        self,
        codes: np.ndarray,
        x: Tensor,
        labels: Tensor,
        means: Tensor,
        highest: dict[int | None, Tensor],
        whole: bool,
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
        step = max(1, self._leaf_rows // len(streams))
        for start in range(0, len(labels), step):
            rows = slice(start, start + step)
            scores[:, rows], best = score(
                self.model, streams[:, rows], labels[rows], means[rows], tuple(counts.tolist())
            )
            for count, log_probabilities in zip(present.tolist(), best, strict=True):
                for kept in (kept for budget, kept in highest.items() if self.space.serves(count, budget)):
                    torch.maximum(kept[rows], log_probabilities, out=kept[rows])
        return scores[torch.from_numpy(np.argsort(order)).to(x.device)]
