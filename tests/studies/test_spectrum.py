"""The transform is its definition, the Shapley value that of all orders, and losses made of known interactions are
taken apart again.
"""

from itertools import combinations, permutations

import numpy as np
import pytest
from made_up import LAYERS, SPACE, noise, table
from scipy.linalg import hadamard

from duo.settings import Bootstrap
from duo.stats import Intervals
from duo.studies import spectrum
from duo.studies.spectrum import ShapleyValue, Spectrum, VarianceByDistance, VarianceByOrder
from duo.tables.studies import ORDER_STATISTICS, SHAPLEY, SPECTRUM, SPECTRUM_DISTANCES, SPECTRUM_STATISTICS
from workflow import studies

BUDGETS = list(range(LAYERS + 1))
SIGNS = 2.0 * SPACE.digits - 1  # [routes, layers]: 1 where big


def product_of(*layers: int) -> np.ndarray:
    """[routes] product of the choices of these layers, 1 for big and -1 for small."""
    return SIGNS[:, list(layers)].prod(axis=1)


def study(losses: np.ndarray, documents: int = 5) -> Spectrum:
    """The losses [tokens, routes], dealt to documents."""
    parts = {("text", f"d{index}"): part for index, part in enumerate(np.array_split(losses, documents))}
    (gathered,) = spectrum.gather("duo", spectrum.document_sums(table(parts), SPACE, BUDGETS), BUDGETS)
    return gathered


def intervals(losses: np.ndarray, documents: int = 5) -> Intervals:
    return study(losses, documents).intervals(100, 0.95, seed=1)


def test_transform_equals_its_definition():
    values = np.random.default_rng(0).normal(size=(3, 2, 32)).astype(np.float32)
    coefficients = spectrum.walsh_hadamard(values)
    assert coefficients.dtype == np.float64
    np.testing.assert_allclose(coefficients, values @ hadamard(32) / 32, atol=1e-12)
    for code in (0, 5, 31):
        signs = [(-1) ** bin(code & other).count("1") for other in range(32)]
        assert coefficients[1, 1, code] == pytest.approx(np.mean(signs * values[1, 1]))


def test_squares_add_up_to_the_variance():
    losses = np.random.default_rng(0).gamma(4, 0.5, (7, len(SPACE)))
    measures = spectrum.measure(losses, SPACE, BUDGETS)
    np.testing.assert_allclose(measures["orders"].sum(axis=1), losses.var(axis=1))
    np.testing.assert_allclose(measures["distances"].sum(axis=1), measures["orders"][:, 1])


def test_shapley_equals_the_mean_gain_over_all_orders_of_switching_layers_to_big():
    losses = np.random.default_rng(0).gamma(4, 0.5, len(SPACE))
    gains = np.zeros(LAYERS)
    orders = list(permutations(range(LAYERS)))
    for order in orders:
        digits = np.zeros(LAYERS, np.uint8)
        for layer in order:
            before = losses[SPACE.encode(digits)]
            digits[layer] = 1
            gains[layer] += (before - losses[SPACE.encode(digits)]) / len(orders)
    worth = spectrum.shapley(spectrum.walsh_hadamard(losses), SPACE)
    np.testing.assert_allclose(worth, gains)
    assert worth.sum() == pytest.approx(losses[0] - losses[-1])


def test_known_interactions_are_found_where_they_are():
    tokens = np.random.default_rng(0).normal(3, 1, (20, 1))
    losses = tokens - 0.4 * product_of(1) - 0.1 * product_of(2) + 0.2 * product_of(0, 3) + 0.1 * product_of(0, 1, 2)
    numbers = intervals(losses)
    total = 0.4**2 + 0.1**2 + 0.2**2 + 0.1**2
    shares = {1: (0.4**2 + 0.1**2) / total, 2: 0.2**2 / total, 3: 0.1**2 / total, 4: 0}
    assert {order: numbers[VarianceByOrder(order)].value for order in shares} == pytest.approx(shares, abs=1e-6)
    assert [numbers[VarianceByDistance(far)].value for far in (1, 2, 3)] == pytest.approx([0, 0, shares[2]], abs=1e-6)
    third = 2 / 3 * 0.1
    assert [numbers[ShapleyValue(layer)].value for layer in range(LAYERS)] == pytest.approx(
        [-third, 0.8 - third, 0.2 - third, 0], abs=1e-6
    )


def test_losses_that_add_up_leave_nothing_to_interactions_and_additive_choices_are_the_oracles():
    rng = np.random.default_rng(0)
    numbers = intervals(3 - rng.normal(0, 0.1, (20, LAYERS)) @ SIGNS.T)
    assert numbers[VarianceByOrder(1)] == pytest.approx((1, 1, 1))
    for budget in (1, 2, 3):
        assert numbers[spectrum.additive_share(budget)] == pytest.approx((1, 1, 1), abs=1e-4)
        assert numbers[spectrum.additive_less_oracle(budget)] == pytest.approx((0, 0, 0), abs=1e-6)
    assert spectrum.additive_share(0) not in numbers


def test_noise_has_the_spectrum_of_as_many_interactions_and_additive_choices_miss_the_oracle():
    numbers = intervals(np.random.default_rng(0).normal(size=(2000, len(SPACE))), documents=50)
    for order in range(1, LAYERS + 1):
        expected = len(list(combinations(range(LAYERS), order))) / (len(SPACE) - 1)
        assert numbers[VarianceByOrder(order)].low - 0.01 < expected < numbers[VarianceByOrder(order)].high + 0.01
    assert numbers[spectrum.additive_share(2)].high < 0.9
    for layer in range(LAYERS):
        assert abs(numbers[ShapleyValue(layer)].value) < 0.1


def test_shards_and_order_of_documents_change_nothing():
    losses = noise()
    first, second = {key: losses[key] for key in list(losses)[1::2]}, {key: losses[key] for key in list(losses)[::2]}
    whole, *parts = (spectrum.document_sums(table(part), SPACE, BUDGETS) for part in (losses, first, second))
    whole, shards = (
        {gathered.ids["domain"]: gathered for gathered in spectrum.gather("duo", sums, BUDGETS)}
        for sums in (whole, parts[1] | parts[0])
    )
    assert whole.keys() == shards.keys() == {"text", "code"}
    for name, of_whole in whole.items():
        np.testing.assert_array_equal(of_whole.tokens, shards[name].tokens)
        for measure, sums in of_whole.sums.items():
            np.testing.assert_array_equal(sums, shards[name].sums[measure])


def test_tables_fit_their_schemas(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    studies.write([study(noise()["text", "d0"], documents=2)], Bootstrap(confidence=0.95, resamples=100), seed=1)
    assert SPECTRUM.read()["order"].to_pylist() == [1, 2, 3, 4]
    assert SPECTRUM_DISTANCES.read()["distance"].to_pylist() == [1, 2, 3]
    assert SHAPLEY.read()["layer"].to_pylist() == [0, 1, 2, 3]
    assert SPECTRUM_STATISTICS.read().num_rows == 6
    assert ORDER_STATISTICS.read()["routes"].to_pylist() == [1, 4, 6, 4, 1]
