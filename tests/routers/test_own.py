"""A router or baseline of one's own is held to every budget, exactly and on average, and knows no label."""

import math

import numpy as np
import pytest
import torch
from made_up_dataset import BUDGETS, LAYERS, SPACE, TIME, dataset

from duo.errors import InputError
from duo.routers import own
from duo.routes import BIG

TRAIN, VALIDATION, TEST = dataset(40, 0), dataset(20, 1), dataset(20, 2)
BOTH = ("exact", "average")


def positive(data) -> torch.Tensor:
    return data.inputs[:, 0, 0] > 0


class Scores:
    """Layers by how much they help on training tokens of the same sign of the input: all that can be known."""

    def fit(self, train, validation, backbone, seed):
        self.seed, big = seed, torch.from_numpy(SPACE.digits).float()
        signs = 1 - 2 * big
        self.help = {sign: (train.losses[positive(train) == sign] @ signs).mean(0) for sign in (False, True)}

    def scores(self, data):
        return torch.stack([self.help[bool(sign)] for sign in positive(data)])


class Losses:
    """The mean losses of training tokens of the same sign."""

    input = "sign"

    def fit(self, train, validation, backbone, seed):
        self.means = {sign: train.losses[positive(train) == sign].mean(0) for sign in (False, True)}

    def losses(self, data):
        return torch.stack([self.means[bool(sign)] for sign in positive(data)])


class Constant:
    input = "none"

    def fit(self, train, validation, backbone, seed):
        self.mean = train.losses.mean(0)

    def losses(self, data):
        return self.mean.expand(len(data), -1)


def fitted(chooser, constraints=BOTH, seed=1) -> own.OwnPolicy:
    return own.fit("mine", chooser, constraints, BUDGETS, TRAIN, VALIDATION, None, seed)


@pytest.mark.parametrize("kind", [Scores, Losses])
def test_what_can_be_known_is_used_under_every_budget(kind):
    """At two of four layers the right half gains 2 nats; a route that is the same for all gains 1."""
    policy = fitted(kind())
    chosen = policy.choose(TEST)
    assert list(chosen) == [(constraint, budget) for constraint in BOTH for budget in BUDGETS]
    for constraint in BOTH:
        assert chosen[constraint, 2].losses.mean().item() == pytest.approx(2.0, abs=0.2)
    for (constraint, budget), routes in policy.choose(TRAIN).items():
        used = SPACE.count(routes.routes.numpy(), BIG)
        # Tokens of one sign are all alike to it, so that an average is met as nearly as half of them can.
        assert (used == budget).all() if constraint == "exact" else abs(used.mean() - budget) <= 0.6
        np.testing.assert_array_equal(routes.losses, TRAIN.losses[torch.arange(len(TRAIN)), routes.routes])


def test_settings_say_what_it_is_and_what_it_costs_on_validation():
    policy = fitted(Losses())
    assert (policy.name, policy.role, policy.input, policy.network) == ("mine", "learned", "sign", "none")
    on_validation = policy.choose(VALIDATION)
    for row in policy.settings:
        assert (row.steps, math.isnan(row.setting), math.isnan(row.price)) == (0, True, row.constraint == "exact")
        if row.constraint == "exact":
            assert row.validation == pytest.approx(on_validation["exact", row.budget].losses.mean().item())
    assert fitted(Scores()).input == "own"
    baseline = fitted(Constant(), ("exact",))
    assert (baseline.role, baseline.input) == ("baseline", "none")
    assert {row.constraint for row in baseline.settings} == {"exact"}


def test_an_average_meets_its_price():
    """Scores differ from token to token: the mean over tokens is the budget, and more is spent where they are high."""

    class Noise(Scores):
        def scores(self, data):
            generator = torch.Generator().manual_seed(len(data))
            return torch.rand(len(data), LAYERS, generator=generator) * torch.rand(len(data), 1, generator=generator)

    policy = fitted(Noise())
    for budget in BUDGETS:
        used = SPACE.count(policy.choose(TRAIN)["average", budget].routes.numpy(), BIG)
        assert used.mean() == pytest.approx(budget, abs=0.01)
        totals = policy.chooser.scores(TRAIN).sum(1).numpy()
        assert totals[used > budget].mean() > totals[used < budget].mean()


def test_it_is_told_its_seed_and_no_label():
    seen = []

    class Looks(Scores):
        def scores(self, data):
            seen.append(data)
            return super().scores(data)

    first, again, other = fitted(Looks()), fitted(Looks()), fitted(Looks(), seed=2)
    assert first.chooser.seed == again.chooser.seed != other.chooser.seed
    assert all(data.losses.isnan().all() and (data.sample.labels == -1).all() for data in seen)
    assert seen[0].losses.shape == TRAIN.losses.shape and seen[0].domain_means().isnan().any()
    assert np.array_equal(seen[0].sample.tokens, TRAIN.sample.tokens) and TRAIN.sample.labels.min() >= 0
    assert TIME * len(TRAIN.sample.documents) == len(seen[0])


@pytest.mark.parametrize(
    ("scores", "message"),
    [
        (
            lambda data: data.inputs[:, :2, 0],
            r"Scores.scores gave .*shape \(320, 2\), should be .* of shape \(320, 4\)",
        ),
        (
            lambda data: data.losses[:, :LAYERS],
            "gave numbers that are not all finite; they can't be made of labels or losses",
        ),
    ],
)
def test_what_it_may_not_give_is_said(scores, message):
    chooser = Scores()
    chooser.scores = scores
    with pytest.raises(InputError, match=message):
        fitted(chooser)
