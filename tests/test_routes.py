from itertools import chain, product
from math import comb

import numpy as np
import pytest

from duo.errors import InputError
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


@pytest.mark.parametrize("choices", [("small", "big"), ("big", "small"), ("small", "big", "skip")])
def test_big_says_which_layers_are_big(choices):
    space = RouteSpace(3, choices)
    expected = [[choice == "big" for choice in route] for route in product(choices, repeat=3)]
    assert space.big(np.arange(len(space))).tolist() == expected
    assert space.big(np.array(len(space) - 1)).tolist() == expected[-1]


@pytest.mark.parametrize("choices", [("small", "big"), ("big", "skip")])
@pytest.mark.parametrize("budget", range(5))
def test_highest_is_big_where_scores_are_highest_and_of_equals_in_the_lower_layers(choices, budget):
    space = RouteSpace(4, choices)
    scores = np.random.default_rng(0).integers(0, 3, (2, 50, 4)).astype(np.float32)  # full of ties
    big = space.big(space.highest(scores, budget))
    for row, mask in zip(scores.reshape(-1, 4), big.reshape(-1, 4), strict=True):
        order = sorted(range(4), key=lambda layer: (-row[layer], layer))
        assert set(np.flatnonzero(mask)) == set(order[:budget])


def test_routes_have_names_in_any_space():
    for choices in product(("small", "big", "skip"), repeat=2):
        if len({"small", "big"} & set(choices)) == 2:
            space = RouteSpace(3, choices)
            assert space.big(np.array(space.named("all_big"))).all()
            assert not space.big(np.array(space.named("all_small"))).any()
    assert RouteSpace(3).named("all_big") == 7 and RouteSpace(3).named("all_small") == 0
    assert RouteSpace(3).named(5) == 5


@pytest.mark.parametrize("name", ["all_small", "fixed", 8, -1])
def test_what_is_no_route_of_the_space_is_one_error(name):
    with pytest.raises(InputError, match=f"route {name!r}: no route over 3 layers of skip, big; should be all_big"):
        RouteSpace(3, ("skip", "big")).named(name)


def test_words_of_routes_are_their_digits():
    assert [RouteSpace(2).word(code) for code in range(4)] == ["00", "01", "10", "11"]
    assert RouteSpace(3, ("small", "big", "skip")).word(5) == "012"


def test_budgets_with_skip_count_big_alone():
    space = RouteSpace(3, ("skip", "small", "big"))
    assert len(space.with_budget(1)) == 3 * 2**2
    assert space.counts("skip").sum() == 3 * 3**2


@pytest.mark.parametrize("choices", [("skip", "big"), ("big", "small", "skip"), ("small", "skip", "big")])
@pytest.mark.parametrize("departures", range(6))
@pytest.mark.parametrize("blocks", [None, 2, 3])
def test_few_departures_are_those_of_all_routes_that_have_few(choices, departures, blocks):
    whole, space = RouteSpace(6, choices, blocks), RouteSpace(6, choices, blocks, departures)
    few = np.flatnonzero(whole.places - whole.counts("big") <= departures)
    assert space.codes.tolist() == few.tolist() and len(space) == len(few)
    assert space.index(space.codes).tolist() == list(range(len(few)))
    assert np.array_equal(space.digits, whole.digits[few])
    exact = [[code for code in whole.with_budget(k) if code in few] for k in range(whole.places + 1)]
    for budget in range(whole.places + 1):
        assert space.with_budget(budget).tolist() == sorted(chain(*exact[budget:])), "so many big, or more"
    assert space.named("all_big") == whole.named("all_big") and space.big(np.array(space.named("all_big"))).all()


def test_deep_models_have_few_routes_of_few_departures():
    assert len(RouteSpace(30, ("skip", "big"), departures=2)) == 1 + 30 + comb(30, 2)
    assert len(RouteSpace(30, ("skip", "small", "big"), departures=3)) == 1 + 60 + 4 * comb(30, 2) + 8 * comb(30, 3)
    codes = RouteSpace(60, ("skip", "big"), departures=1).codes
    assert len(codes) == 61 and codes[-1] == 2**60 - 1 and np.all(np.diff(codes) > 0)


def test_codes_must_fit_whole_numbers():
    assert len(RouteSpace(39, ("skip", "big", "repeat"), departures=2)) == 1 + 2 * 39 + 4 * comb(39, 2)
    with pytest.raises(InputError, match=r"40 choices, each of skip, big, repeat: their codes .* as of blocks"):
        RouteSpace(40, ("skip", "big", "repeat"), departures=2)


def test_layers_of_a_block_choose_alike():
    space = RouteSpace(6, ("skip", "big"), blocks=3)
    assert len(space) == 8 and space.places == 3
    assert space.by_layer(np.array(0b101)).tolist() == [1, 1, 0, 0, 1, 1]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"blocks": 4}, "blocks 4: should divide the 6 layers"),
        ({"blocks": 0}, "blocks 0: should divide"),
        ({"departures": -1}, "departures -1: should be 0 or more"),
        (
            {"choices": ("skip", "small"), "departures": 1},
            "departures 1: should be 0 or more, from routes whose layers",
        ),
    ],
)
def test_what_is_no_bound_is_one_error(settings, message):
    with pytest.raises(InputError, match=message):
        RouteSpace(6, **settings)


def test_a_route_beyond_the_bound_is_none_of_the_space():
    space = RouteSpace(6, ("small", "big"), departures=1)
    assert space.named(0b111110) == 0b111110
    for name in (0b111100, "all_small"):
        with pytest.raises(InputError, match="no route over 6 layers"):
            space.named(name)
