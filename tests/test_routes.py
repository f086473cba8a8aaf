from itertools import product
from math import comb

import numpy as np
import pytest

from duo.routes import RouteSpace


@pytest.mark.parametrize("choices", [("small", "big"), ("skip", "big"), ("skip", "small", "big")])
def test_codes_are_leaves_of_the_prefix_tree_from_left_to_right(choices):
    space = RouteSpace(4, choices)
    routes = [tuple(choices[digit] for digit in route) for route in space.digits]
    assert routes == list(product(choices, repeat=4))
    assert np.array_equal(space.encode(space.digits), np.arange(len(space)))


@pytest.mark.parametrize("budget", range(6))
def test_budget_means_exactly_so_many_big_layers(budget):
    space = RouteSpace(5)
    routes = space.with_budget(budget)
    assert len(routes) == comb(5, budget)
    assert all(bin(code).count("1") == budget for code in routes)
    assert np.all(np.diff(routes) > 0) or len(routes) == 1


def test_budgets_with_skip_count_big_alone():
    space = RouteSpace(3, ("skip", "small", "big"))
    assert len(space.with_budget(1)) == 3 * 2**2
    assert space.counts("skip").sum() == 3 * 3**2
