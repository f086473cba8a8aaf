"""Routers that learn from losses of a few random routes: how much more would more supervision give?

Every token has the losses of some routes of a budget (duo.routers.supervision). From as much of it both the fixed route
and the router are learned, so a router that finds nothing is the fixed route.

A router may be told the true labels' losses, the losses that a teacher expects (no label's noise), or the true ones of
other tokens, from which nothing can be learned but the fixed route.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from duo.model.device import Device
from duo.model.transformer import Duo
from duo.routers import policies
from duo.routers.budgets import under
from duo.routers.dataset import RouterDataset, hidden
from duo.routers.objectives import TEMPERATURES
from duo.routes import RouteSpace
from duo.seeds import stream
from duo.settings import PolicyTraining
from duo.stats import Clusters
from duo.tables.files import matrix
from duo.tables.learning import LEARNED
from duo.terms import EXACT, EXPECTED, EXPECTED_LOSS, FIXED, NONE, RANDOM, SHUFFLED, TRUE, VALUE
from duo.training.loop import temperature

STRENGTHS = (0.01, 0.1, 1.0, 10.0)  # of the ridge, in rows; one is chosen on validation
SUPERVISIONS = (TRUE, EXPECTED, SHUFFLED)
LAYERS = "layers"  # what a router reads: the hidden states of all layers


@dataclass(frozen=True)
class Supervision:
    """What routers learn from, by token; its tensors are on the CPU."""

    inputs: Tensor  # [tokens, layers, width] hidden states
    domain: Tensor  # [tokens] index of the domain
    sequence: Tensor  # [tokens] index of the sequence, whose tokens share their routes; it does not fall
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

    def fixed(self, dataset: RouterDataset) -> dict[int, Tensor]:
        """By budget, the route [tokens] that is fixed for the token's domain, learned from the true losses."""
        return {
            budget: self._best(base, budget)[dataset.domain]
            for (told, budget), base in zip(self.members, self.bases, strict=True)
            if told == TRUE
        }

    def _best(self, base: Tensor, budget: int) -> Tensor:
        """[domains] the domain's best route of the budget."""
        return self.codes[budget][base[:, self.codes[budget]].argmin(1)]


class SampledValue(SampledObjective):
    """Least squares: a route is predicted to cost what it costs in its domain, less the margins of its big layers.

    Unbiased by which routes were drawn. The router takes the route of lowest predicted loss.
    """

    def __init__(self, train: Supervision, validation: RouterDataset, layers: int, *rest):
        super().__init__(train, validation, layers, *rest)
        self.big = [centred(self.digits[routes]) for routes in self.routes]
        # Nats of a margin of 1, so that margins are of the order of 1.
        spread = [target.square().mean().sqrt().clamp(min=1e-9) for target in self.targets]
        self.units = torch.stack(spread) / layers**0.5

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


OBJECTIVES = {VALUE: SampledValue, EXPECTED_LOSS: SampledExpectedLoss}


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


class Outcome(NamedTuple):
    """What one network's members do: losses [tokens] of the held-out tokens, and their mean on validation."""

    losses: dict[Told, Tensor]
    validated: dict[Told, float]


def train(
    objective: SampledValue | SampledExpectedLoss,
    supervision: Supervision,
    network: str,
    training: PolicyTraining,
    validation: RouterDataset,
    held_out: RouterDataset,
    seed: int,
) -> Outcome:
    """Every member of the objective, which is made of the supervision, trained and scored."""
    generator = torch.Generator().manual_seed(int(stream(seed, "learning", network).integers(2**31)))
    width = training.hidden if network == "mlp" else None
    net = policies.Network(supervision.inputs, objective.bias(), width, generator)
    rest = (supervision.inputs, supervision.domain, validation, validation.inputs, training, generator)
    policies.fit(net, objective, *rest)
    losses = []
    for dataset in (held_out, validation):
        frontiers = objective.frontiers(net.over(dataset.inputs, dataset.domain), dataset)
        losses.append([under(dataset.losses, frontier.routes) for frontier in frontiers])
    validated = [loss.mean().item() for loss in losses[1]]
    return Outcome(*(dict(zip(objective.members, each, strict=True)) for each in (losses[0], validated)))


def better(outcomes: Mapping[str, Outcome]) -> dict[Told, str]:
    """Of every member, the name of the network that is best on validation; outcomes by network."""
    members = next(iter(outcomes.values())).validated
    return {member: min(outcomes, key=lambda network: outcomes[network].validated[member]) for member in members}


def learn(
    model: str,
    tokens: int,
    supervision: Supervision,
    training: PolicyTraining,
    validation: RouterDataset,
    held_out: RouterDataset,
    seed: int,
) -> pa.Table:
    """LEARNED of routers and of the fixed routes that learn from this supervision, so many tokens of every domain.

    Beside the routers of hidden states, one is told the true losses and reads noise in their place.
    """
    parts = []
    for policy, kind in OBJECTIVES.items():
        objective = kind(supervision, validation, held_out.layers, seed)
        outcomes = {
            name: train(objective, supervision, name, training, validation, held_out, seed)
            for name in training.networks
        }
        parts += _rows(outcomes, (policy, LAYERS))
    for budget, routes in objective.fixed(held_out).items():
        parts.append(((FIXED, TRUE, NONE, NONE, budget), under(held_out.losses, routes)))
    noise = [
        replace(each, inputs=_noise(each.inputs, seed, index))
        for index, each in enumerate((supervision, validation, held_out))
    ]
    objective = SampledValue(noise[0], noise[1], held_out.layers, seed, (TRUE,))
    outcomes = {name: train(objective, noise[0], name, training, *noise[1:], seed) for name in training.networks}
    parts += _rows(outcomes, (VALUE, RANDOM))
    return pa.concat_tables([_sums(model, tokens, key, losses, held_out) for key, losses in parts])


def _noise(inputs: Tensor, seed: int, index: int) -> Tensor:
    """As many normal numbers."""
    generator = torch.Generator().manual_seed(int(stream(seed, "learning", RANDOM, index).integers(2**31)))
    return torch.randn(inputs.shape, generator=generator)


def _rows(outcomes: Mapping[str, Outcome], ids: tuple[str, str]) -> Iterator[tuple[tuple, Tensor]]:
    """Columns policy, supervision, input, network and budget of every member, with its losses [tokens]."""
    policy, reads = ids
    for member, network in better(outcomes).items():
        yield (policy, member.supervision, reads, network, member.budget), outcomes[network].losses[member]


def _sums(model: str, tokens: int, key: tuple, losses: Tensor, held_out: RouterDataset) -> pa.Table:
    """Rows of LEARNED: a policy's losses [tokens], summed by cluster."""
    columns, parts = held_out.sample.columns(), []
    names = ("policy", "supervision", "input", "network", "budget")
    for domain in dict.fromkeys(held_out.sample.domains):
        rows = np.asarray(columns["domain"]) == domain
        clusters = Clusters(np.asarray(columns["cluster"])[rows])
        ids = {"model": model, "domain": domain, "learned_from": tokens} | dict(zip(names, key, strict=True))
        sums = clusters.sums(losses.numpy()[rows]), clusters.sums(np.ones(rows.sum()))
        for name, loss, count in zip(clusters.names, *sums, strict=True):
            parts.append(ids | {"cluster": str(name), "tokens": int(count), "loss": float(loss)})
    return pa.Table.from_pylist(parts, LEARNED.schema)
