"""What independent routes would give the oracle: known expectations, and noise that is really independent."""

from math import comb

import numpy as np
import pytest

from duo import stats
from duo.routes import RouteSpace
from duo.studies import spectrum
from duo.studies.spectrum import OverRoutes

LAYERS = 8
SPACE = RouteSpace(LAYERS)
BUDGETS = [0, 2, 4, 8]


@pytest.mark.parametrize(
    "budget, expected", [(0, 0), (1, 1.63), (2, 2.36), (3, 2.78), (4, 3.03), (5, 3.17), (6, 3.22), (12, 0)]
)
def test_expected_maximum_of_as_many_normals_as_twelve_layers_have_routes(budget, expected):
    assert spectrum.expected_maximum(comb(12, budget)) == pytest.approx(expected, abs=0.005)


def test_effective_number_inverts_the_expected_maximum():
    counts = [1.0, 1.5, 12.0, 100.5, 924.0, 1e6]
    maxima = np.array([spectrum.expected_maximum(count) for count in counts])
    np.testing.assert_allclose(spectrum.effective_number(maxima), counts, rtol=1e-3)
    np.testing.assert_allclose(spectrum.effective_number(np.array([-1.0, 99.0])), [1, spectrum.MOST])


def intervals(losses: np.ndarray) -> stats.Intervals:
    """Of the order statistics, every token a document of its own."""
    measures = spectrum.over_routes(losses, SPACE, BUDGETS)

    def statistic(weights: np.ndarray) -> stats.Numbers:
        means = {name: stats.weighted_sums(weights, values) / len(losses) for name, values in measures.items()}
        return spectrum.order_statistics(means, LAYERS, BUDGETS)

    return stats.intervals(statistic, len(losses), 200, 0.95, np.random.default_rng(0))


def test_independent_noise_is_what_the_prediction_says_it_is():
    rng = np.random.default_rng(1)
    numbers = intervals(rng.normal(3, 1, (3000, 1)) + rng.normal(0, 0.5, (3000, len(SPACE))))
    for budget in (2, 4):
        assert numbers[OverRoutes("oracle", budget)].value == pytest.approx(
            numbers[OverRoutes("predicted", budget)].value, abs=0.03
        )
        assert numbers[OverRoutes("effective", budget)].value == pytest.approx(comb(LAYERS, budget), rel=0.12)
    assert numbers[OverRoutes("mean", 0)] == numbers[OverRoutes("oracle", 0)] == numbers[OverRoutes("predicted", 0)]
    assert numbers[OverRoutes("effective", 0)] == numbers[OverRoutes("effective", LAYERS)] == (1, 1, 1)


def test_routes_that_are_alike_count_as_few():
    rng = np.random.default_rng(1)
    halves = rng.normal(0, 0.5, (3000, 2))
    numbers = intervals(halves[:, SPACE.digits[:, 0]] + rng.normal(0, 0.01, (3000, len(SPACE))))
    estimate, low, high = numbers[OverRoutes("effective", 4)]  # of 70 routes, 35 have the first layer big
    assert 1 < low < estimate < high < 5
    assert numbers[OverRoutes("predicted", 4)].high < numbers[OverRoutes("oracle", 4)].low


def test_rows_hold_each_budget_with_its_intervals():
    numbers = intervals(np.random.default_rng(0).normal(size=(30, len(SPACE))))
    rows = [spectrum.order_row(numbers, LAYERS, budget) for budget in BUDGETS]
    assert [(row["budget"], row["routes"]) for row in rows] == [(0, 1), (2, 28), (4, 70), (8, 1)]
    for row in rows:
        assert row["predicted"] == pytest.approx(row["mean"] - row["expected_maximum"] * row["deviation"])
        assert all(
            row[f"{name}_low"] <= row[name] <= row[f"{name}_high"] for name in ("oracle", "predicted", "effective")
        )
        for name in ("oracle", "predicted"):
            below, low, high = (row[f"{name}_from_mean{end}"] for end in ("", "_low", "_high"))
            assert below == pytest.approx(row[name] - row["mean"]) and low <= below <= high <= 1e-9
