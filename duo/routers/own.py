"""A router or baseline of the user's own, made a policy: fitted, held to every budget, and judged on validation."""

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from duo.errors import InputError
from duo.model.transformer import Duo
from duo.routers.budgets import Frontier, by_margin, by_value, under
from duo.routers.dataset import RouterDataset
from duo.routers.policy import BudgetKey, OwnBaseline, OwnRouter, PolicyRoutes, PolicySetting
from duo.routes import RouteSpace
from duo.seeds import stream
from duo.terms import AVERAGE, BASELINE, LEARNED, NONE

log = logging.getLogger(__name__)

CHUNK = 256  # tokens whose predicted losses are compared at once


@dataclass(frozen=True)
class OwnPolicy:
    """A fitted class of the user's own, under every constraint and budget; of duo.routers.policy.Policy's kind."""

    name: str
    role: str
    input: str
    network: str
    chooser: OwnRouter | OwnBaseline
    settings: list[PolicySetting]

    def choose(self, dataset: RouterDataset) -> dict[BudgetKey, PolicyRoutes]:
        offers, chosen = frontier(self.name, self.chooser, dataset), {}
        for row in self.settings:
            routes = offers.meeting(row.constraint, row.budget, row.price)
            chosen[row.constraint, row.budget] = PolicyRoutes(routes, under(dataset.losses, routes))
        return chosen


def fit(
    name: str,
    chooser: OwnRouter | OwnBaseline,
    constraints: Sequence[str],
    budgets: Sequence[int],
    train: RouterDataset,
    validation: RouterDataset,
    backbone: Duo,
    seed: int,
) -> OwnPolicy:
    """The policy of a class of the user's own, fitted on the training tokens.

    InputError where it gives something else than a finite number per token and layer, or per token and route.
    """
    chooser.fit(train, validation, backbone, int(stream(seed, "policies", name).integers(2**31)))
    on_train, on_validation = (frontier(name, chooser, dataset) for dataset in (train, validation))
    rows = []
    for constraint in constraints:
        for budget in budgets:
            loss = under(validation.losses, on_validation.meeting(constraint, budget)).mean().item()
            price = on_train.price(budget) if constraint == AVERAGE else math.nan
            rows.append(PolicySetting(constraint, budget, 0, math.nan, price, loss))
    log.info("%s: validation loss %s", name, ", ".join(f"{row.validation:.3f}" for row in rows))
    reads = str(getattr(chooser, "input", "own"))
    return OwnPolicy(name, BASELINE if reads == NONE else LEARNED, reads, NONE, chooser, rows)


def frontier(name: str, chooser: OwnRouter | OwnBaseline, dataset: RouterDataset) -> Frontier:
    """What it offers the tokens at every budget, from its scores of layers, or its predicted losses of routes.

    It is shown the tokens without labels and losses, so that it can't choose by what it should predict.
    """
    space, shown = RouteSpace(dataset.layers), dataset.unlabelled()
    if hasattr(chooser, "scores"):
        return by_margin(_checked(name, "scores", chooser.scores(shown), (len(dataset), space.layers)))
    predicted = _checked(name, "losses", chooser.losses(shown), (len(dataset), len(space)))
    return by_value(predicted.split(CHUNK), space)


def _checked(name: str, method: str, values: Tensor, shape: tuple[int, int]) -> Tensor:
    values = torch.as_tensor(values).detach().float().cpu()
    if values.shape != shape:
        raise InputError(f"policy {name}: its {method} are of shape {tuple(values.shape)}, should be {shape}")
    if not values.isfinite().all():
        raise InputError(f"policy {name}: its {method} are not all finite; they can't be made of labels or losses")
    return values
