"""How a policy keeps to a budget: from its best route with every number of big layers, whether the budget is every
token's, or that of the mean over tokens.

A policy says what each route, or each layer, is worth to a token. All of its budgets follow from that alone, so that it
need not be trained for one of them.
"""

from collections.abc import Iterable
from typing import NamedTuple

import torch
from scipy.optimize import bisect
from torch import Tensor

from duo.routes import RouteSpace
from duo.terms import AVERAGE


class Frontier(NamedTuple):
    """Each token's best route with 0, 1, ... all layers big, as a policy thinks: both [tokens, layers + 1]."""

    values: Tensor  # what the route is thought to cost, in the policy's own unit
    routes: Tensor  # its code

    def meeting(self, constraint: str, budget: int, price: float | None = None) -> Tensor:
        """[tokens] the routes that keep to a budget: exactly, or on average.

        price: of a big layer, which was found to meet the average on other tokens; by default on these.
        """
        if constraint == AVERAGE:
            return self.on_average(self.price(budget) if price is None else price)
        return self.exactly(budget)

    def exactly(self, budget: int) -> Tensor:
        """[tokens] the routes of this budget."""
        return self.routes[:, budget]

    def on_average(self, price: float) -> Tensor:
        """[tokens] the cheapest routes where a big layer costs `price`: tokens that gain more take more."""
        return self.routes.gather(1, self._layers(price)[:, None])[:, 0]

    def price(self, budget: float) -> float:
        """The price at which the tokens take `budget` big layers on average, as nearly as they can."""
        beyond = (self.values.max() - self.values.min()).item() + 1.0  # a price that outweighs all else
        return bisect(lambda price: self._layers(price).double().mean().item() - budget, -beyond, beyond, xtol=1e-9)

    def _layers(self, price: float) -> Tensor:
        """[tokens] number of big layers where each costs `price`; of equals, the fewest."""
        return (self.values + price * torch.arange(self.values.shape[1])).argmin(dim=1)


def by_margin(margins: Tensor) -> Frontier:
    """The frontier of a policy that makes the layers of highest margin big; of equals, the lower layers.

    margins [tokens, layers]: how much a layer's big FFN is thought to help, in any unit.
    """
    routes = RouteSpace(margins.shape[1]).by_score(margins.numpy())
    gained = margins.sort(dim=1, descending=True).values.cumsum(1)
    return Frontier(torch.cat([torch.zeros(len(margins), 1), -gained], dim=1), torch.from_numpy(routes))


def by_value(predicted: Iterable[Tensor], space: RouteSpace) -> Frontier:
    """The frontier of a policy that predicts the loss of every route.

    predicted: chunks [tokens, routes], one after the other, as all together may not fit into memory.
    """
    codes = [torch.from_numpy(space.with_budget(budget)) for budget in range(space.layers + 1)]
    values, routes = [], []
    for chunk in predicted:
        lowest = [chunk[:, of_budget].min(dim=1) for of_budget in codes]
        values.append(torch.stack([value for value, _ in lowest], dim=1))
        routes.append(
            torch.stack([of_budget[index] for of_budget, (_, index) in zip(codes, lowest, strict=True)], dim=1)
        )
    return Frontier(torch.cat(values), torch.cat(routes))


def under(losses: Tensor, routes: Tensor) -> Tensor:
    """[tokens] the loss of every token under its route [tokens], from the losses of all routes [tokens, routes]."""
    return losses.gather(1, routes[:, None])[:, 0]
