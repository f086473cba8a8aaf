"""What routers must beat, on made-up tokens: by domain, by token id, by neighbours, at random."""

import numpy as np
import pytest
import torch
from made_up_dataset import BUDGETS, DOMAINS, NEIGHBOURS, SPACE, TIME, dataset

from duo.data.evaluation_set import EvaluationSet
from duo.routers import baselines
from duo.routers.dataset import RouterDataset
from duo.terms import BASELINES, BIG

TRAIN, VALIDATION, TEST = dataset(40, 0), dataset(20, 1), dataset(20, 2)


def built(name: str, train: RouterDataset = TRAIN, validation: RouterDataset = VALIDATION) -> list:
    return baselines.build(name, BUDGETS, ["layers", "upfront"], NEIGHBOURS, train, validation, seed=1)


FOUND = {(each.name, each.input): each for name in BASELINES for each in built(name)}


def test_every_baseline_meets_its_budget_and_claims_its_loss():
    assert list(FOUND) == [
        ("fixed", "none"),
        ("token_table", "token"),
        ("neighbours", "layers"),
        ("neighbours", "upfront"),
        ("random", "none"),
    ]
    for (name, _), each in FOUND.items():
        for (constraint, budget), chosen in each.choose(TEST).items():
            assert constraint == "exact" and (SPACE.count(chosen.routes.numpy(), BIG) == budget).all()
            if name != "random":
                np.testing.assert_array_equal(chosen.losses, TEST.losses[torch.arange(len(TEST)), chosen.routes])


def test_fixed_is_the_best_route_of_the_domain_on_training_documents():
    chosen, codes = FOUND["fixed", "none"].choose(TEST)["exact", 2], SPACE.with_budget(2)
    for index in range(len(DOMAINS)):
        best = codes[TRAIN.losses[TRAIN.domain == index][:, codes].mean(0).argmin()]
        assert (chosen.routes[TEST.domain == index] == best).all()


def test_what_can_be_known_is_found():
    """The right half of the layers gains 2 nats over none at two big layers, whichever half is fixed 1; the id is
    wrong in a tenth.
    """
    losses = {key: each.choose(TEST)["exact", 2].losses.mean().item() for key, each in FOUND.items()}
    assert losses["fixed", "none"] == pytest.approx(3.0, abs=0.15)
    assert losses["token_table", "token"] == pytest.approx(2.2, abs=0.2)
    assert losses["neighbours", "layers"] == pytest.approx(2.0, abs=0.15)


def test_neighbours_are_the_nearest_of_the_standardised_inputs_in_the_domain():
    numbers = [3, 10]
    (predicted,) = baselines.by_neighbours(TRAIN, "layers", numbers)(TEST)
    deviation, mean = TRAIN.inputs.std(0), TRAIN.inputs.mean(0)
    known, asked = (((each.inputs - mean) / deviation).flatten(1) for each in (TRAIN, TEST))
    distances = torch.cdist(asked, known).where(TEST.domain[:, None] == TRAIN.domain, torch.inf)
    order = distances.argsort(dim=1)
    for number, each in zip(numbers, predicted, strict=True):
        torch.testing.assert_close(each, TRAIN.losses[order[:, :number]].mean(1))


def test_the_token_table_draws_means_towards_the_domains():
    one = EvaluationSet(["text"], ["d"], ["d"], np.array([[5, 5, 7]]), np.zeros((1, 3), np.int64))
    losses = torch.tensor([[0.0, 3.0], [2.0, 1.0], [4.0, 2.0]])
    known = RouterDataset(one, DOMAINS, torch.zeros(3, 1, 1), losses)
    asked = EvaluationSet(
        ["text", "code"], ["a", "b"], ["a", "b"], np.array([[5, 99], [5, 6]]), np.zeros((2, 2), np.int64)
    )
    (predicted,) = baselines.by_token(known, [2])(
        RouterDataset(asked, DOMAINS, torch.zeros(4, 1, 1), torch.zeros(4, 2))
    )
    own, never, other = (
        [1.5, 2.0],
        [2.0, 2.0],
        [0.0, 0.0],
    )  # two occurrences of mean [1, 2], two more of the domain's [2, 2]
    assert predicted[0].tolist() == [
        own,
        never,
        other,
        other,
    ]  # the id of another domain, which has no token, is nothing known


def test_random_claims_the_mean_of_its_budget_and_belongs_to_the_document():
    chosen = FOUND["random", "none"].choose(TEST)["exact", 2]
    torch.testing.assert_close(chosen.losses, TEST.losses[:, SPACE.with_budget(2)].mean(1))
    assert len(chosen.routes.unique()) == len(SPACE.with_budget(2))
    half = RouterDataset(TEST.sample.take(slice(10, 20)), DOMAINS, TEST.inputs[10 * TIME :], TEST.losses[10 * TIME :])
    assert torch.equal(FOUND["random", "none"].choose(half)["exact", 2].routes, chosen.routes[10 * TIME :])


def test_numbers_are_chosen_on_validation():
    """Where noise is large, more neighbours are better."""
    train, validation = dataset(40, 0, noise=8.0), dataset(40, 1, noise=8.0)
    for each in built("neighbours", train, validation):
        predicted = list(baselines.by_neighbours(train, each.input, NEIGHBOURS)(validation))
        for setting in each.settings:
            codes = SPACE.with_budget(setting.budget)
            losses = []
            for index in range(len(NEIGHBOURS)):
                best = codes[torch.cat([chunk[index] for chunk in predicted])[:, codes].argmin(1)]
                losses.append(validation.losses[torch.arange(len(validation)), torch.from_numpy(best)].mean().item())
            assert setting.validation == pytest.approx(min(losses)) and setting.setting == NEIGHBOURS[np.argmin(losses)]
