"""Routers with exact supervision: a network from hidden states to routes, trained for an objective, each budget met
exactly or on average.

The weights kept are those of the step with the lowest loss on the validation documents, the first, which is the best
fixed route, among them; so is the soft oracle's temperature.
"""

import logging
import math
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim.lr_scheduler import CosineAnnealingLR
from tqdm import tqdm

from duo.routers import objectives
from duo.routers.budgets import Menu, under
from duo.routers.dataset import Examples
from duo.routers.policy import Chosen, Key, Setting
from duo.seeds import stream
from duo.settings import Policies as Settings
from duo.terms import AVERAGE, LEARNED

log = logging.getLogger(__name__)

VALIDATE_EVERY = 20  # steps


class Network(nn.Module):
    """A gate at every layer for every member: inputs [tokens, depth, width] -> [members, tokens, layers, outputs].

    Inputs are standardised as those that the network is made with. With depth 1 all gates read the same input, and
    those of an mlp share its inner units; else each layer's gate reads its own. hidden: inner width of the mlp, None
    for a linear network. Until it is trained it gives `bias` [layers, members, 1, outputs], whatever it reads.
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

    def forward(self, inputs: Tensor) -> Tensor:
        x, axes = ((inputs - self.mean) / self.deviation).transpose(0, 1), "lbw"
        if self.inner is not None:
            x, axes = F.silu(torch.einsum("lbi,lmiw->lmbw", x, self.inner) + self.inner_bias), "lmbw"
        if len(x) == 1:
            x, axes = x[0], axes[1:]
        return torch.einsum(f"{axes},lmwo->mblo", x, self.gates) + self.bias.permute(1, 2, 0, 3)

    @torch.no_grad()
    def over(self, inputs: Tensor) -> Tensor:
        """The same of any number of tokens, without gradients."""
        return torch.cat([self(chunk) for chunk in inputs.split(objectives.CHUNK)], dim=1)


def fit(
    network: Network,
    objective: objectives.Objective,
    inputs: Tensor,
    validation: Examples,
    validation_inputs: Tensor,
    settings: Settings,
    generator: torch.Generator,
) -> Tensor:
    """Train the network on inputs [tokens, depth, width]; it ends with each member's best weights.

    Returns [members of the network] the number of steps after which those were reached. AdamW, minibatches drawn with
    replacement, and a rate that falls to zero as a cosine.
    """
    weights = list(network.parameters())
    optimizer = torch.optim.AdamW(weights, lr=settings.learning_rate)
    rate = CosineAnnealingLR(optimizer, settings.steps)
    best = torch.full((network.bias.shape[1],), torch.inf)
    kept, reached = [weight.detach().clone() for weight in weights], torch.zeros(len(best), dtype=torch.int64)
    for step in tqdm(range(settings.steps + 1), unit="step", disable=None, leave=False):
        if step % VALIDATE_EVERY == 0 or step == settings.steps:
            found = (
                objectives.validate(objective, network.over(validation_inputs), validation).view(len(best), -1).mean(1)
            )
            better = found < best
            best, reached = torch.where(better, found, best), torch.where(better, step, reached)
            for old, weight in zip(kept, weights, strict=True):  # members are the second axis of every weight
                old[:, better] = weight.detach()[:, better]
        if step < settings.steps:
            rows = torch.randint(len(inputs), (settings.batch,), generator=generator)
            objective.loss(network(inputs[rows]), rows, step, settings.steps).backward()
            optimizer.step()
            optimizer.zero_grad()
            rate.step()
    with torch.no_grad():
        for old, weight in zip(kept, weights, strict=True):
            weight.copy_(old)
    return reached


@dataclass(frozen=True)
class Policy:
    """Trained policies of one objective, input and network, for every constraint and budget; of
    duo.routers.policy.Policy's kind.
    """

    role: ClassVar[str] = LEARNED
    name: str
    input: str
    network: str
    net: Network
    objective: objectives.Objective
    members: dict[Key, int]  # by constraint and budget, the objective's member that serves it
    settings: list[Setting]

    def choose(self, examples: Examples) -> dict[Key, Chosen]:
        menus = self.objective.menus(self.net.over(examples.read(self.input)), examples)
        prices = {(each.constraint, each.budget): each.price for each in self.settings}
        found = {}
        for key, member in self.members.items():
            routes = _routes(menus[member], key, prices[key])
            found[key] = Chosen(routes, under(examples.losses, routes))
        return found


def _routes(menu: Menu, key: Key, price: float) -> Tensor:
    constraint, budget = key
    return menu.on_average(price) if constraint == AVERAGE else menu.exactly(budget)


def train(
    name: str, reads: str, network: str, settings: Settings, learned: Examples, validation: Examples, seed: int
) -> Policy:
    """The policies of an objective of params policies.objectives that read this input through this network."""
    generator = torch.Generator().manual_seed(int(stream(seed, "policies", name, reads, network).integers(2**31)))
    objective, inputs = objectives.build(name, settings, learned), learned.read(reads)
    net = Network(inputs, objective.bias(), settings.hidden if network == "mlp" else None, generator)
    reached = fit(net, objective, inputs, validation, validation.read(reads), settings, generator)
    found = objectives.validate(objective, net.over(validation.read(reads)), validation)
    menus = objective.menus(net.over(inputs), learned)
    members: dict[Key, int] = {}
    for index, member in enumerate(objective.members):
        key = (member.constraint, member.budget)
        if key not in members or found[index] < found[members[key]]:
            members[key] = index
    rows = []
    for (constraint, budget), index in members.items():
        rows.append(
            Setting(
                constraint=constraint,
                budget=budget,
                steps=int(reached[index % len(reached)]),
                setting=objective.members[index].temperature or math.nan,
                price=menus[index].price(budget) if constraint == AVERAGE else math.nan,
                validation=found[index].item(),
            )
        )
    log.info("%s, %s, %s: validation loss %s", name, reads, network, ", ".join(f"{row.validation:.3f}" for row in rows))
    return Policy(name, reads, network, net, objective, members, rows)
