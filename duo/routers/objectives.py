"""What routers are trained for where the loss of every route is known (docs/gain.md).

Each objective says what a network's outputs are, what is minimised, and which routes follow from the outputs. The
policies of all constraints and budgets that share a network are its members, [members, ...] in every tensor; they
train side by side and do not mix.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import torch
import torch.nn.functional as F
from scipy.optimize import bisect
from torch import Tensor

from duo.routers.budgets import Menu, by_margin, by_value, under
from duo.routers.dataset import Examples
from duo.routes import RouteSpace
from duo.settings import Policies
from duo.terms import AVERAGE, EXACT
from duo.training.loop import temperature

CHUNK = 2048  # tokens for which something is computed of all routes at once
HEAT = [1.0, 0.1]  # temperature of a policy's chances in training, first and last
# How fast the price of a big layer follows the use of big layers in training: nats per big layer, for each too many.
CONTROL = 0.005


@dataclass(frozen=True)
class Member:
    """One policy: how its budget is met, and the soft oracle's temperature where it learns from that."""

    constraint: str
    budget: int
    temperature: float | None = None


def constrained(budgets: Sequence[int]) -> list[Member]:
    """A member of every constraint and budget."""
    return [Member(constraint, budget) for constraint, budget in product((EXACT, AVERAGE), budgets)]


class Margins:
    """Policies that give every layer a margin and take those of the largest.

    Untrained, they are the best fixed route of their budget.
    """

    outputs = 1  # of the network, a member and layer

    def __init__(self, members: list[Member], train: Examples):
        self.members, self.train, self.space = members, train, RouteSpace(train.layers)
        self.digits = torch.from_numpy(self.space.digits).float()
        self.codes = {each.budget: torch.from_numpy(self.space.with_budget(each.budget)) for each in members}

    def bias(self) -> Tensor:
        """[layers, members, 1, outputs] where the outputs begin: at 1 for the layers of the best fixed route, -1 for
        the others.
        """
        means = self.train.losses.mean(0)
        best = {budget: codes[means[codes].argmin()] for budget, codes in self.codes.items()}
        return torch.stack([2 * self.digits[best[each.budget]] - 1 for each in self.members], dim=1)[:, :, None, None]

    def menus(self, outputs: Tensor, examples: Examples) -> list[Menu]:
        """Each member's menu, from the network's outputs [members, tokens, layers, outputs] on these examples."""
        return [by_margin(margins) for margins in outputs[..., 0]]


class Priced(Margins):
    """Margins that descend a loss expected over the table; a price of a big layer keeps the average of those members
    that have one.
    """

    def __init__(self, members: list[Member], train: Examples):
        super().__init__(members, train)
        self.averaged = torch.tensor([each.constraint == AVERAGE for each in members])
        self.budgets = torch.tensor([float(each.budget) for each in members])
        self.prices = torch.zeros(len(members))

    def lagrangian(self, expected: Tensor, used: Tensor) -> Tensor:
        """What to descend, from the members' expected losses and big layers used, both [members]; then the prices
        follow (dual ascent).
        """
        excess = torch.where(self.averaged, used - self.budgets, 0.0)
        total = (expected + self.prices * excess).sum()
        self.prices = self.prices + CONTROL * excess.detach()
        return total


class ExpectedLoss(Priced):
    """The loss expected over all routes under the policy's own chances, which are annealed to be hard.

    On average, each layer is big by a chance of its own, sigmoid(margin / heat). Exactly, the same holds given that
    the budget is met: among its routes, chances are as exp(sum of the big layers' margins / heat).
    """

    def loss(self, outputs: Tensor, rows: Tensor, step: int, steps: int) -> Tensor:
        """What to minimise, all members together, at a step of `steps`.

        outputs [members, batch, layers, outputs] are the network's on the training tokens `rows` [batch].
        """
        margins, losses = outputs[..., 0] / temperature(step, steps, HEAT), self.train.losses[rows]
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
    """The hard route's loss, and for its gradient that of the multilinear expected loss there, through
    sigmoid(margin).
    """

    def loss(self, outputs: Tensor, rows: Tensor, step: int, steps: int) -> Tensor:
        """As in ExpectedLoss."""
        margins = outputs[..., 0]
        hard = torch.stack(
            [self._hard(each, member) for each, member in zip(margins.detach(), self.members, strict=True)]
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

    def __init__(self, members: list[Member], train: Examples):
        super().__init__(members, train)
        targets = {}
        for heat in {each.temperature for each in members}:
            by_budget = self._soft_oracle(heat)
            targets |= {each: _target(*by_budget, each) for each in members if each.temperature == heat}
        self.targets = torch.stack([targets[each] for each in members])

    def loss(self, outputs: Tensor, rows: Tensor, step: int, steps: int) -> Tensor:
        """As in ExpectedLoss."""
        entropy = F.binary_cross_entropy_with_logits(outputs[..., 0], self.targets[:, rows], reduction="none")
        return entropy.sum(-1).mean(1).sum()

    def _soft_oracle(self, heat: float) -> tuple[Tensor, Tensor]:
        """By number of big layers: log of the routes' weights together [tokens, layers + 1], shares of big [tokens,
        layers + 1, layers].
        """
        codes = [torch.from_numpy(self.space.with_budget(budget)) for budget in range(self.space.layers + 1)]
        weights, shares = [], []
        for losses in self.train.losses.split(CHUNK):
            logits = [-losses[:, each] / heat for each in codes]
            weights.append(torch.stack([each.logsumexp(1) for each in logits], dim=1))
            shares.append(
                torch.stack([each.softmax(1) @ self.digits[of] for each, of in zip(logits, codes, strict=True)], dim=1)
            )
        return torch.cat(weights), torch.cat(shares)


def _target(weights: Tensor, shares: Tensor, member: Member) -> Tensor:
    """[tokens, layers] how likely each layer is big, from `Distillation._soft_oracle`."""
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
    """Least squares of the losses of all routes, on the layers that are big and on pairs of layers, weighted by
    functions of the input.

    With s = 1 for a big layer and -1 for a small one, a route's loss is predicted as its mean over the domain's
    training tokens plus the sum over layers l of c[l, l] s_l and over pairs m < l of c[l, m] s_l s_m, where the gate
    of layer l gives c[l, :]. These products are orthogonal over all routes (Walsh's), so that the least squares are
    those to each token's own coefficients: means of loss times product. One network serves every member.
    """

    def __init__(self, members: list[Member], train: Examples):
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
        self.unit = (
            coefficients.square().mean().sqrt().clamp(min=1e-9)
        )  # of the outputs, in nats, so that they are of the order of 1
        self.targets = coefficients / self.unit

    def bias(self) -> Tensor:
        """[layers, 1, 1, outputs] zero: the outputs begin at the mean over the training tokens."""
        return torch.zeros(self.outputs, 1, 1, self.outputs)

    def loss(self, outputs: Tensor, rows: Tensor, step: int, steps: int) -> Tensor:
        """As in ExpectedLoss, but for a constant and a factor."""
        kept = outputs[0].tril().flatten(1)
        return (kept - self.targets[rows]).square().sum(1).mean()

    def menus(self, outputs: Tensor, examples: Examples) -> list[Menu]:
        """The one menu of all members."""
        chunks = zip(outputs[0].tril().flatten(1).split(CHUNK), examples.domain.split(CHUNK), strict=True)
        menu = by_value((self.means[domain] + self.unit * each @ self.products for each, domain in chunks), self.space)
        return [menu] * len(self.members)


def validate(objective: "Objective", outputs: Tensor, examples: Examples) -> Tensor:
    """[members] mean loss of each member on these examples, on which an average is met too."""
    found = []
    for member, menu in zip(objective.members, objective.menus(outputs, examples), strict=True):
        exact = member.constraint == EXACT
        routes = menu.exactly(member.budget) if exact else menu.on_average(menu.price(member.budget))
        found.append(under(examples.losses, routes).mean())
    return torch.stack(found)


Objective = ExpectedLoss | StraightThrough | Distillation | Value
_MARGINS = {"expected_loss": ExpectedLoss, "straight_through": StraightThrough}


def build(name: str, settings: Policies, train: Examples) -> Objective:
    """The objective of this name in params policies.objectives, with a member of every constraint and budget (and
    temperature).
    """
    members = constrained(settings.budgets)
    if name == "distillation":
        heats = settings.temperatures
        return Distillation(
            [Member(each.constraint, each.budget, heat) for each, heat in product(members, heats)], train
        )
    return (_MARGINS | {"value": Value})[name](members, train)


def multilinear(chances: Tensor, losses: Tensor) -> Tensor:
    """[members, tokens] expected loss where each layer is big by a chance of its own.

    chances [members, tokens, layers]; losses [tokens, routes]. A route's chance is the product of those of its upper
    and lower half, so the sum over routes is two products with the table.
    """
    half = chances.shape[-1] // 2
    first, last = (_route_chances(part).transpose(0, 1) for part in (chances[..., :half], chances[..., half:]))
    table = losses.view(len(losses), first.shape[-1], last.shape[-1])
    return ((first @ table) * last).sum(-1).T


def _route_chances(chances: Tensor) -> Tensor:
    """[..., routes] the chance of every route over these layers, in order of code, from chances [..., layers] of a
    big one.
    """
    found = torch.ones(*chances.shape[:-1], 1)
    for chance in chances.unbind(-1):
        found = (found[..., None] * torch.stack([1 - chance, chance], dim=-1)[..., None, :]).flatten(-2)
    return found
