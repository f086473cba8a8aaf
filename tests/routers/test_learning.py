"""Routers learn what is planted in losses of a few random routes, and nothing from losses of other tokens."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import torch
from models import TINY, make, random_tokens

from duo.data.evaluation_set import EvaluationSet
from duo.model.device import Device
from duo.routers import few_routes, learning
from duo.routers import supervision as sampled
from duo.routers.dataset import RouterDataset
from duo.routes import RouteSpace
from duo.settings import PolicyTraining
from duo.terms import EXPECTED, EXPECTED_LOSS, SHUFFLED, TRUE, VALUE

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


def supervision(sequences: int, noise: float) -> few_routes.Supervision:
    """A few routes of each sequence; noise: deviation of what true labels add to what the teacher expects."""
    whole, sequence = data(sequences, seed=1)
    random = torch.Generator().manual_seed(2)
    drawn = CODES[torch.randint(len(CODES), (sequences, EACH), generator=random)][sequence]
    expected = whole.losses.gather(1, drawn)[:, None]
    true = expected + noise * torch.randn(expected.shape, generator=random)
    return few_routes.Supervision(whole.inputs, whole.domain, sequence, [BUDGET], drawn[:, None], true, expected)


@pytest.fixture(scope="module", params=[VALUE, EXPECTED_LOSS])
def learned(request):
    held_out, _ = data(40, seed=3)
    validation, _ = data(40, seed=4)
    told = supervision(200, 0.5)
    if request.param == VALUE:
        objective = few_routes.LeastSquares(told, validation, LAYERS, 5)
        return held_out, objective, objective.solve(told, validation, held_out)
    objective = few_routes.SampledExpectedLoss(told, validation, LAYERS, 5)
    return held_out, objective, learning.train(objective, told, "linear", TRAINING, validation, held_out, seed=5)


def fixed_of(held_out: RouterDataset, objective) -> torch.Tensor:
    return held_out.losses.gather(1, objective.fixed(held_out)[few_routes.Told(TRUE, BUDGET)][:, None])[:, 0]


def test_planted_choice_is_learned_and_fixed_is_the_domains_best(learned):
    held_out, objective, outcome = learned
    lowest, fixed = held_out.losses[:, CODES].min(1).values.mean(), fixed_of(held_out, objective).mean()
    best = [held_out.losses[held_out.domain == index][:, CODES].mean(0).min() for index in (0, 1)]
    assert fixed == pytest.approx(sum(best).item() / 2, abs=1e-5)
    for told in (TRUE, EXPECTED):
        assert fixed - outcome.losses[few_routes.Told(told, BUDGET)].mean() > 0.8 * (fixed - lowest)


def test_shuffled_losses_teach_no_more_than_the_fixed_route(learned):
    held_out, objective, outcome = learned
    lowest, fixed = held_out.losses[:, CODES].min(1).values.mean(), fixed_of(held_out, objective).mean()
    assert abs(fixed - outcome.losses[few_routes.Told(SHUFFLED, BUDGET)].mean()) < 0.1 * (fixed - lowest)


def test_untrained_router_is_the_fixed_route():
    held_out, _ = data(10, seed=3)
    objective = few_routes.SampledExpectedLoss(supervision(40, 0.1), held_out, LAYERS, 5)
    outputs = objective.bias()[:, :, held_out.domain].permute(1, 2, 0, 3)
    frontiers = dict(zip(objective.members, objective.frontiers(outputs, held_out), strict=True))
    told = few_routes.Told(TRUE, BUDGET)
    torch.testing.assert_close(frontiers[told].routes, objective.fixed(held_out)[told])
    of_domains = [frontiers[told].routes[held_out.domain == index].unique().tolist() for index in (0, 1)]
    assert of_domains[0] != of_domains[1]


def test_least_squares_are_those_of_every_route_of_every_token():
    """The normal equations are those of the plain regression on states times what is big, a row for each loss."""
    told = supervision(12, 0.3)
    told = replace(told, inputs=torch.randn(told.inputs.shape, generator=torch.Generator().manual_seed(9)))
    validation, _ = data(10, seed=4)
    objective = few_routes.LeastSquares(told, validation, LAYERS, 5, (TRUE,))
    features = few_routes.StateFeatures(told)
    big = few_routes.centred(objective.digits[objective.routes[0]])
    x = torch.einsum("trl,ltw->trlw", big, features.learned).flatten(0, 1).flatten(1).double()
    y = -objective.targets[0].flatten().double()
    right = -features.sums(torch.einsum("tr,trl->tl", objective.targets[0], big))
    found = features.solved(features.products(big), right, 5.0)
    expected = torch.linalg.solve(x.T @ x + 5.0 * torch.eye(x.shape[1]), x.T @ y).view(found.shape)
    torch.testing.assert_close(found, expected.float(), rtol=1e-3, atol=1e-4)


def test_expected_loss_of_few_routes_is_that_of_all_but_for_a_constant():
    """Over every way to draw two routes of six for a token, its mean moves with a policy as the exact one does."""
    whole, _ = data(2, seed=7)
    token = 3
    pairs = torch.tensor(list(product(CODES.tolist(), repeat=2)))
    losses = whole.losses[token][pairs][:, None]
    told = few_routes.Supervision(
        whole.inputs[token].expand(len(pairs), -1, -1),
        whole.domain[token].expand(len(pairs)),
        torch.arange(len(pairs)),
        [BUDGET],
        pairs[:, None],
        losses,
        losses,
    )
    objective = few_routes.SampledExpectedLoss(told, whole, LAYERS, 5, (TRUE,))
    found, exact = [], []
    for seed in range(3):
        margins = torch.randn(LAYERS, generator=torch.Generator().manual_seed(seed))
        outputs = margins.expand(1, len(pairs), LAYERS)[..., None]
        found.append(objective.loss(outputs, torch.arange(len(pairs)), 0, 10))
        chances = (margins @ torch.from_numpy(SPACE.digits[CODES]).float().T).softmax(0)
        exact.append((chances * whole.losses[token][CODES]).sum())
    for index in (1, 2):
        assert (found[index] - found[0]).item() == pytest.approx((exact[index] - exact[0]).item(), abs=1e-4)


def test_table_holds_every_router_and_the_fixed_routes_summed_by_cluster():
    held_out, _ = data(6, seed=3)
    training = TRAINING.model_copy(update={"steps": 3, "networks": ["linear", "mlp"]})
    table = learning.learn("duo", 80, supervision(20, 0.1), training, data(6, seed=4)[0], held_out, seed=5)
    rows = table.to_pylist()
    routers = [(policy, told, "layers") for policy in (VALUE, EXPECTED_LOSS) for told in (TRUE, EXPECTED, SHUFFLED)]
    fixed_routes = [("fixed", told, "none") for told in (TRUE, EXPECTED)]
    expected = {*routers, (VALUE, TRUE, "random"), *fixed_routes}
    assert {(row["policy"], row["supervision"], row["input"]) for row in rows} == expected
    assert len(rows) == len(expected) * 6 and {row["tokens"] for row in rows} == {TIME}
    objective = few_routes.LeastSquares(supervision(20, 0.1), data(6, seed=4)[0], LAYERS, 5)
    losses = fixed_of(held_out, objective).view(6, TIME).sum(1)
    fixed = [row for row in rows if (row["policy"], row["supervision"]) == ("fixed", TRUE)]
    by_cluster = {row["cluster"]: row["loss"] for row in fixed}
    assert by_cluster == pytest.approx({f"d{index}": losses[index].item() for index in range(6)}, rel=1e-5)


def test_first_tokens_of_tables_are_those_of_their_rows():
    """Whole rows of each domain; the losses belong to the token, the routes to its row."""
    duo, space = make(), RouteSpace(TINY.layers)
    tables = {}
    for index, domain in enumerate(("text", "code")):
        ids = random_tokens(3, 7, seed=index).numpy()
        names = [f"row {row}" for row in range(3)]
        sample = EvaluationSet([domain] * 3, names, names, ids[:, :-1], ids[:, 1:])
        routes = sampled.sample_routes(space, [1, 2], 2, sample, seed=1).reshape(3, -1)
        numbers = torch.arange(3 * 6 * 4, dtype=torch.float32).view(3, 6, 4) + 100 * index
        tables[domain] = sampled.table(sample, routes, sampled.Sampled(numbers, -numbers))
    found = few_routes.first(tables, 7, [1, 2], duo, Device())
    assert len(found.inputs) == 2 * 2 * 6 and found.domain.tolist() == [0] * 12 + [1] * 12
    assert found.sequence.tolist() == [row for row in range(4) for _ in range(6)]
    torch.testing.assert_close(found.losses[:12].flatten(1), torch.arange(48.0).view(12, 4))
    torch.testing.assert_close(found.expected[12:].flatten(1), -100 - torch.arange(48.0).view(12, 4))
    assert found.routes[6].flatten().tolist() == tables["text"]["routes"][1].as_py()


def test_shuffling_stays_in_the_domain_and_moves_pairs_together():
    domain = torch.tensor([0, 1]).repeat(20)
    order = few_routes.within_domains(domain, seed=1, budget=2)
    torch.testing.assert_close(domain[order], domain)
    assert sorted(order.tolist()) == list(range(40)) and order.tolist() != list(range(40))


def test_the_network_that_is_best_on_validation_stands_for_its_member():
    first, second = few_routes.Told(TRUE, 2), few_routes.Told(EXPECTED, 2)
    outcomes = {
        "linear": few_routes.Outcome({}, {first: 0.5, second: 0.9}),
        "mlp": few_routes.Outcome({}, {first: 0.6, second: 0.8}),
    }
    assert learning.better(outcomes) == {first: "linear", second: "mlp"}
