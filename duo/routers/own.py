"""A router or baseline of the user's own, made a policy: fitted, held to every budget, and judged on validation."""

import logging
import math
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from duo import plugins
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
TOLERANCE = 1e-4  # of the spread of scores, for rounding in a run on other tokens


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

    It is given copies of all that it may write into. InputError where it gives something else than a finite number per
    token and layer, or per token and route, or one that depends on later tokens.
    """
    with plugins.theirs(_place(name, chooser, "fit")):
        own_seed = int(stream(seed, "policies", name).integers(2**31))
        chooser.fit(deepcopy(train), deepcopy(validation), deepcopy(backbone), own_seed)
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

    It is shown the tokens without labels and losses, and asked again with other tokens in the later part of every
    document: InputError where it chooses by what it should predict, as a label is the next token.
    """
    space, shown = RouteSpace(dataset.layers), dataset.unlabelled()
    method, columns = ("scores", space.layers) if hasattr(chooser, "scores") else ("losses", len(space))
    values = _given(name, chooser, method, shown, columns)
    documents, length = dataset.sample.tokens.shape
    cut = length // 2 | 1  # odd, so that it falls within blocks of tokens that a router may look at together
    again = _given(name, chooser, method, shown.unlike_from(cut), columns)
    changed = (again - values).unflatten(0, (documents, length))[:, :cut].abs().max()
    if changed > TOLERANCE * values.std(correction=0) + torch.finfo(values.dtype).eps * values.abs().max():
        raise InputError(
            f"{_place(name, chooser, method)} gave tokens something else where later tokens of their documents were "
            "others; should depend on a token and those before it alone, and be the same whenever it is called"
        )
    return by_margin(values) if method == "scores" else by_value(values.split(CHUNK), space)


def _given(name: str, chooser: Any, method: str, dataset: RouterDataset, columns: int) -> Tensor:
    """[tokens, columns] what the method says of a copy of the dataset."""
    place, shape = _place(name, chooser, method), (len(dataset), columns)
    with plugins.theirs(place):
        given = getattr(chooser, method)(deepcopy(dataset))
    try:
        values = torch.as_tensor(given).detach().float().cpu().clone()
    except (TypeError, ValueError, RuntimeError):  # no numbers, or a ragged list
        values = torch.empty(0)
    if values.shape != shape:
        raise InputError(f"{place} gave {plugins.described(given)}, should be a tensor of shape {shape}")
    if not values.isfinite().all():
        raise InputError(f"{place} gave numbers that are not all finite; they can't be made of labels or losses")
    return values


def _place(name: str, chooser: Any, method: str) -> str:
    return f"policy {name}: {plugins.method(chooser, method)}"
