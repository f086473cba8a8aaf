"""The best of m routes against all subsets of routes, and lines through gains whose luck is known."""

from itertools import combinations
from math import comb

import numpy as np
import pytest
from made_up import LAYERS, SPACE, noise, table

from duo.routes import RouteSpace
from duo.settings import Bootstrap
from duo.stats import Intervals
from duo.studies import extrapolation
from duo.studies.extrapolation import BestOf
from duo.studies.spectrum import expected_maximum
from duo.tables.studies import EXTRAPOLATION_CURVES, EXTRAPOLATION_STATISTICS
from workflow import studies

BUDGETS = list(range(LAYERS + 1))
TWELVE = RouteSpace(12)
MANY, TOKENS = 924, 2000  # routes with 6 big layers of 12


def intervals(losses: np.ndarray, space: RouteSpace, budget: int) -> Intervals:
    """Of losses [tokens, routes of this budget], dealt to 20 clusters."""
    whole = np.zeros((len(losses), len(space)), np.float32)
    whole[:, space.with_budget(budget)] = losses
    parts = {("text", f"d{index}"): part for index, part in enumerate(np.array_split(whole, 20))}
    sums = extrapolation.document_sums(table(parts), space, [budget])
    (study,) = extrapolation.gather("duo", space.layers, sums)
    return study.intervals(200, 0.95, seed=1)


@pytest.mark.parametrize(
    "routes, rungs, fitted",
    [
        (1, [1], [1]),
        (2, [1, 2], [1, 2]),
        (4, [1, 2, 4], [2, 4]),
        (6, [1, 2, 4, 6], [2, 4, 6]),
        (12, [1, 2, 4, 8, 12], [4, 8, 12]),
        (924, [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 924], [32, 64, 128, 256, 512, 924]),
    ],
)
def test_ladder_doubles_up_to_all_and_its_upper_half_is_fitted(routes, rungs, fitted):
    assert extrapolation.ladder(routes) == rungs
    assert rungs[extrapolation.upper(len(rungs))] == fitted


def test_gain_of_the_best_of_m_is_its_mean_over_all_subsets():
    losses = np.random.default_rng(0).gamma(4, 0.5, (5, len(SPACE)))
    losses[0, :8] = 1.0  # equal ones count each for itself
    measured = extrapolation.measure(losses, SPACE, BUDGETS)
    assert list(measured) == BUDGETS
    for budget, gains in measured.items():
        routes = SPACE.with_budget(budget)
        for token, values in enumerate(losses[:, routes]):
            expected = [
                values.mean() - np.mean([min(subset) for subset in combinations(values, count)])
                for count in extrapolation.ladder(len(routes))
            ]
            np.testing.assert_allclose(gains[token], expected, atol=1e-12)
    assert (measured[2][:, 0] == 0).all()


def test_line_goes_through_points_that_lie_on_one():
    tries = extrapolation.ladder(MANY)
    gains = np.array([[0.3 + 0.2 * expected_maximum(count), 0.5 * expected_maximum(count)] for count in tries])
    gains[:3] = 9  # not of the upper half
    slope, value = extrapolation.line(tries, gains)
    np.testing.assert_allclose(slope, [0.2, 0.5])
    np.testing.assert_allclose(value, [0.3, 0], atol=1e-12)


@pytest.mark.parametrize("budget, deviation", [(1, 0.5), (2, 0.5), (6, 0.1)])
def test_luck_alone_leaves_no_remainder_and_grows_by_its_deviation(budget, deviation):
    """Tokens differ in their level, and so may clusters."""
    rng = np.random.default_rng(budget)
    losses = rng.gamma(4, 1, (TOKENS, 1)) + rng.normal(0, deviation, (TOKENS, comb(12, budget)))
    numbers = intervals(losses, TWELVE, budget)
    left = numbers[extrapolation.remainder(budget)]
    assert left.low < 0 < left.high
    assert abs(left.value) < 4 * left.error < 0.15 * deviation
    assert numbers[extrapolation.growth(budget)].value == pytest.approx(deviation, rel=0.05)
    assert abs(numbers[extrapolation.remainder_share(budget)].value) < 0.04


def test_a_better_half_of_the_routes_leaves_a_remainder():
    losses = np.random.default_rng(0).normal(3, 0.1, (TOKENS, MANY))
    losses[:, ::2] -= 0.4
    numbers = intervals(losses, TWELVE, 6)
    left, growth = numbers[extrapolation.remainder(6)], numbers[extrapolation.growth(6)]
    assert left.low > 0.1  # at most 0.2, what the better half gains over the mean
    assert left.high < 0.2
    assert growth.value == pytest.approx(0.1, rel=0.12)
    share = numbers[extrapolation.remainder_share(6)]
    assert share.value == pytest.approx(left.value / numbers[BestOf(6, MANY)].value)
    assert share.low < share.value < share.high


def shared_layers(rng: np.random.Generator, budget: int, own: float) -> np.ndarray:
    """[tokens, routes] sums of independent normal effects of the layers that are big, with a variance over routes of
    1 - own, and of noise of each route's own with a variance of own.
    """
    big = TWELVE.digits[TWELVE.with_budget(budget)]
    effects = rng.normal(size=(TOKENS, 12)) @ big.T / np.sqrt(12) / big.std()
    return np.sqrt(1 - own) * effects + np.sqrt(own) * rng.normal(size=effects.shape)


def clustered(rng: np.random.Generator, clusters: int) -> np.ndarray:
    """[tokens, routes] noise of which routes of one of the clusters share half."""
    shared = rng.normal(size=(TOKENS, clusters))[:, np.arange(MANY) % clusters]
    return shared + rng.normal(size=(TOKENS, MANY))


@pytest.mark.parametrize(
    "losses, budget, expected",
    [
        (lambda rng: shared_layers(rng, 6, own=0), 6, 0.29),
        (lambda rng: shared_layers(rng, 2, own=0), 2, 0.14),
        (lambda rng: shared_layers(rng, 1, own=0), 1, 0),
        (lambda rng: shared_layers(rng, 6, own=0.75), 6, 0.01),
        (lambda rng: clustered(rng, 4), 6, 0.08),
        (lambda rng: clustered(rng, 16), 6, 0.065),
        (lambda rng: rng.gamma(4, 0.5, (TOKENS, MANY)), 6, 0.5),
        (lambda rng: -rng.gamma(4, 0.5, (TOKENS, MANY)), 6, -0.29),
        (lambda rng: rng.normal(size=(TOKENS, MANY)) - 1 * (np.arange(MANY) % 2), 6, 0.03),
        (lambda rng: rng.normal(size=(TOKENS, MANY)) - 2 * (np.arange(MANY) % 2), 6, 0.125),
    ],
    ids=["layers", "budget 2", "budget 1", "own noise", "4 clusters", "16 clusters", "low", "deep", "little", "better"],
)
def test_what_bends_the_curve_is_as_documented(losses, budget, expected):
    """Luck that routes share, or that has a bound below, looks like a remainder; long tails hide one."""
    losses = losses(np.random.default_rng(1))
    weights = extrapolation.gain_weights(losses.shape[1])
    gains = (np.sort(losses, axis=1).mean(axis=0) @ weights.T)[:, None]
    _, value = extrapolation.line(extrapolation.ladder(losses.shape[1]), gains)
    assert value[0] / gains[-1, 0] == pytest.approx(expected, abs=0.02)


def test_routes_that_are_all_alike_gain_nothing():
    numbers = intervals(np.full((60, 6), 2.5), SPACE, 2)
    for make in (extrapolation.growth, extrapolation.remainder, extrapolation.remainder_share):
        assert numbers[make(2)] == pytest.approx((0, 0, 0), abs=1e-12)


def test_tables_fit_their_schemas(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    sums = extrapolation.document_sums(table(noise()), SPACE, BUDGETS)
    gathered = extrapolation.gather("duo", LAYERS, sums)
    assert {study.ids["domain"] for study in gathered} == {"text", "code"}
    studies.write(gathered, Bootstrap(confidence=0.95, resamples=100), seed=1)
    curves, statistics = EXTRAPOLATION_CURVES.read().to_pylist(), EXTRAPOLATION_STATISTICS.read().to_pylist()
    assert len(curves) == 2 * (1 + 3 + 4 + 3 + 1)
    assert [(row["budget"], row["tries"]) for row in curves if row["fitted"] and row["domain"] == "text"] == [
        *((1, 2), (1, 4)),
        *((2, 2), (2, 4), (2, 6)),
        *((3, 2), (3, 4)),
    ]
    assert all(row["gain_low"] <= row["gain"] <= row["gain_high"] for row in curves)
    assert {row["budget"] for row in statistics} == {1, 2, 3}  # 0 and 4 leave no choice
    assert {row["family"] for row in statistics} == {"growth", "remainder", "remainder_share"}
    assert {row["clusters"] for row in statistics} == {3}
