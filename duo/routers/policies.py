"""Routers that learn from the losses of all routes: a network from hidden states to routes, trained for an objective.

How much of the oracle's gain can a router have, if neither sampling noise nor a proxy loss stands in its way? Weights
are kept from the step with the lowest loss on the validation documents; the first step, where the network is the
domain's best fixed route, counts too. The soft oracle's temperature is chosen in the same way.
"""

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim.lr_scheduler import CosineAnnealingLR

from duo.progress import progress
from duo.routers import objectives
from duo.routers.budgets import under
from duo.routers.dataset import RouterDataset
from duo.routers.policy import BudgetKey, PolicyRoutes, PolicySetting
from duo.seeds import stream
from duo.settings import PolicyTraining
from duo.terms import AVERAGE, LEARNED

log = logging.getLogger(__name__)

VALIDATE_EVERY = 20  # steps


class Network(nn.Module):
    """A gate at every layer for every member: inputs [tokens, depth, width] and the tokens' domains [tokens] ->
    [members, tokens, layers, outputs].

    Inputs are standardised by the mean and deviation of those that the network is made with. With depth 1 all gates
    read the same input, and share the inner units of an MLP; else every layer's gate reads its own. hidden: inner width
    of the MLP, None for a linear network. Until it is trained it gives the domain's `bias` [layers, members, domains,
    outputs], whatever it reads.
    """

    def __init__(self, inputs: Tensor, bias: Tensor, hidden: int | None, generator: torch.Generator):
        super().__init__()
        (_, depth, width), (layers, members, _, outputs) = inputs.shape, bias.shape
        deviation, mean = torch.std_mean(inputs, dim=0)
        self.register_buffer("mean", mean)
        self.register_buffer("deviation", deviation.clamp(min=1e-6))
        self.inner = None
        if hidden:
            self.inner = nn.Parameter(
                torch.randn(depth, members, width, hidden, generator=generator) / math.sqrt(width)
            )
            self.inner_bias = nn.Parameter(torch.zeros(depth, members, 1, hidden))
        self.gates = nn.Parameter(torch.zeros(layers, members, hidden or width, outputs))
        self.bias = nn.Parameter(bias.clone())

    def forward(self, inputs: Tensor, domain: Tensor) -> Tensor:
        x, axes = ((inputs - self.mean) / self.deviation).transpose(0, 1), "lbw"
        if self.inner is not None:
            x, axes = F.silu(torch.einsum("lbi,lmiw->lmbw", x, self.inner) + self.inner_bias), "lmbw"
        if len(x) == 1:
            x, axes = x[0], axes[1:]
        return torch.einsum(f"{axes},lmwo->mblo", x, self.gates) + self.bias[:, :, domain].permute(1, 2, 0, 3)

    @torch.no_grad()
    def over(self, inputs: Tensor, domain: Tensor) -> Tensor:
        """The same for any number of tokens, without gradients."""
        chunks = zip(inputs.split(objectives.CHUNK), domain.split(objectives.CHUNK), strict=True)
        return torch.cat([self(*chunk) for chunk in chunks], dim=1)


def fit(
    network: Network,
    objective: objectives.Objective,
    inputs: Tensor,
    domain: Tensor,
    validation: RouterDataset,
    validation_inputs: Tensor,
    training: PolicyTraining,
    generator: torch.Generator,
) -> Tensor:
    """[members of the network] the number of steps after which each was best; the network ends with these weights.

    inputs [tokens, depth, width] and domain [tokens]: of the training tokens that the objective was built with;
    validation_inputs: of the validation tokens. AdamW, minibatches sampled with replacement, a learning rate that falls
    to zero as a cosine.
    """
    weights = list(network.parameters())
    optimizer = torch.optim.AdamW(weights, lr=training.learning_rate)
    rate = CosineAnnealingLR(optimizer, training.steps)
    best = torch.full((network.bias.shape[1],), torch.inf)
    kept, reached = [weight.detach().clone() for weight in weights], torch.zeros(len(best), dtype=torch.int64)
    for step in progress("training", "steps", range(training.steps + 1)):
        if step % VALIDATE_EVERY == 0 or step == training.steps:
            outputs = network.over(validation_inputs, validation.domain)
            losses = objectives.validate(objective, outputs, validation)
            losses = losses.view(len(best), -1).mean(1)
            better = losses < best
            best, reached = torch.where(better, losses, best), torch.where(better, step, reached)
            for old, weight in zip(kept, weights, strict=True):  # members are the second axis of every weight
                old[:, better] = weight.detach()[:, better]
        if step < training.steps:
            rows = torch.randint(len(inputs), (training.batch,), generator=generator)
            objective.loss(network(inputs[rows], domain[rows]), rows, step, training.steps).backward()
            optimizer.step()
            optimizer.zero_grad()
            rate.step()
    with torch.no_grad():
        for old, weight in zip(kept, weights, strict=True):
            weight.copy_(old)
    return reached


@dataclass(frozen=True)
class TrainedPolicy:
    """The policies of one objective, input and network, under every constraint and budget; of
    duo.routers.policy.Policy's kind.
    """

    role: ClassVar[str] = LEARNED
    name: str
    input: str
    network: str
    net: Network
    objective: objectives.Objective
    members: dict[BudgetKey, int]  # by constraint and budget, the objective's member that serves it
    settings: list[PolicySetting]

    def choose(self, dataset: RouterDataset) -> dict[BudgetKey, PolicyRoutes]:
        frontiers = self.objective.frontiers(self.net.over(dataset.read(self.input), dataset.domain), dataset)
        chosen = {}
        for row in self.settings:
            key = (row.constraint, row.budget)
            routes = frontiers[self.members[key]].meeting(*key, row.price)
            chosen[key] = PolicyRoutes(routes, under(dataset.losses, routes))
        return chosen


def train(
    name: str,
    reads: str,
    network: str,
    budgets: Sequence[int],
    training: PolicyTraining,
    train: RouterDataset,
    validation: RouterDataset,
    seed: int,
) -> TrainedPolicy:
    """The policies of an objective of duo.routers.objectives that read this input through this network."""
    generator = torch.Generator().manual_seed(int(stream(seed, "policies", name, reads, network).integers(2**31)))
    objective, inputs = objectives.build(name, budgets, training, train), train.read(reads)
    net = Network(inputs, objective.bias(), training.hidden if network == "mlp" else None, generator)
    reached = fit(net, objective, inputs, train.domain, validation, validation.read(reads), training, generator)
    losses = objectives.validate(objective, net.over(validation.read(reads), validation.domain), validation)
    frontiers = objective.frontiers(net.over(inputs, train.domain), train)
    members: dict[BudgetKey, int] = {}
    for index, member in enumerate(objective.members):
        key = (member.constraint, member.budget)
        if key not in members or losses[index] < losses[members[key]]:
            members[key] = index
    rows = []
    for (constraint, budget), index in members.items():
        rows.append(
            PolicySetting(
                constraint=constraint,
                budget=budget,
                steps=int(reached[index % len(reached)]),
                setting=objective.members[index].temperature or math.nan,
                price=frontiers[index].price(budget) if constraint == AVERAGE else math.nan,
                validation=losses[index].item(),
            )
        )
    log.info("%s, %s, %s: validation loss %s", name, reads, network, ", ".join(f"{row.validation:.3f}" for row in rows))
    return TrainedPolicy(name, reads, network, net, objective, members, rows)
