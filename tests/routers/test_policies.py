"""Routers with exact supervision find what can be known, keep their budgets, and are the best fixed route where
nothing can.
"""

from dataclasses import replace

import numpy as np
import pytest
import torch
from made_up_dataset import BUDGETS, LAYERS, NEIGHBOURS, SPACE, TRAINING, dataset

from duo.routers import baselines, budgets, objectives, policies
from duo.routers.dataset import RouterDataset
from duo.routes import RouteSpace
from duo.terms import BIG

OBJECTIVES = ["expected_loss", "value", "distillation", "straight_through"]
TRAIN, VALIDATION, TEST = dataset(40, 0), dataset(20, 1), dataset(20, 2)


def fixed_loss(budget: int) -> float:
    (fixed,) = baselines.build("fixed", BUDGETS, ["layers"], NEIGHBOURS, TRAIN, VALIDATION, seed=1)
    return fixed.choose(TEST)["exact", budget].losses.mean().item()


def trained(objective: str, reads: str = "layers", network: str = "linear", **changes) -> policies.TrainedPolicy:
    training = TRAINING.model_copy(update=changes)
    return policies.train(objective, reads, network, BUDGETS, training, TRAIN, VALIDATION, seed=1)


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize(("reads", "network"), [("layers", "linear"), ("upfront", "mlp")])
def test_what_can_be_known_is_found(objective, reads, network):
    """At two of four layers the right half gains 2 nats; a route that is the same for all gains 1.

    Straight through finds a part of it.
    """
    chosen = trained(objective, reads, network).choose(TEST)
    exact, average = (chosen[constraint, 2].losses.mean().item() for constraint in ("exact", "average"))
    assert fixed_loss(2) == pytest.approx(3.0, abs=0.15)
    if objective == "straight_through":
        assert exact < 2.7 and average < 2.95
    else:
        assert exact == pytest.approx(2.0, abs=0.15) and average < 2.7


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_budgets_are_met(objective):
    """Exactly by every token; on average on the documents that the price was found on."""
    policy = trained(objective)
    for (constraint, budget), chosen in policy.choose(TRAIN).items():
        used = SPACE.count(chosen.routes.numpy(), BIG)
        assert used.mean() == pytest.approx(budget, abs=0.02)
        assert constraint == "average" or (used == budget).all()
        np.testing.assert_array_equal(chosen.losses, TRAIN.losses[torch.arange(len(TRAIN)), chosen.routes])


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_untrained_it_is_the_best_fixed_route_of_the_domain(objective):
    built = objectives.build(objective, BUDGETS, TRAINING, TRAIN)
    network = policies.Network(TRAIN.inputs, built.bias(), None, torch.Generator())
    outputs = network.over(TEST.inputs, TEST.domain)
    for member, frontier in zip(built.members, built.frontiers(outputs, TEST), strict=True):
        (fixed,) = baselines.build("fixed", [member.budget], [], NEIGHBOURS, TRAIN, VALIDATION, seed=1)
        routes = fixed.choose(TEST)["exact", member.budget].routes
        assert torch.equal(frontier.exactly(member.budget), routes)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_it_is_told_the_domain(objective):
    """In one domain the lower half of the layers should be big, in the other the upper; inputs are noise alone."""
    gains = torch.tensor([[1.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 1.0]]) @ torch.from_numpy(SPACE.digits).float().T

    def by_domain(seed: int) -> RouterDataset:
        made = dataset(40, seed)
        generator = torch.Generator().manual_seed(seed)
        return replace(made, inputs=torch.randn(made.inputs.shape, generator=generator), losses=4 - gains[made.domain])

    train, validation, test = map(by_domain, (0, 1, 2))
    policy = policies.train(objective, "layers", "linear", BUDGETS, TRAINING, train, validation, seed=1)
    assert policy.choose(test)["exact", 2].losses.mean().item() == pytest.approx(2.0, abs=0.01)


def test_the_same_seed_gives_the_same_policy():
    first, second = (trained("expected_loss", "upfront", "mlp", steps=5) for _ in range(2))
    assert all(torch.equal(*pair) for pair in zip(first.net.parameters(), second.net.parameters(), strict=True))
    assert [repr(row) for row in first.settings] == [repr(row) for row in second.settings]


def test_the_weights_that_are_kept_are_the_best_on_validation():
    """Far too large steps end badly; what is kept is no worse than the beginning."""
    policy = trained("straight_through", learning_rate=30.0)
    beginning = trained("straight_through", learning_rate=1e-9)
    for late, early in zip(policy.settings, beginning.settings, strict=True):
        assert late.validation <= early.validation + 1e-6


def test_multilinear_is_the_expectation_over_routes():
    generator = torch.Generator().manual_seed(0)
    for layers in (1, 4, 5):
        space = RouteSpace(layers)
        chances, losses = torch.rand(3, 6, layers, generator=generator), torch.rand(6, len(space), generator=generator)
        big = torch.from_numpy(space.digits) == 1
        weights = torch.where(big, chances[:, :, None], 1 - chances[:, :, None]).prod(-1)
        torch.testing.assert_close(objectives.multilinear(chances, losses), (weights * losses).sum(-1))


def test_straight_through_descends_the_multilinear_loss_at_the_hard_route():
    """Its gradient by a margin: the loss with the layer big less with it small, times the sigmoid's slope."""
    built = objectives.StraightThrough([objectives.Member("exact", 2)], TRAIN)
    margins = torch.tensor([[[0.3, -0.2, 0.9, -1.0]]], requires_grad=True)
    loss = built.loss(margins[..., None], torch.tensor([5]), 0, 1)
    losses, hard = TRAIN.losses[5], np.array([1, 0, 1, 0])
    assert loss.item() == pytest.approx(losses[SPACE.encode(hard)].item())
    loss.backward()
    for layer in range(LAYERS):
        small, big = (np.where(np.arange(LAYERS) == layer, choice, hard) for choice in (0, 1))
        change = losses[SPACE.encode(big)] - losses[SPACE.encode(small)]
        chance = margins[0, 0, layer].sigmoid()
        assert margins.grad[0, 0, layer].item() == pytest.approx((change * chance * (1 - chance)).item(), abs=1e-5)


def test_expected_loss_given_the_budget_is_that_of_its_routes():
    built = objectives.ExpectedLoss([objectives.Member("exact", 2)], TRAIN)
    margins = torch.tensor([0.3, -0.2, 0.9, -1.0])
    loss = built.loss(margins[None, None, :, None], torch.tensor([5]), 0, 2).item()  # the first step's heat is 1
    codes = SPACE.with_budget(2)
    weights = np.exp(SPACE.digits[codes] @ margins.numpy())
    assert loss == pytest.approx((weights / weights.sum() * TRAIN.losses[5, codes].numpy()).sum(), rel=1e-5)


def test_soft_oracle_of_distillation():
    members = [objectives.Member(constraint, 2, 0.5) for constraint in ("exact", "average")]
    exact, average = objectives.Distillation(members, TRAIN).targets
    torch.testing.assert_close(exact.sum(1), torch.full((len(TRAIN),), 2.0))
    assert average.sum(1).mean().item() == pytest.approx(2.0, abs=1e-4) and average.sum(1).std() > 0.01
    codes = SPACE.with_budget(2)
    weights = torch.exp(-TRAIN.losses[7, codes] / 0.5)
    torch.testing.assert_close(exact[7], (weights / weights.sum()) @ torch.from_numpy(SPACE.digits[codes]).float())


def test_value_predicts_losses_of_second_order_exactly():
    """With each token's own coefficients in place of the network's, losses without interactions of three layers are
    all explained.
    """
    rng = np.random.default_rng(0)
    signs = 2.0 * SPACE.digits - 1
    pairs = rng.normal(size=(len(TRAIN), LAYERS, LAYERS))
    losses = np.einsum("tlm,rl,rm->tr", pairs, signs, signs) + rng.normal(size=(len(TRAIN), LAYERS)) @ signs.T
    known = RouterDataset(TRAIN.sample, TRAIN.domains, TRAIN.inputs, torch.tensor(losses, dtype=torch.float32))
    built = objectives.Value(objectives.constrained([2]), known)
    outputs = built.targets.view(1, len(known), LAYERS, LAYERS)
    frontier = built.frontiers(outputs, known)[0]
    for budget in range(LAYERS + 1):
        codes = SPACE.with_budget(budget)
        torch.testing.assert_close(
            budgets.under(known.losses, frontier.exactly(budget)), known.losses[:, codes].min(1).values
        )
    centred = known.losses - known.losses.mean(1, keepdim=True)
    predicted = frontier.values - known.domain_means().mean(1)[known.domain][:, None]
    torch.testing.assert_close(predicted[:, 2], centred[:, SPACE.with_budget(2)].min(1).values, atol=1e-4, rtol=1e-4)


def test_a_frontier_meets_an_average_at_one_price():
    frontier = budgets.by_margin(torch.tensor([[3.0, 1.0], [0.5, -1.0], [2.0, 2.5]]))
    assert frontier.routes.tolist() == [[0, 2, 3], [0, 2, 3], [0, 1, 3]]
    price = frontier.price(4 / 3)  # four layers among three tokens: those of the four largest margins
    assert 0.5 <= price <= 1.0 and frontier.on_average(price).tolist() == [3, 0, 3]
    assert frontier.on_average(1.5).tolist() == [2, 0, 3]
    assert frontier.on_average(-5.0).tolist() == [3, 3, 3] and frontier.on_average(5.0).tolist() == [0, 0, 0]
    for tokens in (frontier.meeting("exact", 1), frontier.meeting("average", 1, price=1.5)):
        assert tokens.tolist() in ([2, 2, 1], [2, 0, 3])
    assert frontier.meeting("average", 4 / 3).tolist() == frontier.on_average(price).tolist()
