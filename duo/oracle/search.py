"""Searches for a token's best route of exactly k big layers that may try few routes, against the exact answer.

Who builds such an oracle for a larger model cannot try all routes. Here every loss is known, so what a search leaves
unfound can be told exactly: its regret, the lowest loss it has met less the lowest there is. A search learns losses
from Trials alone, which counts: an evaluation is one run of the token's sequence through all layers under one route;
a route tried once is known, so none is tried twice. The tokens of a document are searched side by side, each for
itself.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import product

import numpy as np
import torch
from torch import Tensor

from duo import seeds
from duo.data.evaluation_set import EvaluationSet
from duo.errors import InputError
from duo.oracle.branch import label_losses
from duo.oracle.tree import BATCH, Enumerator, Roots
from duo.progress import progress
from duo.routes import RouteSpace
from duo.settings import Search
from duo.terms import BIG

# Dr.LLM's (Heakl et al., arXiv 2510.12773). Its 200 simulations are search.evaluations; its length penalty has no use
# where k is fixed.
UCB = 1.8
RANDOM_MOVES = 0.1
OFFSPRING = 4  # lambda of the (1 + lambda) evolution
RIDGE = 1.0  # penalty on the squared effects of the layers, in squared nats over squared nats of noise


@dataclass(frozen=True)
class Routes:
    """The routes of one budget, which searches know by their index in order of code."""

    layers: int
    budget: int

    def __len__(self) -> int:
        return len(self.codes)

    @cached_property
    def codes(self) -> np.ndarray:
        """[routes] their codes; a code's bits, first layer first, are 1 where the layer is big."""
        return RouteSpace(self.layers).with_budget(self.budget)

    @cached_property
    def big(self) -> np.ndarray:
        """[routes, layers] 1.0 where the layer is big."""
        return RouteSpace(self.layers).big(self.codes).astype(np.float32)

    @cached_property
    def index(self) -> np.ndarray:
        """[codes of the space] the index of each route, -1 for those of other budgets."""
        found = np.full(2**self.layers, -1)
        found[self.codes] = np.arange(len(self))
        return found

    def swaps(self, route: np.ndarray) -> np.ndarray:
        """[n, routes] how many big layers must change places with small ones to lead from route [n] to each other."""
        return self.budget - (self.big[route] @ self.big.T).astype(np.int64)  # exact: sums of few ones

    def begins(self, depth: int) -> np.ndarray:
        """[prefixes of `depth` layers] bool: whether a route of the budget begins with the prefix."""
        return np.isin(np.arange(2**depth), self.codes >> (self.layers - depth))


class Trials:
    """What a search may know: losses of the routes, and of the prefixes, that it paid for; and how well it fared.

    losses [tokens, routes] nats; lens: by depth from 1, [tokens, prefixes] nats. Spent is counted in layers run, a
    token at a time: a route costs all layers, a prefix as many as it has, as nothing is kept from one run to the
    next; the second time both are free.
    """

    def __init__(self, losses: np.ndarray, routes: Routes, limit: int, lens: list[np.ndarray] | None = None):
        self._losses, self._layers, self._lens = losses, routes.layers, lens
        self.limit, self.rounds = limit, min(limit, len(routes))  # evaluations per token; as many of different routes
        self.tried = np.zeros(losses.shape, bool)
        self._seen = [np.zeros(level.shape, bool) for level in lens or []]
        self._spent = np.zeros(len(losses), np.int64)
        self._lowest = np.full((len(losses), self.limit), np.inf, np.float32)
        self._rows = np.arange(len(losses))

    def __len__(self) -> int:
        return len(self._losses)

    @property
    def lowest(self) -> np.ndarray:
        """[tokens, limit] the lowest loss met by each token within 1, 2, ... evaluations; infinite before the first."""
        return np.minimum.accumulate(self._lowest, axis=1)

    @property
    def exhausted(self) -> bool:
        """Whether every token has spent its evaluations."""
        return bool((self._spent >= self.limit * self._layers).all())

    def evaluate(self, routes: np.ndarray) -> np.ndarray:
        """[tokens] loss of each token under its own route, routes [tokens]; -1 for a token that tries none, whose
        loss is infinite.
        """
        rows = self._rows[routes >= 0]
        some = routes[rows]
        self._spent[rows] += self._layers * ~self.tried[rows, some]
        self.tried[rows, some] = True
        found = np.full(len(self), np.inf, np.float32)
        found[rows] = self._losses[rows, some]
        at = -(-self._spent[rows] // self._layers) - 1
        paid, at = rows[at < self.limit], at[at < self.limit]
        self._lowest[paid, at] = np.minimum(self._lowest[paid, at], found[paid])
        return found

    def peek(self, depth: int, prefixes: np.ndarray, wanted: np.ndarray) -> np.ndarray:
        """[tokens, n] losses under the logit lens behind prefixes [tokens, n] of `depth` layers; infinite where not
        wanted [tokens, n].
        """
        rows = self._rows[:, None]
        seen = self._seen[depth - 1]
        self._spent += depth * (wanted & ~seen[rows, prefixes]).sum(axis=1)
        seen[rows, prefixes] |= wanted
        return np.where(wanted, self._lens[depth - 1][rows, prefixes], np.inf)


def random_routes(trials: Trials, routes: Routes, rng: np.random.Generator) -> None:
    """Routes at random, none twice."""
    for _ in range(trials.rounds):
        trials.evaluate(_draw(~trials.tried, rng))


def one_flip(trials: Trials, routes: Routes, rng: np.random.Generator) -> None:
    """Local search: a big and a small layer change places, kept if that is better; from a new random route where
    nothing is.
    """
    _local(trials, routes, rng, radius=1)


def two_flip(trials: Trials, routes: Routes, rng: np.random.Generator) -> None:
    """As one_flip, but where no swap is better, two at once are tried."""
    _local(trials, routes, rng, radius=2)


def _local(trials: Trials, routes: Routes, rng: np.random.Generator, radius: int) -> None:
    """Try the untried routes at fewest swaps, in random order; move to the first that is better; beyond `radius`
    swaps, start anew.
    """
    here = _draw(~trials.tried, rng)
    lowest = trials.evaluate(here)
    for _ in range(1, trials.rounds):
        swaps = np.where(trials.tried, np.inf, np.minimum(routes.swaps(here), radius + 1))
        nearest = swaps.min(axis=1)
        there = _draw(swaps == nearest[:, None], rng)
        loss = trials.evaluate(there)
        moves = (loss < lowest) | (nearest > radius)
        here, lowest = np.where(moves, there, here), np.where(moves, loss, lowest)


def evolution(trials: Trials, routes: Routes, rng: np.random.Generator) -> None:
    """(1 + lambda): the best of OFFSPRING children replaces its parent unless it is worse.

    A child is one swap away with chance 1/2, two swaps with 1/4, and so on, in any direction; a child known already
    is drawn again.
    """
    farthest = min(routes.budget, routes.layers - routes.budget)
    at_distance = np.bincount(
        routes.swaps(np.zeros(1, np.int64))[0], minlength=farthest + 1
    )  # the same from every route
    rarity = at_distance * 2.0 ** np.arange(farthest + 1)
    parent = _draw(~trials.tried, rng)
    lowest = trials.evaluate(parent)
    child, best = parent, np.full(len(trials), np.inf)
    for count in range(1, trials.rounds):
        waits = rng.standard_exponential(trials.tried.shape, np.float32) * rarity[routes.swaps(parent)]
        drawn = np.where(trials.tried, np.inf, waits).argmin(axis=1)
        loss = trials.evaluate(drawn)
        child, best = np.where(loss < best, drawn, child), np.minimum(loss, best)
        if count % OFFSPRING == 0:
            parent, lowest = np.where(best <= lowest, child, parent), np.minimum(best, lowest)
            best = np.full(len(trials), np.inf)


def additive(trials: Trials, routes: Routes, rng: np.random.Generator) -> None:
    """Ridge regression of the losses met so far on a mean and an effect of every layer; the route of the lowest
    prediction comes next.

    As many random routes as there are layers come first.
    """
    features = (routes.big - routes.budget / routes.layers).astype(np.float64)
    tokens, layers = len(trials), routes.layers
    squares, products = np.tile(RIDGE * np.eye(layers), (tokens, 1, 1)), np.zeros((tokens, layers))
    sums, total = np.zeros((tokens, layers)), np.zeros((tokens, 1))
    for count in range(trials.rounds):
        if count < layers:
            chosen = _draw(~trials.tried, rng)
        else:
            effects = np.linalg.solve(squares, (products - sums * total / count)[..., None])[..., 0]
            predicted = np.einsum(
                "tl,rl->tr", effects, features
            )  # no BLAS product, whose last digits depend on the threads
            chosen = np.where(trials.tried, np.inf, predicted).argmin(axis=1)
        loss, feature = trials.evaluate(chosen)[:, None], features[chosen]
        squares += feature[:, :, None] * feature[:, None]
        products += feature * loss
        sums += feature
        total += loss


def mcts(trials: Trials, routes: Routes, rng: np.random.Generator) -> None:
    """Monte Carlo tree search over the layers, one after the other small or big, as in Dr.LLM; every simulation is an
    evaluation.

    The value of a node is the mean loss of its simulations, scaled so that the token's highest loss so far is 0 and
    its lowest 1. A move takes the child of the higher value + UCB sqrt(log(visits of the node) / visits of the
    child), an unvisited one first, or with chance RANDOM_MOVES either; behind a new node one of its routes is drawn.
    A node whose routes have all been tried is closed.
    """
    layers, rows = routes.layers, np.arange(len(trials))
    # Nodes are numbered as in a heap: the root is 1, the children of n are 2n, where the next layer is small, and 2n
    # + 1.
    paths = (routes.codes + 2**layers)[:, None] >> np.arange(layers, -1, -1)
    untried = np.tile(np.bincount(paths.ravel(), minlength=2 ** (layers + 1)), (len(trials), 1))
    visits, totals = np.zeros_like(untried), np.zeros(untried.shape)
    lowest, highest = np.full((len(trials), 1), np.inf), np.full((len(trials), 1), -np.inf)
    for _ in range(trials.rounds):
        node = np.ones(len(trials), np.int64)
        for _ in range(layers):
            children = rows[:, None], 2 * node[:, None] + np.arange(2)
            means = totals[children] / np.maximum(visits[children], 1)
            values = np.divide(highest - means, highest - lowest, out=np.zeros_like(means), where=highest > lowest)
            greedy = _upper_bounds(values, visits[rows, node], visits[children])
            node = 2 * node + (rng.random(len(rows)) < _chance_of_big(greedy, visits[rows, node], untried[children]))
        chosen = routes.index[node - 2**layers]
        loss = trials.evaluate(chosen)[:, None]
        lowest, highest = np.minimum(lowest, loss), np.maximum(highest, loss)
        path = rows[:, None], paths[chosen]
        untried[path] -= 1
        known = visits[path] > 0
        known[:, 1:] = known[:, :-1].copy()  # what lies behind the first new node is forgotten
        known[:, 0] = True
        totals[path] += known * loss
        visits[path] += known


def _upper_bounds(values: np.ndarray, visits: np.ndarray, visits_of_children: np.ndarray) -> np.ndarray:
    """[tokens, 2] upper confidence bounds of both children, of values and visits_of_children [tokens, 2] and visits
    [tokens].
    """
    with np.errstate(divide="ignore"):
        return values + UCB * np.sqrt(np.log(np.maximum(visits, 2))[:, None] / visits_of_children)


def _chance_of_big(bounds: np.ndarray, visits: np.ndarray, untried: np.ndarray) -> np.ndarray:
    """[tokens] chance of the child that is big, of the children's bounds and untried routes [tokens, 2] and the
    node's visits [tokens].
    """
    higher = np.where(bounds[:, 0] == bounds[:, 1], 0.5, bounds[:, 0] < bounds[:, 1])
    chance = np.where(visits > 0, (1 - RANDOM_MOVES) * higher + RANDOM_MOVES / 2, untried[:, 1] / untried.sum(axis=1))
    return np.where((untried > 0).all(axis=1), chance, untried[:, 1] > 0)


def beam(trials: Trials, routes: Routes, rng: np.random.Generator) -> None:
    """Beam search layer by layer, prefixes ranked by the label's loss under the logit lens; then again with a wider
    beam, from 1 on.

    The budget settles the last layer, so the routes themselves are tried there, those of the better ranked prefixes
    first.
    """
    tokens, codes = len(trials), np.arange(2 ** (routes.layers - 1))
    ends = routes.index[2 * codes + (routes.budget - RouteSpace(routes.layers - 1).count(codes, BIG) == 1)]
    ends[~routes.begins(routes.layers - 1)] = -1
    for width in range(1, len(routes) + 1):
        prefixes, kept = np.zeros((tokens, 1), np.int64), np.ones((tokens, 1), bool)
        for depth in range(1, routes.layers):
            children = (2 * prefixes[..., None] + np.arange(2)).reshape(tokens, -1)
            wanted = kept.repeat(2, axis=1) & routes.begins(depth)[children]
            if depth < routes.layers - 1:
                order = trials.peek(depth, children, wanted).argsort(axis=1, kind="stable")[:, :width]
                prefixes, kept = (np.take_along_axis(each, order, axis=1) for each in (children, wanted))
        for column in np.where(wanted, ends[children], -1).T:
            trials.evaluate(column)
        if trials.exhausted:
            return


METHODS: dict[str, Callable[[Trials, Routes, np.random.Generator], None]] = {"random": random_routes} | {
    search.__name__: search for search in (mcts, evolution, beam, one_flip, two_flip, additive)
}


def _draw(among: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """[tokens] an index drawn from those where among [tokens, routes] is True, for each token."""
    return (rng.random(among.shape, np.float32) - ~among).argmax(axis=1)


Found = dict[tuple[str, int], np.ndarray]  # by method and budget: [documents, evaluations, 2], as `run` gives it


class Lens(Enumerator):
    """The enumerator's tree, whose prefixes are scored too: the logit lens takes the stream behind a prefix for the
    last layer's.
    """

    def losses_by_depth(self, tokens: Tensor, labels: Tensor, depth: int) -> list[np.ndarray]:
        """Of the prefixes of 1, 2, ... `depth` layers, each [documents, time, prefixes] nats, fp32, in order of code.

        tokens, labels [documents, time]. Beside the results, memory as in Enumerator.
        """
        batches = list(zip(tokens.split(BATCH), labels.split(BATCH), strict=True))
        batches = progress("logit lens", "batches", batches)
        parts = [self._batch(some, wanted[None], depth) for some, wanted in batches]
        return [np.concatenate(level) for level in zip(*parts, strict=True)]

    @torch.no_grad()
    def _batch(self, tokens: Tensor, labels: Tensor, depth: int) -> list[np.ndarray]:
        self._labels = labels.to(self.device.name)
        self._levels = [[] for _ in range(depth)]
        with self.device.autocast():
            for _ in self._prefixes(self.roots(tokens), depth, max(1, self.chunk // labels.numel())):
                pass
        return [torch.cat(level).movedim(0, -1).numpy() for level in self._levels]

    def _prefixes(self, roots: Roots, depth: int, size: int) -> Iterator[tuple[np.ndarray, Tensor]]:
        for codes, x in super()._prefixes(roots, depth, size):
            if depth > 0:
                score = self._compiled_loss if len(x) == size else label_losses
                self._levels[depth - 1].append(self._score(x, self._labels, score)[: len(codes), 0])
            yield codes, x


def run(
    losses: np.ndarray,
    lens: list[np.ndarray] | None,
    routes: Routes,
    method: str,
    evaluations: int,
    rng: np.random.Generator,
) -> np.ndarray:
    """[evaluations, 2] mean regret in nats and share of tokens whose best route is found, after 1, 2, ... evaluations
    of each token.

    losses [tokens, routes] nats; lens as Trials needs it for beam. The evaluations end where they would reach all
    routes. The regret is infinite as long as a token has no route.
    """
    trials = Trials(losses, routes, evaluations, lens)
    METHODS[method](trials, routes, rng)
    lowest = trials.lowest[:, : trials.rounds].astype(np.float64)
    best = losses.min(axis=1, keepdims=True)
    return np.stack([(lowest - best).mean(axis=0), (lowest == best).mean(axis=0)], axis=1)


def find(
    sample: EvaluationSet,
    losses: Mapping[tuple[str, str], np.ndarray],
    lens: list[np.ndarray] | None,
    settings: Search,
    layers: int,
    seed: int,
) -> dict[str, Found]:
    """What each method finds at each budget in the documents of the sample, domain by domain.

    losses: by (domain, document), [time, routes of all budgets] nats, as duo.oracle.select.by_document gives them; lens
    as Lens.losses_by_depth does, where beam is asked for. A document's random numbers are its own. InputError where the
    losses are not those of the sample.
    """
    _check(sample, losses)
    found = {domain: {} for domain in sample.domains}
    keys = list(product(found, settings.budgets, settings.methods))
    for domain, budget, method in progress("search", "searches", keys):
        routes, parts = Routes(layers, budget), []
        for index in np.flatnonzero(np.array(sample.domains) == domain):
            document = sample.documents[index]
            mine = [level[index] for level in lens] if method == "beam" else None
            rng = seeds.stream(seed, "search", method, budget, domain, document)
            parts.append(
                run(losses[domain, document][:, routes.codes], mine, routes, method, settings.evaluations, rng)
            )
        found[domain][method, budget] = np.stack(parts)
    return found


def _check(sample: EvaluationSet, losses: Mapping[tuple[str, str], np.ndarray]) -> None:
    time = sample.tokens.shape[1]
    for domain, document in zip(sample.domains, sample.documents, strict=True):
        if len(losses.get((domain, document), ())) != time:
            raise InputError(f"domain {domain}, document {document}: its losses should be of {time} tokens")
