"""Which routers have a budget that every token can meet, and which of them compare with the oracle."""

import pytest

from duo.routers.whole_budgets import comparable, oracle_budget, whole_budget
from duo.settings import OneRouter

MIX = {"text": 0.5, "code": 0.5}


def router(big: float, choices=("small", "big"), mix=MIX) -> OneRouter:
    skip = 1.0 if len(choices) == 3 else None
    return OneRouter(model="duo", mix=mix, choices=list(choices), big=big, skip=skip)


@pytest.mark.parametrize(
    ("settings", "whole", "oracle"),
    [
        (router(2), 2, 2),
        (router(2.0, ("big", "small")), 2, 2),
        (router(2.5), None, None),
        (router(2, ("skip", "big")), 2, None),
        (router(2, ("small", "big", "skip")), None, None),
    ],
)
def test_a_whole_budget_leaves_every_token_one_number_of_big_layers(settings, whole, oracle):
    assert (whole_budget(settings), oracle_budget(settings)) == (whole, oracle)


def test_comparable_routers_share_the_mix_of_most_and_stand_by_budget():
    text = {"text": 1.0, "code": 0.0}
    routers = {
        "lone": router(1, mix=text),
        "b": router(3),
        "a": router(2, mix={"code": 0.5, "text": 0.5}),  # the same mix in another order
        "between": router(2.5),
        "skips": router(2, ("skip", "big")),
    }
    assert comparable(routers) == ["a", "b"]
    assert comparable({"between": routers["between"]}) == []
