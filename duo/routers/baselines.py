"""What a router must beat: choices that need no training, made from the same losses of the training documents.

    fixed        the best route of the domain, one for all its tokens
    token_table  the best route of the token's id: by means over its occurrences, to which the domain's mean is added as
                 if it were that of so many more
    neighbours   the best route of the domain's training tokens with the nearest hidden states, by the mean over so many
                 of them
    random       any route of the budget

So many: a number that is chosen on validation, for every budget. All meet a budget exactly. All but random are told
the domain, as the routers are.
"""

import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from duo.routers.budgets import by_value, under
from duo.routers.dataset import RouterDataset
from duo.routers.policy import BudgetKey, PolicyRoutes, PolicySetting
from duo.routes import RouteSpace
from duo.seeds import stream
from duo.terms import BASELINE, EXACT, FIXED, LEARNED, NEIGHBOURS, NONE, RANDOM, TOKEN_TABLE

CHUNK = 256  # tokens whose losses under all routes are predicted at once

# Chunks [numbers, tokens, routes] of predicted losses of a dataset, for every number of tokens that may be chosen.
Predict = Callable[[RouterDataset], Iterator[Tensor]]


class Lookup:
    """A baseline that predicts the loss of every route and takes the lowest of the budget; of
    duo.routers.policy.Policy's kind.

    numbers: what `predict` predicts with, of which validation chooses one for every budget.
    """

    network = NONE

    def __init__(
        self,
        name: str,
        reads: str,
        predict: Predict,
        numbers: Sequence[float],
        budgets: Sequence[int],
        validation: RouterDataset,
    ):
        self.name, self.input, self._predict, self._budgets = name, reads, predict, budgets
        self.role = BASELINE if reads == NONE else LEARNED
        losses = torch.stack(
            [self._losses(validation, routes).mean(-1) for routes in self._routes(validation)]
        )  # [numbers, budgets]
        self._best = losses.argmin(dim=0).tolist()
        chosen = zip(budgets, self._best, losses.min(dim=0).values.tolist(), strict=True)
        self.settings = [
            PolicySetting(EXACT, budget, 0, numbers[best], math.nan, loss) for budget, best, loss in chosen
        ]

    def choose(self, dataset: RouterDataset) -> dict[BudgetKey, PolicyRoutes]:
        by_number, chosen = self._routes(dataset), {}
        for column, (budget, best) in enumerate(zip(self._budgets, self._best, strict=True)):
            routes = by_number[best][column]
            chosen[EXACT, budget] = PolicyRoutes(routes, under(dataset.losses, routes))
        return chosen

    def _routes(self, dataset: RouterDataset) -> list[Tensor]:
        """For each number, [budgets, tokens] the route of the lowest prediction."""
        space = RouteSpace(dataset.layers)
        chunks = [
            [by_value([predicted], space).routes[:, self._budgets].T for predicted in chunk]
            for chunk in self._predict(dataset)
        ]
        return [torch.cat(parts, dim=1) for parts in zip(*chunks, strict=True)]

    def _losses(self, dataset: RouterDataset, routes: Tensor) -> Tensor:
        """[budgets, tokens] losses under routes of this shape."""
        return torch.stack([under(dataset.losses, of_budget) for of_budget in routes])


class RandomBaseline:
    """A random route of the budget for every token; its isolated loss is the mean over all of them.

    Of duo.routers.policy.Policy's kind.
    """

    name, role, input, network = RANDOM, BASELINE, NONE, NONE

    def __init__(self, budgets: Sequence[int], validation: RouterDataset, seed: int):
        self._budgets, self._seed = budgets, seed
        chosen = self.choose(validation)
        self.settings = [
            PolicySetting(EXACT, k, 0, math.nan, math.nan, chosen[EXACT, k].losses.mean().item()) for k in budgets
        ]

    def choose(self, dataset: RouterDataset) -> dict[BudgetKey, PolicyRoutes]:
        sample, chosen = dataset.sample, {}
        for budget in self._budgets:
            codes = RouteSpace(dataset.layers).with_budget(budget)
            draws = [
                stream(self._seed, RANDOM, budget, domain, document).choice(codes, sample.tokens.shape[1])
                for domain, document in zip(sample.domains, sample.documents, strict=True)
            ]
            routes = torch.from_numpy(np.concatenate(draws))
            chosen[EXACT, budget] = PolicyRoutes(routes, dataset.losses[:, codes].mean(1))
        return chosen


def build(
    name: str,
    budgets: Sequence[int],
    inputs: Sequence[str],
    numbers: Sequence[int],
    train: RouterDataset,
    validation: RouterDataset,
    seed: int,
) -> list[Lookup] | list[RandomBaseline]:
    """The baseline of this name; of neighbours one for each of the inputs that tokens are near in.

    numbers: of tokens, ascending, of which validation chooses.
    """
    if name == RANDOM:
        return [RandomBaseline(budgets, validation, seed)]
    if name == FIXED:
        return [Lookup(name, NONE, by_domain(train), [math.nan], budgets, validation)]
    if name == TOKEN_TABLE:
        return [Lookup(name, "token", by_token(train, numbers), numbers, budgets, validation)]
    return [
        Lookup(NEIGHBOURS, reads, by_neighbours(train, reads, numbers), numbers, budgets, validation)
        for reads in inputs
    ]


def by_domain(train: RouterDataset) -> Predict:
    """Predicts the domain's mean."""
    means = train.domain_means()

    def predict(dataset: RouterDataset) -> Iterator[Tensor]:
        for domain in dataset.domain.split(CHUNK):
            yield means[domain][None]

    return predict


def by_token(train: RouterDataset, weights: Sequence[int]) -> Predict:
    """Predicts the mean over the id's occurrences in the domain, in which the domain's mean counts as so many tokens
    more: weights.
    """
    means, width = train.domain_means(), int(train.ids.max()) + 1

    def cell(dataset: RouterDataset) -> Tensor:
        return torch.where(dataset.ids < width, dataset.domain * width + dataset.ids, -1)

    cells, row = torch.unique(cell(train), return_inverse=True)
    sums = torch.zeros(len(cells) + 1, train.losses.shape[1])  # the last row is of ids that never occurred
    for rows, losses, domain in zip(
        row.split(CHUNK), train.losses.split(CHUNK), train.domain.split(CHUNK), strict=True
    ):
        sums.index_add_(0, rows, losses - means[domain])
    counts = torch.bincount(row, minlength=len(sums))[:, None]

    def predict(dataset: RouterDataset) -> Iterator[Tensor]:
        asked = cell(dataset)
        row = torch.searchsorted(cells, asked).clamp(max=len(cells) - 1)
        row = torch.where(cells[row] == asked, row, len(cells))
        for rows, domain in zip(row.split(CHUNK), dataset.domain.split(CHUNK), strict=True):
            yield torch.stack([means[domain] + sums[rows] / (counts[rows] + weight) for weight in weights])

    return predict


def by_neighbours(train: RouterDataset, reads: str, numbers: Sequence[int]) -> Predict:
    """Predicts the mean over the training tokens of the domain with the nearest standardised hidden states.

    numbers: over how many, ascending; no domain has fewer tokens.
    """
    deviation, mean = torch.std_mean(train.read(reads), dim=0)

    def standardised(dataset: RouterDataset) -> Tensor:
        return ((dataset.read(reads) - mean) / deviation.clamp(min=1e-6)).flatten(1)

    known = standardised(train)
    lengths = known.square().sum(1)

    def predict(dataset: RouterDataset) -> Iterator[Tensor]:
        for inputs, domain in zip(standardised(dataset).split(CHUNK), dataset.domain.split(CHUNK), strict=True):
            nearness = (2 * inputs @ known.T - lengths).where(domain[:, None] == train.domain, -torch.inf)
            nearest = nearness.topk(numbers[-1], dim=1).indices
            sums, means = torch.zeros(len(inputs), train.losses.shape[1]), []
            for start, stop in zip([0, *numbers[:-1]], numbers, strict=True):
                sums = sums + F.embedding_bag(nearest[:, start:stop], train.losses, mode="sum")
                means.append(sums / stop)
            yield torch.stack(means)

    return predict
