"""What a router must beat: choices that need no training, made from the same losses of the training documents.

    fixed        the best route of the domain, one for all its tokens
    token_table  the best route for the token's id: means over its occurrences, drawn towards the domain's mean as by
                 so many more tokens
    neighbours   the best route for the tokens of nearest hidden states, by the mean over so many of them
    random       any route of the budget

How many tokens is chosen on validation, for every budget. All meet a budget exactly.
"""

import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from duo.routers.budgets import by_value, under
from duo.routers.dataset import Examples
from duo.routers.policy import Chosen, Key, Setting
from duo.routes import RouteSpace
from duo.seeds import stream
from duo.settings import Policies as Settings
from duo.terms import BASELINE, EXACT, FIXED, LEARNED, NEIGHBOURS, NONE, RANDOM, TOKEN_TABLE

CHUNK = 256  # tokens whose losses under all routes are predicted at once

# Chunks [settings, tokens, routes] of the losses predicted on examples, for each number of tokens that may be chosen.
Predict = Callable[[Examples], Iterator[Tensor]]


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
        validation: Examples,
    ):
        self.name, self.input, self._predict, self._numbers, self._budgets = name, reads, predict, numbers, budgets
        losses = torch.stack(
            [self._losses(validation, routes).mean(-1) for routes in self._routes(validation)]
        )  # [numbers, budgets]
        self.role = BASELINE if reads == NONE else LEARNED
        self._best = losses.argmin(dim=0).tolist()
        found = zip(budgets, self._best, losses.min(dim=0).values.tolist(), strict=True)
        self.settings = [Setting(EXACT, budget, 0, numbers[best], math.nan, loss) for budget, best, loss in found]

    def choose(self, examples: Examples) -> dict[Key, Chosen]:
        by_number = self._routes(examples)
        found = {}
        for column, (budget, best) in enumerate(zip(self._budgets, self._best, strict=True)):
            routes = by_number[best][column]
            found[EXACT, budget] = Chosen(routes, under(examples.losses, routes))
        return found

    def _routes(self, examples: Examples) -> list[Tensor]:
        """For each number, [budgets, tokens] the route of the lowest prediction."""
        space = RouteSpace(examples.layers)
        chunks = [
            [by_value([each], space).routes[:, self._budgets].T for each in chunk] for chunk in self._predict(examples)
        ]
        return [torch.cat(parts, dim=1) for parts in zip(*chunks, strict=True)]

    def _losses(self, examples: Examples, routes: Tensor) -> Tensor:
        """[budgets, tokens] losses under routes of this shape."""
        return torch.stack([under(examples.losses, each) for each in routes])


class Random:
    """A random route of the budget for every token; it claims the mean over all of them.

    Of duo.routers.policy.Policy's kind.
    """

    name, role, input, network = RANDOM, BASELINE, NONE, NONE

    def __init__(self, budgets: Sequence[int], validation: Examples, seed: int):
        self._budgets, self._seed = budgets, seed
        chosen = self.choose(validation)
        self.settings = [
            Setting(EXACT, k, 0, math.nan, math.nan, chosen[EXACT, k].losses.mean().item()) for k in budgets
        ]

    def choose(self, examples: Examples) -> dict[Key, Chosen]:
        sample, found = examples.sample, {}
        for budget in self._budgets:
            codes = RouteSpace(examples.layers).with_budget(budget)
            draws = [
                stream(self._seed, RANDOM, budget, domain, document).choice(codes, sample.tokens.shape[1])
                for domain, document in zip(sample.domains, sample.documents, strict=True)
            ]
            found[EXACT, budget] = Chosen(torch.from_numpy(np.concatenate(draws)), examples.losses[:, codes].mean(1))
        return found


def build(settings: Settings, learned: Examples, validation: Examples, seed: int) -> list[Lookup | Random]:
    """All baselines, from the losses of the training tokens `learned`."""
    budgets, numbers = settings.budgets, settings.neighbours

    def table(name: str, reads: str, predict: Predict, numbers: Sequence[float] = numbers) -> Lookup:
        return Lookup(name, reads, predict, numbers, budgets, validation)

    return [
        table(FIXED, NONE, by_domain(learned), [math.nan]),
        table(TOKEN_TABLE, "token", by_token(learned, numbers)),
        *(table(NEIGHBOURS, reads, by_neighbours(learned, reads, numbers)) for reads in settings.inputs),
        Random(budgets, validation, seed),
    ]


def by_domain(learned: Examples) -> Predict:
    """Predicts each domain's mean."""
    means = learned.domain_means()

    def predict(examples: Examples) -> Iterator[Tensor]:
        for domain in examples.domain.split(CHUNK):
            yield means[domain][None]

    return predict


def by_token(learned: Examples, weights: Sequence[int]) -> Predict:
    """Predicts the mean over the id's occurrences in the domain, in which the domain's mean counts as `weights`
    tokens more.
    """
    means, width = learned.domain_means(), int(learned.ids.max()) + 1

    def cell(examples: Examples) -> Tensor:
        return torch.where(examples.ids < width, examples.domain * width + examples.ids, -1)

    cells, row = torch.unique(cell(learned), return_inverse=True)
    sums = torch.zeros(len(cells) + 1, learned.losses.shape[1])  # the last row is of ids that never occurred
    for rows, losses, domain in zip(
        row.split(CHUNK), learned.losses.split(CHUNK), learned.domain.split(CHUNK), strict=True
    ):
        sums.index_add_(0, rows, losses - means[domain])
    counts = torch.bincount(row, minlength=len(sums))[:, None]

    def predict(examples: Examples) -> Iterator[Tensor]:
        asked = cell(examples)
        row = torch.searchsorted(cells, asked).clamp(max=len(cells) - 1)
        row = torch.where(cells[row] == asked, row, len(cells))
        for rows, domain in zip(row.split(CHUNK), examples.domain.split(CHUNK), strict=True):
            yield torch.stack([means[domain] + sums[rows] / (counts[rows] + weight) for weight in weights])

    return predict


def by_neighbours(learned: Examples, reads: str, numbers: Sequence[int]) -> Predict:
    """Predicts the mean over the training tokens of nearest standardised inputs; numbers: how many, ascending."""
    deviation, mean = torch.std_mean(learned.read(reads), dim=0)

    def standardised(examples: Examples) -> Tensor:
        return ((examples.read(reads) - mean) / deviation.clamp(min=1e-6)).flatten(1)

    known = standardised(learned)
    lengths = known.square().sum(1)

    def predict(examples: Examples) -> Iterator[Tensor]:
        for inputs in standardised(examples).split(CHUNK):
            nearest = (2 * inputs @ known.T - lengths).topk(numbers[-1], dim=1).indices
            sums, found = torch.zeros(len(inputs), learned.losses.shape[1]), []
            for start, stop in zip([0, *numbers[:-1]], numbers, strict=True):
                sums = sums + F.embedding_bag(nearest[:, start:stop], learned.losses, mode="sum")
                found.append(sums / stop)
            yield torch.stack(found)

    return predict
