"""Routers that learn from losses of a few random routes: how much more would more supervision give?

Every token has the losses of some routes of a budget (duo.routers.supervision). From as much of it both the fixed route
and the router are learned, so a router that finds nothing is the fixed route. A route's loss is predicted as that of
the route in its domain, which is of first and second order in the layers, less the margins of the layers that are big.
The router takes the route of lowest predicted loss.

A router may be told the true labels' losses, the losses that a teacher expects (no label's noise), or the true ones of
other tokens, from which nothing can be learned but the fixed route.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from duo.routers import policies
from duo.routers.budgets import under
from duo.routers.dataset import RouterDataset
from duo.routes import RouteSpace
from duo.seeds import stream
from duo.settings import PolicyTraining
from duo.terms import EXACT, EXPECTED, SHUFFLED, TRUE

STRENGTHS = (0.01, 0.1, 1.0, 10.0)  # of the ridge, in rows; one is chosen on validation
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

    def take(self, rows: Tensor) -> "Supervision":
        """That of these tokens."""
        parts = (part[rows] for part in (self.routes, self.losses, self.expected))
        return Supervision(self.inputs[rows], self.domain[rows], self.sequence[rows], self.budgets, *parts)


class Told(NamedTuple):
    """One member: whose losses it is told, and its budget."""

    supervision: str
    budget: int

    @property
    def constraint(self) -> str:
        """Every token has exactly its budget."""
        return EXACT


class SampledFrontier(NamedTuple):
    """The routes of a member that knows one budget alone."""

    routes: Tensor

    def meeting(self, constraint: str, budget: int) -> Tensor:
        """[tokens] the routes."""
        return self.routes


class SampledMargins:
    """Least squares of losses less the domain's, centred over a token's routes: unbiased by which routes were drawn.

    Its members are all of SUPERVISIONS at every budget; untrained, each is the fixed route that is learned from its
    own losses.
    """

    outputs = 1  # of the network, per member and layer

    def __init__(self, train: Supervision, validation: RouterDataset, layers: int, seed: int):
        self.space, self.budgets = RouteSpace(layers), train.budgets
        self.domains = len(validation.domains)
        self.digits = torch.from_numpy(self.space.digits).float()
        self.codes = {budget: torch.from_numpy(self.space.with_budget(budget)) for budget in self.budgets}
        self.members = [Told(told, budget) for told in SUPERVISIONS for budget in self.budgets]
        self.bases, self.big, self.targets, units = [], [], [], []
        for told, budget in self.members:
            at = self.budgets.index(budget)
            routes, losses = train.routes[:, at], (train.expected if told == EXPECTED else train.losses)[:, at]
            base = bases(routes, losses, train, validation, self.codes[budget], self.space)
            if told == SHUFFLED:
                order = within_domains(train.domain, seed, budget)
                routes, losses = routes[order], losses[order]
            left = centred(losses - base[train.domain[:, None], routes])
            self.bases.append(base)
            self.big.append(centred(self.digits[routes]))
            self.targets.append(left)
            units.append(left.square().mean().sqrt().clamp(min=1e-9) / layers**0.5)
        self.units = torch.stack(units)  # nats, of a margin of 1

    def bias(self) -> Tensor:
        """[layers, members, domains, outputs] zeros: before training, every route is worth what it is in its domain."""
        return torch.zeros(self.space.layers, len(self.members), self.domains, self.outputs)

    def loss(self, outputs: Tensor, rows: Tensor, step: int, steps: int) -> Tensor:
        """As in duo.routers.objectives: the squared error, in units of the spread of what is to be predicted."""
        total = torch.zeros(())
        for margins, big, target, unit in zip(outputs[..., 0], self.big, self.targets, self.units, strict=True):
            gained = torch.einsum("trl,tl->tr", big[rows], margins)
            total = total + (target[rows] / unit + gained).square().sum(1).mean() / (target.shape[1] - 1)
        return total

    def frontiers(self, outputs: Tensor, dataset: RouterDataset) -> list[SampledFrontier]:
        """What every member chooses for the tokens."""
        domain, found = dataset.domain, []
        for (_, budget), base, margins, unit in zip(self.members, self.bases, outputs[..., 0], self.units, strict=True):
            codes = self.codes[budget]
            predicted = base[:, codes][domain] - unit * margins @ self.digits[codes].T
            found.append(SampledFrontier(codes[predicted.argmin(1)]))
        return found

    def fixed(self, dataset: RouterDataset) -> dict[int, Tensor]:
        """By budget, the route [tokens] that is fixed for the token's domain, learned from the true losses."""
        chosen = {}
        for (told, budget), base in zip(self.members, self.bases, strict=True):
            if told == TRUE:
                chosen[budget] = self.codes[budget][base[:, self.codes[budget]].argmin(1)][dataset.domain]
        return chosen


def bases(
    routes: Tensor,
    losses: Tensor,
    train: Supervision,
    validation: RouterDataset,
    codes: Tensor,
    space: RouteSpace,
) -> Tensor:
    """[domains, routes] what a route of the budget costs in each domain, nats, but for a constant; by ridge regression.

    Rows are the sequences' means over tokens, less the sequence's mean over its routes; the strength is that whose
    lowest route is best on validation. routes, losses [tokens, each]; codes: all routes of the budget.
    """
    signs = 2.0 * torch.from_numpy(space.digits).double() - 1
    first, second = torch.triu_indices(space.layers, space.layers, 1)
    products = torch.cat([signs, signs[:, first] * signs[:, second]], dim=1)
    found = torch.zeros(len(validation.domains), len(space))
    for domain in train.domain.unique().tolist():
        rows = torch.nonzero(train.domain == domain)[:, 0]
        ids, of_row = train.sequence[rows].unique(return_inverse=True)
        heads = torch.stack([rows[of_row == index][0] for index in range(len(ids))])
        counts = torch.bincount(of_row)[:, None]
        means = torch.zeros(len(ids), losses.shape[1], dtype=torch.float64).index_add_(0, of_row, losses[rows].double())
        x = centred(products[routes[heads]]).flatten(0, 1)
        y = centred(means / counts).flatten()
        judged = validation.losses[validation.domain == domain]
        best = np.inf
        for strength in STRENGTHS:
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


def train(
    supervision: Supervision,
    network: str,
    training: PolicyTraining,
    validation: RouterDataset,
    held_out: RouterDataset,
    seed: int,
) -> tuple[dict[Told, Tensor], dict[int, Tensor], dict[Told, float]]:
    """Losses [tokens] of the held-out tokens under every member's routes, and by budget under the fixed route's; and
    every member's loss on validation.
    """
    objective = SampledMargins(supervision, validation, held_out.layers, seed)
    generator = torch.Generator().manual_seed(int(stream(seed, "learning", network).integers(2**31)))
    hidden = training.hidden if network == "mlp" else None
    net = policies.Network(supervision.inputs, objective.bias(), hidden, generator)
    rest = (supervision.inputs, supervision.domain, validation, validation.inputs, training, generator)
    policies.fit(net, objective, *rest)
    losses = []
    for dataset in (held_out, validation):
        frontiers = objective.frontiers(net.over(dataset.inputs, dataset.domain), dataset)
        losses.append([under(dataset.losses, frontier.routes) for frontier in frontiers])
    fixed = {budget: under(held_out.losses, routes) for budget, routes in objective.fixed(held_out).items()}
    validated = {member: loss.mean().item() for member, loss in zip(objective.members, losses[1], strict=True)}
    return dict(zip(objective.members, losses[0], strict=True)), fixed, validated


def better(networks: Sequence[tuple[dict[Told, Tensor], dict[int, Tensor], dict[Told, float]]]) -> dict[Told, Tensor]:
    """Of every member, the losses under the network that is best on validation; networks as `train` gives them."""
    members = networks[0][0]
    return {member: min(networks, key=lambda each: each[2][member])[0][member] for member in members}
