"""Routers learn what is planted in losses of a few random routes, and nothing from losses of other tokens."""

import numpy as np
import pytest
import torch

from duo.data.evaluation_set import EvaluationSet
from duo.routers import learning
from duo.routers.dataset import RouterDataset
from duo.routes import RouteSpace
from duo.settings import PolicyTraining
from duo.terms import EXPECTED, SHUFFLED, TRUE

LAYERS, WIDTH, TIME, EACH, BUDGET = 4, 3, 8, 4, 2
SPACE = RouteSpace(LAYERS)
CODES = torch.from_numpy(SPACE.with_budget(BUDGET))
TRAINING = PolicyTraining(
    inputs=["layers"],
    networks=["linear"],
    hidden=4,
    steps=300,
    batch=128,
    learning_rate=0.05,
    temperatures=[1.0],
)
WORTH = torch.tensor([[0.1, 0.2, 0.3, 0.4], [0.4, 0.3, 0.2, 0.1]])  # of a big layer, nats, by domain
PLANTED = 1.0  # nats between layers 0 and 3, by the sign of the first input


def losses_of(inputs: torch.Tensor, domain: torch.Tensor) -> torch.Tensor:
    """[tokens, routes] without noise: the domain's layers, and for each token layer 0 or layer 3."""
    worth = WORTH[domain].clone()
    worth[:, 0] += PLANTED * inputs[:, 0, 0].sign()
    worth[:, 3] -= PLANTED * inputs[:, 0, 0].sign()
    return 3.0 - worth @ torch.from_numpy(SPACE.digits).float().T


def data(sequences: int, seed: int) -> tuple[RouterDataset, torch.Tensor]:
    """Losses of all routes, half of the sequences of each domain; and index of the sequence of each token."""
    random = torch.Generator().manual_seed(seed)
    names = [f"d{index}" for index in range(sequences)]
    domains = ["text", "code"] * (sequences // 2)
    ids = np.zeros((sequences, TIME), np.int64)
    sample = EvaluationSet(domains, names, names, ids, ids)
    inputs = torch.randn(sequences * TIME, 1, WIDTH, generator=random).expand(-1, LAYERS, -1)
    domain = torch.tensor([0, 1]).repeat(sequences // 2).repeat_interleave(TIME)
    dataset = RouterDataset(sample, ["text", "code"], inputs, losses_of(inputs, domain))
    return dataset, torch.arange(sequences).repeat_interleave(TIME)


def supervision(sequences: int, noise: float) -> learning.Supervision:
    """A few routes of each sequence; noise: deviation of what true labels add to what the teacher expects."""
    whole, sequence = data(sequences, seed=1)
    random = torch.Generator().manual_seed(2)
    drawn = CODES[torch.randint(len(CODES), (sequences, EACH), generator=random)][sequence]
    expected = whole.losses.gather(1, drawn)[:, None]
    true = expected + noise * torch.randn(expected.shape, generator=random)
    return learning.Supervision(whole.inputs, whole.domain, sequence, [BUDGET], drawn[:, None], true, expected)


@pytest.fixture(scope="module")
def trained():
    held_out, _ = data(40, seed=3)
    validation, _ = data(40, seed=4)
    found = learning.train(supervision(200, 0.5), "linear", TRAINING, validation, held_out, seed=5)
    return held_out, found


def test_planted_choice_is_learned_and_fixed_is_the_domains_best(trained):
    held_out, (losses, fixed, _) = trained
    lowest = held_out.losses[:, CODES].min(1).values.mean()
    best = [held_out.losses[held_out.domain == index][:, CODES].mean(0).min() for index in (0, 1)]
    assert fixed[BUDGET].mean() == pytest.approx(sum(best).item() / 2, abs=1e-5)
    gap = fixed[BUDGET].mean() - lowest
    for told in (TRUE, EXPECTED):
        assert fixed[BUDGET].mean() - losses[learning.Told(told, BUDGET)].mean() > 0.8 * gap


def test_shuffled_losses_teach_no_more_than_the_fixed_route(trained):
    held_out, (losses, fixed, _) = trained
    gap = fixed[BUDGET].mean() - held_out.losses[:, CODES].min(1).values.mean()
    assert abs(fixed[BUDGET].mean() - losses[learning.Told(SHUFFLED, BUDGET)].mean()) < 0.1 * gap


def test_untrained_router_is_the_fixed_route():
    held_out, _ = data(10, seed=3)
    objective = learning.SampledMargins(supervision(40, 0.1), held_out, LAYERS, seed=5)
    nothing = torch.zeros(len(objective.members), len(held_out), LAYERS, 1)
    frontiers = dict(zip(objective.members, objective.frontiers(nothing, held_out), strict=True))
    routes = frontiers[learning.Told(TRUE, BUDGET)].routes
    torch.testing.assert_close(routes, objective.fixed(held_out)[BUDGET])
    assert routes[held_out.domain == 0].unique().tolist() != routes[held_out.domain == 1].unique().tolist()


def test_shuffling_stays_in_the_domain_and_moves_pairs_together():
    domain = torch.tensor([0, 1]).repeat(20)
    order = learning.within_domains(domain, seed=1, budget=2)
    torch.testing.assert_close(domain[order], domain)
    assert sorted(order.tolist()) == list(range(40)) and order.tolist() != list(range(40))


def test_the_network_that_is_best_on_validation_stands_for_its_member():
    first, second = learning.Told(TRUE, 2), learning.Told(EXPECTED, 2)
    networks = [
        ({first: torch.tensor([1.0]), second: torch.tensor([2.0])}, {}, {first: 0.5, second: 0.9}),
        ({first: torch.tensor([3.0]), second: torch.tensor([4.0])}, {}, {first: 0.6, second: 0.8}),
    ]
    assert {member: loss.item() for member, loss in learning.better(networks).items()} == {first: 1.0, second: 4.0}
