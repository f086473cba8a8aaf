"""How policies fare on tokens whose losses under all routes are known: what they claim, and what they get when all
choose at once.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import NamedTuple, Protocol

import pyarrow as pa
from torch import Tensor

from duo.model.device import Device
from duo.model.transformer import Duo
from duo.oracle import joint
from duo.routers.dataset import Examples
from duo.routes import RouteSpace

Key = tuple[str, int]  # constraint and budget


class Chosen(NamedTuple):
    """What a policy does at a constraint and budget: both [tokens]."""

    routes: Tensor  # code
    losses: Tensor  # nats, isolated


@dataclass(frozen=True)
class Setting:
    """Columns of POLICY_SETTINGS at a constraint and budget."""

    constraint: str
    budget: int
    steps: int
    setting: float
    price: float
    validation: float


class Policy(Protocol):
    """Anything that chooses a route for each token."""

    name: str
    role: str  # LEARNED where a token's choice was learned from the losses of all routes, else BASELINE
    input: str
    network: str
    settings: list[Setting]

    def choose(self, examples: Examples) -> dict[Key, Chosen]:
        """Its choice at every constraint and budget."""


def settings(policies: Sequence[Policy]) -> pa.Table:
    """POLICY_SETTINGS of these policies."""
    return pa.Table.from_pylist([_ids(policy) | asdict(row) for policy in policies for row in policy.settings])


def score(policy: Policy, examples: Examples, backbone: Duo, device: Device) -> pa.Table:
    """POLICY_ROUTES of a policy on these examples."""
    sample, space, parts = examples.sample, RouteSpace(examples.layers), []
    for (constraint, budget), chosen in policy.choose(examples).items():
        routes = chosen.routes.numpy()
        together = joint.run_jointly(
            backbone, space, sample.tokens, routes.reshape(sample.tokens.shape), sample.labels, device
        )
        constants = _ids(policy) | {"constraint": constraint, "budget": budget}
        columns = {name: pa.repeat(value, len(routes)) for name, value in constants.items()} | sample.columns()
        parts.append(pa.table(columns | {"route": routes, "loss": chosen.losses.numpy(), "joint": together.ravel()}))
    return pa.concat_tables(parts)


def _ids(policy: Policy) -> dict[str, str]:
    return {"policy": policy.name, "role": policy.role, "input": policy.input, "network": policy.network}
