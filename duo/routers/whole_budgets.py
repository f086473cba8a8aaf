"""Which routers can be held against the oracle: those whose budget every token can meet exactly.

It takes a router's settings alone, so that params, studies and figures can ask without loading a network.
"""

from collections.abc import Mapping

from duo.settings import OneRouter
from duo.terms import BIG, SMALL


def whole_budget(router: OneRouter) -> int | None:
    """How many big layers every token can take exactly, the others being of one other choice; None where it can't."""
    return int(router.big) if len(router.choices) == 2 and float(router.big).is_integer() else None


def oracle_budget(router: OneRouter) -> int | None:
    """The oracle's budget that the router compares with: its whole budget, if it chooses between small and big."""
    return whole_budget(router) if set(router.choices) == {SMALL, BIG} else None


def comparable(routers: Mapping[str, OneRouter]) -> list[str]:
    """Names of the routers that share a mix and each have a budget of the oracle, in order of budget.

    All are of one model. Of several mixes it is the one that most of them have, so that they differ by budget alone.
    """
    whole = {name: router for name, router in routers.items() if oracle_budget(router) is not None}
    mixes = [router.mix for router in whole.values()]
    shared = [name for name, router in whole.items() if router.mix == max(mixes, key=mixes.count)]
    return sorted(shared, key=lambda name: whole[name].big)
