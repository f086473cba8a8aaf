"""Routers beside the oracle: the oracle on average, curves, heat maps and the statistics of the claims."""

from itertools import product

import numpy as np
import pyarrow as pa
import pytest
from made_up import LAYERS, SPACE, noise, table

from duo import stats
from duo.errors import InputError
from duo.oracle import select
from duo.routes import RouteSpace
from duo.settings import OneRouter
from duo.studies import router_curves

MIX = {"text": 0.5, "code": 0.5}
TOKENS, DOCUMENTS = 6, 3
ROUTE_LOSSES = noise(DOCUMENTS, TOKENS)


def one(big, choices=("small", "big"), skip=None, model="duo") -> OneRouter:
    return OneRouter(model=model, mix=MIX, choices=list(choices), big=float(big), skip=skip)


def oracles(losses=ROUTE_LOSSES, budgets=range(LAYERS + 1)) -> dict[int, tuple[pa.Table, pa.Table]]:
    return {budget: select.apply("duo", table(losses), SPACE, budget, 3, seed=1) for budget in budgets}


def routed(
    router: OneRouter, routes=None, losses=1.0, kinds=("hard", "soft", "exact"), documents=DOCUMENTS
) -> pa.Table:
    """ROUTED of both domains; routes [positions, layers] for every document, losses [domains, documents, positions]
    or one number.
    """
    space = RouteSpace(LAYERS, tuple(router.choices))
    routes = np.tile(np.arange(LAYERS) % 2, (TOKENS, 1)) if routes is None else np.asarray(routes)
    used = {
        choice: (routes == space.choices.index(choice)).sum(-1) if choice in space.choices else 0 * routes[:, 0]
        for choice in ("big", "skip")
    }
    losses = np.broadcast_to(losses, (2, documents, TOKENS))
    parts = []
    for kind, (index, domain), document in product(kinds, enumerate(("text", "code")), range(documents)):
        ids = {
            "kind": [kind] * TOKENS,
            "domain": [domain] * TOKENS,
            "document": [f"d{document}"] * TOKENS,
            "position": np.arange(TOKENS),
        }
        parts.append(pa.table(ids | used | {"loss": losses[index, document], "route": space.encode(routes)}))
    return pa.concat_tables(parts)


def found(routers: dict[str, OneRouter], tables: dict[str, pa.Table], **options) -> tuple[router_curves.Routing, dict]:
    """The first domain's routing and intervals."""
    first = router_curves.gather(routers, tables, oracles(**options), LAYERS)[0]
    return first, router_curves.intervals(first, 200, 0.95, seed=1)


@pytest.mark.parametrize("budgets", [[0, 1, 2, 3], [0, 2, 3], [1, 3]])
def test_the_oracle_on_average_is_the_best_of_all_ways_to_spend(budgets):
    losses = np.random.default_rng(0).gamma(2, 1, (2, 4, len(budgets)))
    sums, spent = router_curves.on_average(losses, budgets, budgets)
    for document, (column, most) in product(range(2), enumerate(budgets)):
        ways = [way for way in product(range(len(budgets)), repeat=4) if sum(budgets[each] for each in way) <= 4 * most]
        totals = [sum(losses[document, token, each] for token, each in enumerate(way)) for way in ways]
        assert sums[document, column] == pytest.approx(min(totals))
        assert spent[document, column] == sum(budgets[each] for each in ways[int(np.argmin(totals))]) <= 4 * most


def test_the_oracle_on_average_spends_nothing_where_nothing_is_gained():
    sums, spent = router_curves.on_average(np.ones((1, 5, 3)), [0, 1, 2], [0, 1, 2])
    assert sums.tolist() == [[5, 5, 5]] and spent.tolist() == [[0, 0, 0]]


def test_an_average_below_all_budgets_is_one_clear_error():
    with pytest.raises(InputError, match=r"oracle.budgets: \[2, 3\]: none is as low as the average 1"):
        router_curves.on_average(np.ones((1, 5, 2)), [2, 3], [1])


def test_on_average_is_never_above_exact():
    _, intervals = found({"a": one(2)}, {"a": routed(one(2))})
    differences = [intervals[f"oracle_average-oracle_exact_{budget}"] for budget in range(LAYERS + 1)]
    assert differences[0].value == pytest.approx(0, abs=1e-6)
    assert all(each.value < 0 and each.high < 0 for each in differences[1:])


def test_slope_and_curves_are_at_the_layers_really_used():
    """Three routers on a line of -0.25 nats a big layer, each using another number of layers than it was asked for."""
    routers = {f"r{used}": one(used + 1) for used in (0, 1, 2)}
    tables = {
        name: routed(routers[name], [[1] * used + [0] * (LAYERS - used)] * TOKENS, 3 - 0.25 * used)
        for used, name in enumerate(routers)
    }
    first, intervals = found(routers, tables)
    assert intervals["router_slope"] == pytest.approx((-0.25, -0.25, -0.25))
    rows = {
        (row["router"], row["kind"]): row
        for row in router_curves.curves(first, intervals).to_pylist()
        if row["kind"] == "hard"
    }
    assert [(row["target"], row["big"], row["loss"]) for row in rows.values()] == [(1, 0, 3), (2, 1, 2.75), (3, 2, 2.5)]
    assert {row["constraint"] for row in rows.values()} == {"average"}


def test_one_router_has_no_slope():
    _, intervals = found({"a": one(2)}, {"a": routed(one(2))})
    assert "router_slope" not in intervals and "router_nearer_fixed" in intervals


@pytest.mark.parametrize(("like", "sign"), [("fixed", -1), ("oracle", 1)])
def test_nearer_fixed_says_which_one_the_router_is_like(like, sign):
    """A router that gets just what the fixed route, or the oracle, gets."""
    name = ("text", "d0")
    codes = SPACE.with_budget(2)
    stacked = np.stack(
        [
            [ROUTE_LOSSES[domain, f"d{document}"][:, codes] for document in range(DOCUMENTS)]
            for domain in ("text", "code")
        ]
    )
    winner = stacked.mean(axis=(1, 2)).argmin(axis=-1)
    losses = {
        "fixed": np.stack([part[..., best] for part, best in zip(stacked, winner, strict=True)]),
        "oracle": stacked.min(axis=-1),
    }[like]
    assert ROUTE_LOSSES[name].shape == (TOKENS, len(SPACE))
    first, _ = found({"a": one(2)}, {"a": routed(one(2), losses=losses)})
    numbers = first.numbers(np.ones((1, DOCUMENTS)))
    distance = (
        numbers["a", "exact"] * 0
        + first.oracle.numbers(np.ones((1, DOCUMENTS)))["fixed", 2]
        - stacked[0].min(axis=-1).mean()
    )
    assert numbers["router_nearer_fixed"] == pytest.approx(sign * distance, rel=1e-5)


def test_leans_point_where_the_layers_are():
    upper = [[0, 0, 1, 1]] * TOKENS
    early = [[1, 1, 1, 1]] * (TOKENS // 2) + [[0, 0, 0, 0]] * (TOKENS // 2)
    late_skips = [[1, 1, 1, 1]] * 3 + [[1, 1, 2, 2]] * 3
    routers = {"up": one(2), "early": one(2), "skip": one(2, ("small", "big", "skip"), 1.0)}
    tables = {
        "up": routed(routers["up"], upper),
        "early": routed(routers["early"], early),
        "skip": routed(routers["skip"], late_skips, kinds=("hard", "soft")),
    }
    _, intervals = found(routers, tables)
    value = {name: intervals[name].value for name in intervals if isinstance(name, str)}
    assert (value["router_lean_up"], value["router_early_up"]) == (1, 0)
    assert (value["router_lean_early"], value["router_early_early"]) == (0, 1)
    assert (value["router_skip_lean_skip"], value["router_skip_late_skip"]) == (0.5, 0.5)
    assert "router_skip_lean_up" not in value


def test_an_odd_middle_belongs_to_no_half():
    assert router_curves.halves(5).tolist() == [-0.5, -0.5, 0, 0.5, 0.5]
    assert router_curves.halves(1).tolist() == [0]


def test_heat_maps_show_the_hard_routes():
    router = one(2, ("small", "big", "skip"), 1.0)
    routes = np.arange(TOKENS * LAYERS).reshape(TOKENS, LAYERS) % 3
    first, _ = found({"a": router}, {"a": routed(router, routes, kinds=("hard", "soft"))})
    for row in router_curves.heat_maps(first).to_pylist():
        assert row["share"] == (router.choices[routes[row["position"], row["layer"]]] == row["choice"])


def test_a_model_that_was_not_enumerated_has_its_routers_alone():
    routers = {"a": one(2), "b": one(2, ("skip", "big"), model="skip")}
    tables = {name: routed(router) for name, router in routers.items()}
    parts = router_curves.gather(routers, tables, oracles(), LAYERS)
    assert [(part.model, part.name) for part in parts] == [
        ("duo", "text"),
        ("duo", "code"),
        ("skip", "text"),
        ("skip", "code"),
    ]
    intervals = router_curves.intervals(parts[2], 200, 0.95, seed=1)
    assert "router_skip_lean_b" in intervals and "router_nearer_fixed" not in intervals
    rows = router_curves.curves(parts[2], intervals).to_pylist()
    assert {row["router"] for row in rows} == {"b"} and {row["model"] for row in rows} == {"skip"}
    assert {
        row["router"]
        for row in router_curves.curves(parts[0], router_curves.intervals(parts[0], 200, 0.95, seed=1)).to_pylist()
    } == {
        "a",
        "oracle",
    }


def test_other_documents_than_the_oracles_are_one_clear_error():
    with pytest.raises(InputError, match="router a: scored on other documents of domain 'text'"):
        found({"a": one(2)}, {"a": routed(one(2), documents=2)})


def test_intervals_are_paired_and_reproducible():
    """Two routers whose losses differ by 0.5 on every token differ by just that in every replicate."""
    noisy = np.random.default_rng(0).gamma(2, 1, (2, DOCUMENTS, TOKENS))
    routers = {"r1": one(1), "r2": one(2)}
    tables = {
        name: routed(routers[name], [[1] * n + [0] * (LAYERS - n)] * TOKENS, noisy - 0.5 * n)
        for n, name in enumerate(routers, 1)
    }
    first, intervals = found(routers, tables)
    assert intervals["router_slope"] == pytest.approx((-0.5, -0.5, -0.5))
    assert intervals["r1", "hard"].low < intervals["r1", "hard"].value < intervals["r1", "hard"].high
    assert router_curves.intervals(first, 200, 0.95, seed=1) == intervals
    assert isinstance(intervals["r1", "hard"], stats.Interval)
