"""What routers are trained for where the loss of every route is known (docs/gain.md).

An objective says what a network's outputs are, what is minimised, and which routes follow from the outputs. The
policies of all constraints and budgets that share a network are its members, [members, ...] in every tensor; they
train side by side and do not mix. All are told the domain, as the baselines are: a network has a bias for each.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import torch
import torch.nn.functional as F
from scipy.optimize import bisect
from torch import Tensor

from duo.routers.budgets import Frontier, by_margin, by_value, under
from duo.routers.dataset import RouterDataset
from duo.routes import RouteSpace
from duo.settings import PolicyTraining
from duo.terms import AVERAGE, DISTILLATION, EXACT, EXPECTED_LOSS, STRAIGHT_THROUGH, VALUE
from duo.training.loop import temperature

CHUNK = 2048  # tokens for which something is computed of all routes at once
TEMPERATURES = [1.0, 0.1]  # of a policy's chances in training, first and last
# How fast the price of a big layer follows the use of big layers in training: nats per big layer, for every layer that
# is used too many.
CONTROL = 0.005


@dataclass(frozen=True)
class Member:
    """One policy: how it keeps to its budget, and the soft oracle's temperature where it learns from that."""

    constraint: str
    budget: int
    temperature: float | None = None


def constrained(budgets: Sequence[int]) -> list[Member]:
    """A member of every constraint and budget."""
    return [Member(constraint, budget) for constraint, budget in product((EXACT, AVERAGE), budgets)]


class Margins:
    """Policies that give every layer a margin, and make those of the highest margins big.

    Untrained, they are the domain's best fixed route of their budget.
    """

    outputs = 1  # of the network, per member and layer

    def __init__(self, members: list[Member], train: RouterDataset):
        self.members, self.train, self.space = members, train, RouteSpace(train.layers)
        self.digits = torch.from_numpy(self.space.digits).float()
        self.codes = {member.budget: torch.from_numpy(self.space.with_budget(member.budget)) for member in members}

    def bias(self) -> Tensor:
        """[layers, members, domains, outputs] the outputs before training: 1 for the layers of the domain's best fixed
        route, -1 for the others.
        """
        means = self.train.domain_means()
        best = {budget: codes[means[:, codes].argmin(1)] for budget, codes in self.codes.items()}
        signs = torch.stack([2 * self.digits[best[member.budget]] - 1 for member in self.members])
        return signs.permute(2, 0, 1)[..., None]  # of [members, domains, layers]

    def frontiers(self, outputs: Tensor, dataset: RouterDataset) -> list[Frontier]:
        """What every member offers the tokens, from the network's outputs [members, tokens, layers, outputs] on it."""
        return [by_margin(margins) for margins in outputs[..., 0]]


class Priced(Margins):
    """Margins that minimise a loss expected over routes; members whose budget holds on average pay for big layers.

    Their price is raised while they use too many, and lowered while they use too few.
    """

    def __init__(self, members: list[Member], train: RouterDataset):
        super().__init__(members, train)
        self.averaged = torch.tensor([member.constraint == AVERAGE for member in members])
        self.budgets = torch.tensor([float(member.budget) for member in members])
        self.prices = torch.zeros(len(members))

    def lagrangian(self, expected: Tensor, used: Tensor) -> Tensor:
        """What to minimise, from the members' expected losses and their big layers per token, both [members].

        Then the prices follow (dual ascent).
        """
        excess = torch.where(self.averaged, used - self.budgets, 0.0)
        total = (expected + self.prices * excess).sum()
        self.prices = self.prices + CONTROL * excess.detach()
        return total


class ExpectedLoss(Priced):
    """The loss expected over all routes under the policy's own chances, which are annealed to be hard.

    On average: every layer is big by a chance of its own, sigmoid(margin / temperature). Exactly: the same, given that
    the budget is met; among its routes chances are as exp(sum of the big layers' margins / temperature).
    """

    def loss(self, outputs: Tensor, rows: Tensor, step: int, steps: int) -> Tensor:
        """What to minimise at a step of `steps`, all members together: a scalar.

        outputs [members, batch, layers, outputs] are the network's on the training tokens `rows` [batch].
        """
        margins, losses = outputs[..., 0] / temperature(step, steps, TEMPERATURES), self.train.losses[rows]
        chances = margins.sigmoid()
        expected = torch.zeros(len(self.members))
        expected[self.averaged] = multilinear(chances[self.averaged], losses).mean(1)
        for index, member in enumerate(self.members):
            if member.constraint == EXACT:
                codes = self.codes[member.budget]
                among = (margins[index] @ self.digits[codes].T).softmax(1)
                expected[index] = (among * losses[:, codes]).sum(1).mean()
        return self.lagrangian(expected, chances.sum(-1).mean(1))


class StraightThrough(Priced):
    """The loss of the route that is taken; its gradient is that of the expected loss there, through sigmoid(margin)."""

    def loss(self, outputs: Tensor, rows: Tensor, step: int, steps: int) -> Tensor:
        """As in ExpectedLoss."""
        margins = outputs[..., 0]
        hard = torch.stack(
            [self._hard(of_member, member) for of_member, member in zip(margins.detach(), self.members, strict=True)]
        )
        soft = margins.sigmoid()
        chances = hard + soft - soft.detach()
        return self.lagrangian(multilinear(chances, self.train.losses[rows]).mean(1), chances.sum(-1).mean(1))

    def _hard(self, margins: Tensor, member: Member) -> Tensor:
        """[tokens, layers] 1 where the layer is big, else 0."""
        return (
            (margins > 0).float()
            if member.constraint == AVERAGE
            else self.digits[by_margin(margins).exactly(member.budget)]
        )


class Distillation(Margins):
    """Cross-entropy, layer by layer, to the soft oracle, in which a route weighs exp(-loss / temperature).

    Exactly: among the routes of the budget. On average: among all, at the price of a big layer that meets the budget
    on the training tokens.
    """

    def __init__(self, members: list[Member], train: RouterDataset):
        super().__init__(members, train)
        targets = {}
        for softness in {member.temperature for member in members}:
            by_budget = self._soft_oracle(softness)
            targets |= {member: _target(*by_budget, member) for member in members if member.temperature == softness}
        self.targets = torch.stack([targets[member] for member in members])

    def loss(self, outputs: Tensor, rows: Tensor, step: int, steps: int) -> Tensor:
        """As in ExpectedLoss."""
        entropy = F.binary_cross_entropy_with_logits(outputs[..., 0], self.targets[:, rows], reduction="none")
        return entropy.sum(-1).mean(1).sum()

    def _soft_oracle(self, softness: float) -> tuple[Tensor, Tensor]:
        """By number of big layers: log of the sum of the routes' weights [tokens, layers + 1], and how much of it is of
        routes that are big at a layer [tokens, layers + 1, layers].
        """
        codes = [torch.from_numpy(self.space.with_budget(budget)) for budget in range(self.space.layers + 1)]
        weights, shares = [], []
        for losses in self.train.losses.split(CHUNK):
            logits = [-losses[:, routes] / softness for routes in codes]
            weights.append(torch.stack([of_budget.logsumexp(1) for of_budget in logits], dim=1))
            pairs = zip(logits, codes, strict=True)
            shares.append(
                torch.stack([of_budget.softmax(1) @ self.digits[routes] for of_budget, routes in pairs], dim=1)
            )
        return torch.cat(weights), torch.cat(shares)


def _target(weights: Tensor, shares: Tensor, member: Member) -> Tensor:
    """[tokens, layers] how likely a layer is big for a member, from `Distillation._soft_oracle`."""
    if member.constraint == EXACT:
        return shares[:, member.budget]
    layers = torch.arange(weights.shape[1], dtype=weights.dtype)

    def chances(price: float) -> Tensor:
        return (weights - price * layers).softmax(1)

    beyond = (weights.max() - weights.min()).item() + 50.0  # leaves next to nothing to all but one end
    price = bisect(
        lambda price: (chances(price) @ layers).double().mean().item() - member.budget, -beyond, beyond, xtol=1e-9
    )
    return (chances(price)[:, :, None] * shares).sum(1)


class Value:
    """Least squares of the losses of all routes, predicted from which layers, and which pairs of layers, are big.

    With s = 1 for a big layer and -1 for a small one, a route's loss is predicted as its mean over the domain's
    training tokens, plus the sum over layers l of c[l, l] s_l, plus the sum over pairs m < l of c[l, m] s_l s_m, where
    the gate of layer l gives c[l, :]. These products are orthogonal over all routes (Walsh functions). So least squares
    of the losses are least squares of each token's own coefficients, which are means of loss times product over
    routes. One network serves all members.
    """

    def __init__(self, members: list[Member], train: RouterDataset):
        self.members, self.space, layers = members, RouteSpace(train.layers), train.layers
        self.outputs = layers
        signs = 2 * torch.from_numpy(self.space.digits).float().T - 1
        first_order = torch.eye(layers, dtype=torch.bool)[..., None]
        kept = torch.ones(layers, layers, dtype=torch.bool).tril()[..., None]
        self.products = torch.where(first_order, signs[:, None], signs[:, None] * signs).where(kept, 0.0).flatten(0, 1)
        self.means = train.domain_means()
        chunks = zip(train.losses.split(CHUNK), train.domain.split(CHUNK), strict=True)
        coefficients = torch.cat([(losses - self.means[domain]) @ self.products.T for losses, domain in chunks]) / len(
            self.space
        )
        # Of the outputs, in nats, so that they are of the order of 1.
        self.unit = coefficients.square().mean().sqrt().clamp(min=1e-9)
        self.targets = coefficients / self.unit

    def bias(self) -> Tensor:
        """[layers, 1, domains, outputs] zeros: before training, losses are predicted as means over training tokens."""
        return torch.zeros(self.outputs, 1, len(self.means), self.outputs)

    def loss(self, outputs: Tensor, rows: Tensor, step: int, steps: int) -> Tensor:
        """As in ExpectedLoss; the squared error, but for a constant and a factor."""
        kept = outputs[0].tril().flatten(1)
        return (kept - self.targets[rows]).square().sum(1).mean()

    def frontiers(self, outputs: Tensor, dataset: RouterDataset) -> list[Frontier]:
        """What all members offer alike."""
        chunks = zip(outputs[0].tril().flatten(1).split(CHUNK), dataset.domain.split(CHUNK), strict=True)
        predicted = (self.means[domain] + self.unit * kept @ self.products for kept, domain in chunks)
        return [by_value(predicted, self.space)] * len(self.members)


Objective = ExpectedLoss | StraightThrough | Distillation | Value
BY_NAME = {EXPECTED_LOSS: ExpectedLoss, VALUE: Value, DISTILLATION: Distillation, STRAIGHT_THROUGH: StraightThrough}


def build(name: str, budgets: Sequence[int], training: PolicyTraining, train: RouterDataset) -> Objective:
    """The objective of this name, with a member for every constraint and budget (and soft oracle's temperature)."""
    members = constrained(budgets)
    if name == DISTILLATION:
        pairs = product(members, training.temperatures)
        members = [Member(member.constraint, member.budget, softness) for member, softness in pairs]
    return BY_NAME[name](members, train)


def validate(objective: Objective, outputs: Tensor, dataset: RouterDataset) -> Tensor:
    """[members] mean loss of every member on these tokens, on which an average budget is met too."""
    pairs = zip(objective.members, objective.frontiers(outputs, dataset), strict=True)
    routes = (frontier.meeting(member.constraint, member.budget) for member, frontier in pairs)
    return torch.stack([under(dataset.losses, chosen).mean() for chosen in routes])


def multilinear(chances: Tensor, losses: Tensor) -> Tensor:
    """[members, tokens] expected loss where every layer is big by a chance of its own.

    chances [members, tokens, layers]; losses [tokens, routes]. A route's chance is the product of the chances of its
    lower and upper layers, so the sum over routes is two products with the table of losses.
    """
    half = chances.shape[-1] // 2
    first, last = (_route_chances(part).transpose(0, 1) for part in (chances[..., :half], chances[..., half:]))
    table = losses.view(len(losses), first.shape[-1], last.shape[-1])
    return ((first @ table) * last).sum(-1).T


def _route_chances(chances: Tensor) -> Tensor:
    """[..., routes] chance of every route over these layers, in order of code, from chances [..., layers] to be big."""
    by_route = torch.ones(*chances.shape[:-1], 1)
    for chance in chances.unbind(-1):
        by_route = (by_route[..., None] * torch.stack([1 - chance, chance], dim=-1)[..., None, :]).flatten(-2)
    return by_route
