"""How much a router gains from more supervision: it and the fixed route learn from losses of a few random routes.

Of as much supervision (duo.routers.supervision) both the fixed route and the routers are learned, so a router that
finds nothing is the fixed route (duo.routers.few_routes).
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from duo.routers import policies
from duo.routers.budgets import under
from duo.routers.dataset import RouterDataset
from duo.routers.few_routes import LeastSquares, Outcome, SampledExpectedLoss, Supervision, Told
from duo.seeds import stream
from duo.settings import PolicyTraining
from duo.stats import Clusters
from duo.tables.learning import LEARNED
from duo.terms import EXPECTED_LOSS, FIXED, NONE, RANDOM, SHUFFLED, TRUE, VALUE

LAYERS = "layers"  # what a router reads: the hidden states of all layers
LINEAR = "linear"


def train(
    objective: SampledExpectedLoss,
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
    squares = LeastSquares(supervision, validation, held_out.layers, seed)
    parts = [
        ((FIXED, told.supervision, NONE, NONE, told.budget), under(held_out.losses, routes))
        for told, routes in squares.fixed(held_out).items()
        if told.supervision != SHUFFLED
    ]
    parts += _members({LINEAR: squares.solve(supervision, validation, held_out)}, VALUE, LAYERS)
    noise = [
        replace(each, inputs=_noise(each.inputs, seed, index))
        for index, each in enumerate((supervision, validation, held_out))
    ]
    squares = LeastSquares(*noise[:2], held_out.layers, seed, (TRUE,))
    parts += _members({LINEAR: squares.solve(*noise)}, VALUE, RANDOM)
    objective = SampledExpectedLoss(supervision, validation, held_out.layers, seed)
    outcomes = {
        name: train(objective, supervision, name, training, validation, held_out, seed) for name in training.networks
    }
    parts += _members(outcomes, EXPECTED_LOSS, LAYERS)
    return pa.concat_tables([_sums(model, tokens, key, losses, held_out) for key, losses in parts])


def _noise(inputs: Tensor, seed: int, index: int) -> Tensor:
    """As many normal numbers."""
    generator = torch.Generator().manual_seed(int(stream(seed, "learning", RANDOM, index).integers(2**31)))
    return torch.randn(inputs.shape, generator=generator)


def _members(outcomes: Mapping[str, Outcome], policy: str, reads: str) -> Iterator[tuple[tuple, Tensor]]:
    """Columns policy, supervision, input, network and budget of every member, with its losses [tokens]."""
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
