"""What is learned from losses of a few random routes per token: the fixed route, and routers for every token.

A router may be told the true labels' losses, the losses that a teacher expects (no label's noise), or the true ones of
other tokens, from which nothing can be learned but the fixed route. What noise does to it must not be mixed up with
what an optimizer does with noise. So the router that predicts losses is a linear reading of the hidden states that is
solved for exactly, by ridge regression; the one that lowers its expected loss is trained (duo.routers.learning).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from duo.model.device import Device
from duo.model.transformer import Duo
from duo.routers.budgets import under
from duo.routers.dataset import RouterDataset, hidden
from duo.routers.objectives import TEMPERATURES
from duo.routes import RouteSpace
from duo.seeds import stream
from duo.tables.files import matrix
from duo.terms import EXACT, EXPECTED, SHUFFLED, TRUE
from duo.training.loop import temperature

# Of the ridges, in rows of what is regressed; one is chosen on validation.
BASE_STRENGTHS = (0.1, 1.0, 10.0, 100.0, 1000.0)
STRENGTHS = tuple(10.0**power for power in (2, 2.5, 3, 3.5, 4, 4.5, 5, 5.5, 6))
SUPERVISIONS = (TRUE, EXPECTED, SHUFFLED)


@dataclass(frozen=True)
class Supervision:
    """What routers learn from, by token; its tensors are on the CPU."""

    inputs: Tensor  # [tokens, layers, width] hidden states
    domain: Tensor  # [tokens] index of the domain
    sequence: Tensor  # [tokens] index of the sequence, whose tokens share their routes
    budgets: list[int]
    routes: Tensor  # [tokens, budgets, each] codes
    losses: Tensor  # the same, of true labels, nats
    expected: Tensor  # the same, as the teacher expects them


def first(
    tables: Mapping[str, pa.Table], tokens: int, budgets: list[int], backbone: Duo, device: Device
) -> Supervision:
    """The first so many tokens of every domain, in whole rows, from SUPERVISION by domain.

    budgets: as the tables were made with.
    """
    parts, rows = [], 0
    for index, table in enumerate(tables.values()):
        ids = matrix(table["tokens"]).astype(np.int64)
        length = ids.shape[1] - 1
        ids, table = ids[: -(-tokens // length)], table.slice(0, -(-tokens // length))
        count = len(ids) * length
        routes = torch.from_numpy(matrix(table["routes"]).astype(np.int64)).view(len(ids), 1, len(budgets), -1)
        parts.append(
            Supervision(
                hidden(backbone, ids[:, :-1], device).flatten(0, 1),
                torch.full((count,), index),
                torch.arange(rows, rows + len(ids)).repeat_interleave(length),
                budgets,
                routes.expand(-1, length, -1, -1).flatten(0, 1),
                *(torch.tensor(matrix(table[name])).view(count, len(budgets), -1) for name in ("losses", "expected")),
            )
        )
        rows += len(ids)
    names = ("inputs", "domain", "sequence", "routes", "losses", "expected")
    return Supervision(budgets=budgets, **{name: torch.cat([getattr(part, name) for part in parts]) for name in names})


class Told(NamedTuple):
    """One member: whose losses it is told, and its budget."""

    supervision: str
    budget: int

    @property
    def constraint(self) -> str:
        """Every token has exactly its budget."""
        return EXACT


class Outcome(NamedTuple):
    """What members do: losses [tokens] of the held-out tokens, and their mean on validation."""

    losses: dict[Told, Tensor]
    validated: dict[Told, float]


class SampledFrontier(NamedTuple):
    """The routes of a member that knows one budget alone."""

    routes: Tensor

    def meeting(self, constraint: str, budget: int) -> Tensor:
        """[tokens] the routes."""
        return self.routes


class SampledObjective:
    """What is learned from losses of a few routes per token; its members are all of `supervisions` at every budget.

    Untrained, each member is the fixed route of the domain that is learned from its own losses. What it is told of a
    token are the losses less the domain's, centred over the token's routes: of those that all tokens of a domain share,
    and of what one token's routes have in common, nothing is left to learn.
    """

    outputs = 1  # of the network, per member and layer

    def __init__(
        self,
        train: Supervision,
        validation: RouterDataset,
        layers: int,
        seed: int,
        supervisions: Sequence[str] = SUPERVISIONS,
    ):
        self.space, self.domain, self.domains = RouteSpace(layers), train.domain, len(validation.domains)
        self.digits = torch.from_numpy(self.space.digits).float()
        self.codes = {budget: torch.from_numpy(self.space.with_budget(budget)) for budget in train.budgets}
        self.members = [Told(told, budget) for told in supervisions for budget in train.budgets]
        self.bases, self.routes, self.targets = [], [], []
        for told, budget in self.members:
            at = train.budgets.index(budget)
            routes, losses = train.routes[:, at], (train.expected if told == EXPECTED else train.losses)[:, at]
            base = bases(routes, losses, train, validation, self.codes[budget], self.space)
            if told == SHUFFLED:
                order = within_domains(train.domain, seed, budget)
                routes, losses = routes[order], losses[order]
            self.bases.append(base)
            self.routes.append(routes)
            self.targets.append(centred(losses - base[train.domain[:, None], routes]))

    def fixed(self, dataset: RouterDataset) -> dict[Told, Tensor]:
        """The route [tokens] that is fixed for the token's domain, learned from what the member is told."""
        members = zip(self.members, self.bases, strict=True)
        return {told: self._best(base, told.budget)[dataset.domain] for told, base in members}

    def _best(self, base: Tensor, budget: int) -> Tensor:
        """[domains] the domain's best route of the budget."""
        return self.codes[budget][base[:, self.codes[budget]].argmin(1)]


class LeastSquares(SampledObjective):
    """A route is predicted to cost what it costs in its domain, less the margins of its big layers, each of which is a
    linear reading of the layer's state. The router takes the route of lowest prediction.

    Unbiased by which routes were drawn, and exact: least squares with a ridge on the readings, whose strength is best
    on validation; at no reading at all it is the fixed route.
    """

    def solve(self, train: Supervision, validation: RouterDataset, held_out: RouterDataset) -> Outcome:
        """What every member does."""
        features = StateFeatures(train)
        on_validation, on_held_out = (features.of(each.inputs) for each in (validation, held_out))
        systems: dict[tuple[int, bool], Tensor] = {}
        losses, validated = {}, {}
        for index, (member, base) in enumerate(zip(self.members, self.bases, strict=True)):
            codes, big = self.codes[member.budget], centred(self.digits[self.routes[index]])
            key = (member.budget, member.supervision == SHUFFLED)  # true and expected losses are of the same routes
            if key not in systems:
                systems[key] = features.products(big)
            right = -features.sums(torch.einsum("tr,trl->tl", self.targets[index], big))
            best, lowest = torch.zeros(right.shape), torch.inf
            for strength in (torch.inf, *STRENGTHS):
                weights = features.solved(systems[key], right, strength)
                routes = self._routes(on_validation, weights, base, codes, validation.domain)
                loss = under(validation.losses, routes).mean().item()
                if loss < lowest:
                    lowest, best = loss, weights
            routes = self._routes(on_held_out, best, base, codes, held_out.domain)
            losses[member], validated[member] = under(held_out.losses, routes), lowest
        return Outcome(losses, validated)

    def _routes(self, features: Tensor, weights: Tensor, base: Tensor, codes: Tensor, domain: Tensor) -> Tensor:
        """[tokens] routes of lowest predicted loss; features [layers, tokens, width], weights [layers, width]."""
        margins = torch.einsum("ltw,lw->tl", features, weights)
        return codes[(base[:, codes][domain] - margins @ self.digits[codes].T).argmin(1)]


class StateFeatures:
    """Hidden states, standardised over what is learned from: what margins are linear in.

    What a layer is worth in a domain is in the domain's routes already.
    """

    def __init__(self, train: Supervision):
        deviation, self.mean = torch.std_mean(train.inputs, dim=0)
        self.deviation = deviation.clamp(min=1e-6)
        self.learned = self.of(train.inputs)

    def of(self, inputs: Tensor) -> Tensor:
        """[layers, tokens, width] of inputs [tokens, layers, width]."""
        return ((inputs - self.mean) / self.deviation).transpose(0, 1).contiguous()

    def products(self, big: Tensor) -> Tensor:
        """[layers * width, layers * width] the matrix of the normal equations, fp64, from big [tokens, each, layers].

        For two layers, the sum over tokens of (products of the two in big, over routes) times (products of states).
        """
        layers, _, width = self.learned.shape
        pairs = torch.einsum("trl,trm->lmt", big, big)
        system = torch.zeros(layers, width, layers, width, dtype=torch.float64)
        for one in range(layers):
            for other in range(one, layers):
                block = (self.learned[one] * pairs[one, other][:, None]).T @ self.learned[other]
                system[one, :, other], system[other, :, one] = block, block.T
        return system.view(layers * width, -1)

    def sums(self, values: Tensor) -> Tensor:
        """[layers, width] sums over tokens of states times values [tokens, layers], fp64."""
        return torch.einsum("ltw,tl->lw", self.learned, values).double()

    def solved(self, system: Tensor, right: Tensor, strength: float) -> Tensor:
        """[layers, width] weights under a ridge; all zero under an infinite one."""
        if strength == torch.inf:
            return torch.zeros(right.shape)
        ridge = strength * torch.eye(len(system), dtype=torch.float64)
        return torch.linalg.solve(system + ridge, right.flatten()).view(right.shape).float()


class SampledExpectedLoss(SampledObjective):
    """The loss expected under the policy's own chances of the budget's routes, which are annealed to be hard.

    Chances are as exp(sum of the big layers' margins / temperature). What a route costs in its domain is summed over
    all routes; what it costs a token beyond, over those drawn for it, each weighted by one over its chance to be drawn.
    As the mean over the token's routes is taken off, that is unbiased but for a constant where it is divided by one
    less than their number. The router takes the route of highest chance.
    """

    def bias(self) -> Tensor:
        """[layers, members, domains, outputs] 1 for the layers of the domain's best route, -1 for the others."""
        best = [self._best(base, budget) for base, (_, budget) in zip(self.bases, self.members, strict=True)]
        return (2 * self.digits[torch.stack(best)] - 1).permute(2, 0, 1)[..., None]

    def loss(self, outputs: Tensor, rows: Tensor, step: int, steps: int) -> Tensor:
        """As in duo.routers.objectives."""
        margins = outputs[..., 0] / temperature(step, steps, TEMPERATURES)
        total, domain = torch.zeros(()), self.domain[rows]
        for (_, budget), base, routes, target, of_member in zip(
            self.members, self.bases, self.routes, self.targets, margins, strict=True
        ):
            codes = self.codes[budget]
            chances = (of_member @ self.digits[codes].T).softmax(1)
            drawn = chances.gather(1, torch.searchsorted(codes, routes[rows]))  # codes ascend
            everywhere = (chances * base[:, codes][domain]).sum(1)
            here = (drawn * target[rows]).sum(1) * (len(codes) / (routes.shape[1] - 1))
            total = total + (everywhere + here).mean()
        return total

    def frontiers(self, outputs: Tensor, dataset: RouterDataset) -> list[SampledFrontier]:
        """What every member chooses for the tokens."""
        return [
            SampledFrontier(self.codes[budget][(margins @ self.digits[self.codes[budget]].T).argmax(1)])
            for (_, budget), margins in zip(self.members, outputs[..., 0], strict=True)
        ]


def bases(
    routes: Tensor,
    losses: Tensor,
    train: Supervision,
    validation: RouterDataset,
    codes: Tensor,
    space: RouteSpace,
) -> Tensor:
    """[domains, routes] what a route of the budget costs in each domain, nats, but for a constant; by ridge regression
    on which layers, and which pairs of layers, are big.

    Rows are the sequences' means over tokens, less the sequence's mean over its routes; the strength is that whose
    lowest route is best on validation. routes, losses [tokens, each]; codes: all routes of the budget.
    """
    signs = 2.0 * torch.from_numpy(space.digits).double() - 1
    upper, lower = torch.triu_indices(space.layers, space.layers, 1)
    products = torch.cat([signs, signs[:, upper] * signs[:, lower]], dim=1)
    found = torch.zeros(len(validation.domains), len(space))
    for domain in train.domain.unique().tolist():
        rows = torch.nonzero(train.domain == domain)[:, 0]
        ids, heads, of_row = np.unique(train.sequence[rows].numpy(), return_index=True, return_inverse=True)
        of_row = torch.from_numpy(of_row)
        means = torch.zeros(len(ids), losses.shape[1], dtype=torch.float64).index_add_(0, of_row, losses[rows].double())
        x = centred(products[routes[rows[heads]]]).flatten(0, 1)
        y = centred(means / torch.bincount(of_row)[:, None]).flatten()
        judged = validation.losses[validation.domain == domain]
        best = np.inf
        for strength in BASE_STRENGTHS:
            system = x.T @ x + strength * torch.eye(x.shape[1], dtype=torch.float64)
            base = (products @ torch.linalg.solve(system, x.T @ y)).float()
            loss = judged[:, codes[base[codes].argmin()]].mean().item()
            if loss < best:
                best, found[domain] = loss, base
    return found


def centred(values: Tensor) -> Tensor:
    """[tokens, each, ...] less the mean over a token's routes."""
    return values - values.mean(1, keepdim=True)


def within_domains(domain: Tensor, seed: int, budget: int) -> Tensor:
    """[tokens] an order in which every token's place is taken by one of its own domain."""
    order, random = torch.arange(len(domain)), stream(seed, "learning", "shuffled", budget)
    for index in domain.unique().tolist():
        rows = torch.nonzero(domain == index)[:, 0]
        order[rows] = rows[torch.from_numpy(random.permutation(len(rows)))]
    return order
