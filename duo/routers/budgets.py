"""What a policy offers each token: its best route of every budget, so that a budget can be met exactly, or on average
at one price.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import torch
from scipy.optimize import bisect
from torch import Tensor

from duo.routes import RouteSpace


class Menu(NamedTuple):
    """A token's best route of every budget, in order of the number of big layers: both [tokens, layers + 1]."""

    values: Tensor  # what the route is thought to cost, in the policy's own unit
    routes: Tensor  # code

    def exactly(self, budget: int) -> Tensor:
        """[tokens] the routes of this budget."""
        return self.routes[:, budget]

    def on_average(self, price: float) -> Tensor:
        """[tokens] the cheapest routes where a big layer costs `price`."""
        return self.routes.gather(1, self._layers(price)[:, None])[:, 0]

    def price(self, budget: float) -> float:
        """The price at which the tokens take `budget` big layers on average, as nearly as they can: the controller in
        place of an alpha.
        """
        beyond = (self.values.max() - self.values.min()).item() + 1.0  # a price that outweighs all else
        return bisect(lambda price: self._layers(price).double().mean().item() - budget, -beyond, beyond, xtol=1e-9)

    def _layers(self, price: float) -> Tensor:
        """[tokens] number of big layers where each costs `price`; of equals, the fewest."""
        return (self.values + price * torch.arange(self.values.shape[1])).argmin(dim=1)


def by_margin(margins: Tensor) -> Menu:
    """The menu of a policy that takes the layers of the largest margins [tokens, layers] first; of equals the lower."""
    layers = margins.shape[1]
    routes = np.stack([RouteSpace(layers).highest(margins.numpy(), budget) for budget in range(layers + 1)], axis=1)
    gained = margins.sort(dim=1, descending=True).values.cumsum(1)
    return Menu(torch.cat([torch.zeros(len(margins), 1), -gained], dim=1), torch.from_numpy(routes))


def by_value(predicted: Iterable[Tensor], space: RouteSpace) -> Menu:
    """The menu of a policy that predicts the loss of every route: chunks [tokens, routes], one after the other."""
    codes = [torch.from_numpy(space.with_budget(budget)) for budget in range(space.layers + 1)]
    values, routes = [], []
    for chunk in predicted:
        lowest = [chunk[:, each].min(dim=1) for each in codes]
        values.append(torch.stack([value for value, _ in lowest], dim=1))
        routes.append(torch.stack([each[index] for each, (_, index) in zip(codes, lowest, strict=True)], dim=1))
    return Menu(torch.cat(values), torch.cat(routes))


def under(losses: Tensor, routes: Tensor) -> Tensor:
    """[tokens] each token's loss under its route [tokens], from the losses of all routes [tokens, routes]."""
    return losses.gather(1, routes[:, None])[:, 0]
