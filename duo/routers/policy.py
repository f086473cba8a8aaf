"""What policies have in common, and how they fare on tokens whose losses under all routes are known.

A policy chooses a route for every token without its label; the domain it may know. Two losses tell how it fares: the
isolated one, where all tokens of the sequence share the token's route, and the joint one, where every token runs on its
own.

A router or a baseline of one's own is a class with the methods of OwnRouter or OwnBaseline. Neither needs to know of
budgets: the routes that meet each, exactly or on average, are made from what it says (duo.routers.own).
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import NamedTuple, Protocol

import pyarrow as pa
from torch import Tensor

from duo.model.device import Device
from duo.model.transformer import Duo
from duo.oracle import joint
from duo.routers.dataset import RouterDataset
from duo.routes import RouteSpace

BudgetKey = tuple[str, int]  # constraint and budget


class PolicyRoutes(NamedTuple):
    """What a policy does under a constraint and budget: both [tokens]."""

    routes: Tensor  # codes
    losses: Tensor  # nats, isolated


@dataclass(frozen=True)
class PolicySetting:
    """Columns of POLICY_SETTINGS under a constraint and budget."""

    constraint: str
    budget: int
    steps: int
    setting: float
    price: float
    validation: float


class Policy(Protocol):
    """Anything that chooses a route for every token."""

    name: str
    role: str  # LEARNED where a token's choice was learned from the losses of all routes, else BASELINE
    input: str  # what it reads: layers, upfront, token, none, or what a class of the user's own says
    network: str
    settings: list[PolicySetting]

    def choose(self, dataset: RouterDataset) -> dict[BudgetKey, PolicyRoutes]:
        """Its routes under every constraint and budget."""


class OwnRouter(Protocol):
    """What a router of the user's own has: it says how much each layer's big FFN would help each token.

    It is made without arguments. examples/own_router.py is one. An attribute `input`, in a word, says what it reads;
    where it is "none", the policy is a baseline that looks at no token.
    """

    def fit(self, train: RouterDataset, validation: RouterDataset, backbone: Duo, seed: int) -> None:
        """Learn from the losses of all routes on tokens of documents that the backbone has not seen; validation is for
        choosing settings. A dataset says each token's domain, which routers and baselines of duo's are told too.

        backbone: the routed model, for what a router may want to compute itself; it may lie on another device than the
        datasets, which are on the CPU. All three are the router's own copies: it is judged on others. seed: for all
        random numbers, as the same seed must give the same router.
        """

    def scores(self, dataset: RouterDataset) -> Tensor:
        """[tokens, layers] fp32: how much each layer's big FFN is thought to help, in any unit.

        At a budget the layers of highest score are big; on average over tokens, more where scores are higher. Labels
        and losses, which a router can't know, are left out of the dataset. The tokens of whole documents are there, but
        a token's scores may depend on it and on those before it alone: it is an error where they change with later
        ones, or from call to call.
        """


class OwnBaseline(Protocol):
    """What a baseline of the user's own has: it predicts the loss of every route. Else it is as OwnRouter.

    A router may predict losses too, and a baseline may score layers: whichever of the two a class has is used.
    """

    def fit(self, train: RouterDataset, validation: RouterDataset, backbone: Duo, seed: int) -> None:
        """As in OwnRouter."""

    def losses(self, dataset: RouterDataset) -> Tensor:
        """[tokens, routes] fp32: the loss that is predicted under every route, in order of their codes, in nats.

        At a budget the route of lowest predicted loss is taken. What they may depend on is as with OwnRouter's scores.
        """


def settings(policies: Sequence[Policy]) -> pa.Table:
    """POLICY_SETTINGS of these policies."""
    return pa.Table.from_pylist([_ids(policy) | asdict(row) for policy in policies for row in policy.settings])


def score(policy: Policy, dataset: RouterDataset, backbone: Duo, device: Device) -> pa.Table:
    """POLICY_ROUTES of a policy on these tokens."""
    sample, space, parts = dataset.sample, RouteSpace(dataset.layers), []
    for (constraint, budget), chosen in policy.choose(dataset).items():
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
