"""Stage 2: the loss of every token under every route, by the tree of route prefixes (paper, section 3.2).

Two routes that agree in their first layers share that part of the computation, and siblings, which differ in one
layer's FFN alone, share its attention too. The tree is walked in chunks of a fixed number of rows, each layer drawing
on the one below it, so memory stays bounded whatever the number of routes, and compiled code sees one shape.

What a token on trial sees of the others is the tree's context. `shared`: all tokens of a sequence take the same
route. Else the others' keys and values are those of a `Past`: of one run of them all (`reference`), or of the tokens
before, each under the route that won (`committed`, which duo.oracle.joint builds of trees for single positions).
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from duo.errors import InputError
from duo.model.device import Device
from duo.model.transformer import Duo, Layer, Positions
from duo.routes import RouteSpace
from duo.terms import BIG, SKIP

log = logging.getLogger(__name__)

BATCH = 4  # documents whose trees are walked side by side
MOST = 2**20  # routes of a space: all three-way ones of 12 layers fit, nothing of OPT-1.3B's 24
LEAF_ROWS = 2048  # rows whose logits over the vocabulary are held at once: they should stay in the processor's cache


class Past(NamedTuple):
    """What attention of one layer sees of tokens that are not on trial: keys and values [batch, heads, time, width /
    heads].
    """

    keys: Tensor
    values: Tensor


class Roots(NamedTuple):
    """What a tree grows from: the tokens on trial before the first layer, and what they see of one another.

    Without pasts, a token sees those before it under the prefix on trial. With them, one a layer, it sees itself
    under that prefix and, of the others, what positions.mask leaves open in the pasts.
    """

    x: Tensor  # [batch, time, width]
    positions: Positions
    pasts: list[Past] | None

    def at(self, position: int) -> "Roots":
        """The tokens at one position alone, of roots with pasts."""
        here = slice(position, position + 1)
        rope, mask = self.positions
        return Roots(self.x[:, here], Positions(None if rope is None else rope[:, here], mask[here]), self.pasts)


class Scores(NamedTuple):
    """What one walk of the tree finds, fp32 on the CPU, in nats."""

    losses: Tensor  # [sets, batch, time, routes] of the labels
    expected: Tensor  # [teachers, batch, time, routes] mean loss where the teacher draws the label
    log_normaliser: Tensor  # [batch, time, budgets] log of the sum over the vocabulary of the highest probability among the budget's routes


class Enumerator:
    """Computes the loss of every token under every route.

    rows: how many (route prefix, token) pairs are computed at once. skip: what the choice skip leaves out, "ffn" or
    "layer", the latter with its attention. budget: where given, only routes with exactly so many big layers; prefixes
    that cannot become one are cut off. Beside the results it takes, a layer, at most (choices + 1) * rows * width
    numbers of 4 bytes, where `rows` is no smaller than the tokens given.
    """

    def __init__(
        self,
        model: Duo,
        space: RouteSpace,
        device: Device,
        rows: int,
        skip: str = "ffn",
        budget: int | None = None,
    ):
        if len(space) > MOST:
            kinds = " or ".join(space.choices)
            raise InputError(
                f"model.layers: {space.layers} layers, each {kinds}, make {len(space)} routes; at most {MOST} are enumerated"
            )
        self.model, self.space, self.device, self.rows = model, space, device, rows
        self.skip, self.budget = skip, budget
        self._compiled_branch = device.compiled(branch)
        self._compiled_loss = device.compiled(label_losses)
        self._compiled_leaf = device.compiled(leaf_scores)

    @property
    def routes(self) -> np.ndarray:
        """Codes of the routes, ascending: what the last axis of the losses means."""
        return np.arange(len(self.space)) if self.budget is None else self.space.with_budget(self.budget)

    def documents(self, tokens: Tensor, labels: Tensor, reference: Tensor | None = None) -> Tensor:
        """Losses [documents, time, routes] of any number of documents; tokens, labels [documents, time]. Shows its
        progress.

        reference as in `roots`.
        """
        done = []
        with tqdm(
            total=labels.numel() * len(self.routes), unit="loss", unit_scale=True, disable=None, desc="enumerate"
        ) as progress:
            for start in range(0, len(tokens), BATCH):
                # The last batch is filled up, so that compiled code sees one shape.
                rows = torch.arange(start, start + BATCH).where(torch.arange(start, start + BATCH) < len(tokens), start)
                kept = None if reference is None else reference[rows]
                losses = self.losses(tokens[rows], labels[None, rows], progress.update, kept)[0]
                done.append(losses[: len(tokens) - start])
                if progress.disable:
                    log.info("documents %d of %d", min(len(tokens), start + BATCH), len(tokens))
        return torch.cat(done)

    @torch.no_grad()
    def losses(
        self,
        tokens: Tensor,
        labels: Tensor,
        on_leaves: Callable[[int], None] = lambda count: None,
        reference: Tensor | None = None,
    ) -> Tensor:
        """Loss in nats, [sets, batch, time, routes], fp32 on the CPU, of every label under every route, in order of
        route code.

        tokens [batch, time]; labels [sets, batch, time], any number of label sets, scored in the same pass.
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

        tokens and labels as in `losses`; take(codes [routes], losses [routes, sets, batch, time]), codes ascending
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
        teachers: Tensor | None,
        budgets: Sequence[int],
        on_leaves: Callable[[int], None] = lambda count: None,
        reference: Tensor | None = None,
    ) -> Scores:
        """Losses, expected losses under teachers and normalisers (PAPER.md: null, ceiling, normalised oracle), all in
        one walk of the tree.

        tokens, labels, on_leaves, reference as in `losses`; teachers [teachers, batch, time, vocabulary],
        log-probabilities; budgets: numbers of big layers whose normaliser is wanted. Beside what `losses` takes, it
        holds batch * time * vocabulary numbers of 4 bytes for every budget and teacher: of no (route, vocabulary
        entry) pair more than LEAF_ROWS * vocabulary are there at once.
        """
        sets, batch, time = labels.shape
        labels = labels.to(self.device.name).flatten(1).T
        means = self._mean_outputs(teachers, len(labels))
        scores = torch.empty(len(self.routes), len(labels), sets + means.shape[1])
        highest = torch.full((len(budgets), len(labels), self.model.shape.vocabulary), -torch.inf, device=labels.device)
        # Chunks that are whole subtrees: the counts of big layers in all of them differ by a constant, so one
        # compiled form serves all.
        size, choices, done = 1, len(self.space.choices), 0
        while size * choices * len(labels) <= self.rows:
            size *= choices
        with self.device.autocast():
            for codes, x in self._prefixes(self.roots(tokens, reference), self.space.layers, size):
                found = self._score_everything(
                    codes, x, labels, means, dict(zip(budgets, highest, strict=True)), len(x) == size
                )
                scores[done : done + len(codes)] = found[: len(codes)].cpu()
                done += len(codes)
                on_leaves(len(codes) * len(labels))
        scores = scores.view(-1, batch, time, sets + means.shape[1]).permute(3, 1, 2, 0)
        normaliser = highest.logsumexp(-1).T.view(batch, time, len(budgets)).cpu()
        return Scores(scores[:sets], scores[sets:], normaliser)

    def roots(self, tokens: Tensor, reference: Tensor | None = None) -> Roots:
        """Where the tree of tokens [batch, time] begins: in the context `shared`, or, with reference [batch, time],
        in that of this run.

        reference: code of the route that each token keeps while another's routes are tried.
        """
        tokens = tokens.to(self.device.name)
        positions = self.model.positions(tokens.shape[1])
        shared = Roots(self.model.embed(tokens), positions, None)
        if reference is None:
            return shared
        _, pasts = self.follow(shared, reference)
        earlier = torch.full_like(positions.mask, -torch.inf).triu()
        return Roots(shared.x, Positions(positions.rope, earlier), pasts)

    def follow(self, roots: Roots, routes: Tensor) -> tuple[Tensor, list[Past]]:
        """Run the tokens together, each along a route of its own, whose codes are routes [batch, time].

        Returns x [batch, time, width] after the last layer, and what other tokens see of these, layer by layer.
        """
        digits = torch.from_numpy(self.space.decode(routes.numpy()).astype(np.int64)).to(self.device.name)
        x, seen = roots.x, []
        for index, layer in enumerate(self.model.layers):
            _, *keys_and_values = layer.attention.project(layer.attention_norm(x), roots.positions)
            seen.append(Past(*keys_and_values))
            children = branch(
                layer, x[None], roots.positions, self.space.choices, self.skip, roots.pasts and roots.pasts[index]
            )
            x = children.gather(0, digits[None, ..., index, None].expand(1, *x.shape))[0]
        return x, seen

    def _prefixes(self, roots: Roots, depth: int, size: int) -> Iterator[tuple[np.ndarray, Tensor]]:
        """All prefixes of `depth` layers in order of code, in chunks of `size`: codes [prefixes], x [prefixes, batch,
        time, width].

        Once there are enough for a full chunk, the last one is filled up: it has more streams than codes.
        """
        if depth == 0:
            yield np.zeros(1, np.int64), roots.x[None]
            return
        layer, past, choices = self.model.layers[depth - 1], roots.pasts and roots.pasts[depth - 1], self.space.choices
        waiting, streams, filled = np.zeros(0, np.int64), roots.x[None][:0], 0
        for codes, x in self._prefixes(roots, depth - 1, size):
            grow = (
                self._compiled_branch if len(x) == size else branch
            )  # shallow chunks are of many shapes: not worth compiling
            children = grow(layer, x, roots.positions, choices, self.skip, past)
            following = (codes[:, None] * len(choices) + np.arange(len(choices))).ravel()
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
        """Codes [routes], ascending, and losses [routes, sets, batch, time] on the CPU, a chunk of the routes at a
        time.
        """
        size, labels = max(1, self.rows // labels[0].numel()), labels.to(self.device.name)
        for codes, x in self._prefixes(roots, self.space.layers, size):
            yield codes, self._score(x, labels, self._compiled_loss if len(x) == size else label_losses)[: len(codes)]

    def _score(self, x: Tensor, labels: Tensor, score: Callable[[Duo, Tensor, Tensor], Tensor]) -> Tensor:
        """Losses [routes, sets, batch, time], on the CPU, of finished routes; x [routes, batch, time, width]; score:
        label_losses.
        """
        routes, sets = len(x), len(labels)
        streams = x.flatten(0, 2)
        wanted = labels.flatten(1).T.repeat(routes, 1)
        losses = [
            score(self.model, rows, wanted[start : start + LEAF_ROWS])
            for start, rows in zip(range(0, len(streams), LEAF_ROWS), streams.split(LEAF_ROWS), strict=True)
        ]
        return torch.cat(losses).view(routes, *labels.shape[1:], sets).movedim(-1, 1).cpu()

    def _mean_outputs(self, teachers: Tensor | None, tokens: int) -> Tensor:
        """[tokens, teachers, width]: each teacher's mean of the output vectors.

        The mean of the logits under a teacher is the product of this and the final stream: no sum over the vocabulary
        a route.
        """
        outputs = self.model.embedding.weight.float()
        if teachers is None:
            return outputs.new_empty(tokens, 0, outputs.shape[1])
        return torch.stack([each.flatten(0, 1).to(outputs.device).float().exp() @ outputs for each in teachers], dim=1)

    def _score_everything(
        self, codes: np.ndarray, x: Tensor, labels: Tensor, means: Tensor, highest: dict[int, Tensor], whole: bool
    ) -> Tensor:
        """Losses and expected losses [routes, tokens, sets + teachers] of finished routes x [routes, batch, time,
        width].

        labels [tokens, sets]; means [tokens, teachers, width]. Raises highest [tokens, vocabulary], by budget, where
        a log-probability is higher. whole: the chunk is a full one.
        """
        score = self._compiled_leaf if whole else leaf_scores
        codes = np.concatenate([codes, np.repeat(codes[:1], len(x) - len(codes))])  # fillers repeat the first stream
        big = self.space.count(codes, BIG)
        order = np.argsort(big, kind="stable")  # routes of a budget stand together: one maximum for all of them
        present, counts = np.unique(big, return_counts=True)
        streams = x.flatten(1, 2)[torch.from_numpy(order).to(x.device)]
        found = torch.empty(*streams.shape[:2], labels.shape[1] + means.shape[1], device=x.device)
        step = max(1, LEAF_ROWS // len(streams))
        for start in range(0, len(labels), step):
            rows = slice(start, start + step)
            found[:, rows], best = score(
                self.model, streams[:, rows], labels[rows], means[rows], tuple(counts.tolist())
            )
            for budget, log_probabilities in zip(present.tolist(), best, strict=True):
                if budget in highest:
                    torch.maximum(highest[budget][rows], log_probabilities, out=highest[budget][rows])
        return found[torch.from_numpy(np.argsort(order)).to(x.device)]


def branch(
    layer: Layer, x: Tensor, positions: Positions, choices: tuple[str, ...], skip: str = "ffn", past: Past | None = None
) -> Tensor:
    """One layer of the tree: x [prefixes, batch, time, width] -> [prefixes * choices, batch, time, width], siblings
    together.

    skip says what the choice of that name leaves out: "ffn", or the whole "layer". past and positions as in Roots.
    """
    attended = (
        layer.attend(x.flatten(0, 1), positions).view(x.shape)
        if past is None
        else attend_to_past(layer, x, positions, past)
    )
    normed = layer.ffn_norm(attended)

    def after(choice: str) -> Tensor:
        if choice == SKIP:
            return attended if skip == "ffn" else x
        return attended + layer.ffns[choice](normed)

    return torch.stack([after(choice) for choice in choices], dim=1).flatten(0, 1)


def attend_to_past(layer: Layer, x: Tensor, positions: Positions, past: Past) -> Tensor:
    """The residual stream x [prefixes, batch, time, width] after attention to the past, as far as positions.mask
    lets, and to oneself.

    One softmax over both. The past is the same for all prefixes, so their queries meet its keys in one product.
    """
    prefixes, batch, time, _ = x.shape
    projected = layer.attention.project(layer.attention_norm(x).flatten(0, 1), positions)
    q, k, v = (
        each.unflatten(0, (prefixes, batch)).permute(1, 2, 0, 3, 4) for each in projected
    )  # [batch, heads, prefixes, time, size]
    scale = q.shape[-1] ** -0.5
    scores = (q.flatten(2, 3) @ past.keys.mT).unflatten(2, (prefixes, time)).float() * scale + positions.mask
    own = (q.float() * k.float()).sum(-1, keepdim=True) * scale
    peak = torch.maximum(scores.amax(-1, keepdim=True), own)
    weights, own = (scores - peak).exp(), (own - peak).exp()
    from_past = (weights.to(v.dtype).flatten(2, 3) @ past.values).unflatten(2, (prefixes, time))
    mixed = (from_past.float() + own * v.float()) / (weights.sum(-1, keepdim=True) + own)
    return x + layer.attention.out(mixed.to(v.dtype).permute(2, 0, 3, 1, 4).reshape(x.shape))


def label_losses(model: Duo, x: Tensor, labels: Tensor) -> Tensor:
    """Negative log-likelihoods [rows, sets] of labels [rows, sets] given residual streams x [rows, width]."""
    logits = model.logits(x).float()
    return _log_total(logits) - logits.gather(1, labels)


def leaf_scores(model: Duo, x: Tensor, labels: Tensor, means: Tensor, groups: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Losses and expected losses [routes, tokens, sets + teachers], and highest log-probabilities [groups, tokens,
    vocabulary].

    x [routes, tokens, width], labels [tokens, sets], means [tokens, teachers, width] as _mean_outputs. groups: how
    many routes, one after the other, share each maximum.
    """
    logits = model.logits(x).float()
    total = _log_total(logits)
    losses = total - logits.gather(-1, labels.expand(len(x), -1, -1))
    expected = total - (model.norm(x).float()[:, :, None] * means).sum(-1)
    highest = [part.amax(dim=0) for part in (logits - total).split(groups)]
    return torch.cat([losses, expected], dim=-1), torch.stack(highest)


def _log_total(logits: Tensor) -> Tensor:
    """log of the sum of exp(logits [..., vocabulary]), [..., 1]."""
    peak = logits.amax(dim=-1, keepdim=True)
    return peak + (logits - peak).exp().sum(dim=-1, keepdim=True).log()
