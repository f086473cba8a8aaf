"""Routers beside the oracle: the oracle on average, curves, heat maps and the statistics of the claims."""

from itertools import product

import numpy as np
import pyarrow as pa
import pytest
from made_up import LAYERS, SPACE, noise, table, tabled

from duo import stats
from duo.errors import InputError
from duo.oracle import select
from duo.routes import RouteSpace
from duo.settings import OneRouter
from duo.studies import oracle_curves, router_curves
from duo.studies.router_curves import RouterCurves, RouterLoss
from duo.studies.scored_routers import shared
from duo.tables.files import Table
from duo.tables.studies import ROUTER_CURVES, ROUTER_HEAT_MAPS, ROUTER_STATISTICS

MIX = {"text": 0.5, "code": 0.5}
TOKENS, DOCUMENTS = 6, 3
ROUTE_LOSSES = noise(DOCUMENTS, TOKENS)


def one(big, choices=("small", "big"), skip=None, model="duo", mix=MIX) -> OneRouter:
    return OneRouter(model=model, mix=mix, choices=list(choices), big=float(big), skip=skip)


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
            "cluster": [f"d{document}"] * TOKENS,
            "position": np.arange(TOKENS),
        }
        parts.append(pa.table(ids | used | {"loss": losses[index, document], "route": space.encode(routes)}))
    return pa.concat_tables(parts)


def studied(routers: dict[str, OneRouter], tables: dict[str, pa.Table]) -> tuple[RouterCurves, stats.Intervals]:
    """The first domain's study and intervals."""
    first = router_curves.gather(routers, tables, oracles(), LAYERS)[0]
    return first, first.intervals(200, 0.95, seed=1)


def rows(study: RouterCurves, estimates: stats.Intervals, table: Table) -> list[dict]:
    """Of one of the study's tables, as written."""
    return tabled(table, (study, estimates)).to_pylist()


def test_on_average_is_never_above_exact():
    _, intervals = studied({"a": one(2)}, {"a": routed(one(2))})
    differences = [intervals[router_curves.average_less_exact(budget)] for budget in range(LAYERS + 1)]
    assert differences[0].value == pytest.approx(0, abs=1e-6)
    assert all(difference.value < 0 and difference.high < 0 for difference in differences[1:])


def test_slope_and_curves_are_at_the_layers_really_used():
    """Three routers on a line of -0.25 nats per big layer, each using other numbers of layers than asked for."""
    routers = {f"r{used}": one(used + 1) for used in (0, 1, 2)}
    tables = {
        name: routed(routers[name], [[1] * used + [0] * (LAYERS - used)] * TOKENS, 3 - 0.25 * used)
        for used, name in enumerate(routers)
    }
    first, intervals = studied(routers, tables)
    assert intervals[router_curves.SLOPE] == pytest.approx((-0.25, -0.25, -0.25))
    hard = [row for row in rows(first, intervals, ROUTER_CURVES) if row["kind"] == "hard"]
    assert [row["router"] for row in hard] == list(routers)
    assert [(row["target"], row["big"], row["loss"]) for row in hard] == [(1, 0, 3), (2, 1, 2.75), (3, 2, 2.5)]
    assert {row["constraint"] for row in hard} == {"average"}


def test_one_router_has_no_slope():
    _, intervals = studied({"a": one(2)}, {"a": routed(one(2))})
    assert router_curves.SLOPE not in intervals and router_curves.NEARER_TO_FIXED in intervals


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
    winners = [stacked[:, half::2].mean(axis=(1, 2)).argmin(axis=-1) for half in (1, 0)]  # of the other half
    fixed = [
        [part[document][:, winners[document % 2][domain]] for document in range(DOCUMENTS)]
        for domain, part in enumerate(stacked)
    ]
    losses = {"fixed": np.array(fixed), "oracle": stacked.min(axis=-1)}[like]
    assert ROUTE_LOSSES[name].shape == (TOKENS, len(SPACE))
    first, _ = studied({"a": one(2)}, {"a": routed(one(2), losses=losses)})
    once = np.ones((1, DOCUMENTS))
    distance = first.oracle.numbers(once)[oracle_curves.Loss("fixed", 2)] - stacked[0].min(axis=-1).mean()
    assert first.numbers(once)[router_curves.NEARER_TO_FIXED] == pytest.approx(sign * distance, rel=1e-5)
    share = {"fixed": 0, "oracle": 1}[like]
    assert first.numbers(once)[router_curves.BETWEEN_FIXED_AND_ORACLE] == pytest.approx(share, abs=1e-6)


def test_statistics_of_a_backbone_are_means_over_its_routers():
    """Of three routers, two lie between fixed and oracle by known shares, on each token alike."""
    codes = {big: SPACE.with_budget(big) for big in (1, 2)}
    oracle = {
        big: np.stack(
            [[ROUTE_LOSSES[name, f"d{d}"][:, codes[big]].min(axis=1) for d in range(DOCUMENTS)] for name in MIX]
        )
        for big in codes
    }
    routers = {"r1": one(1), "r2": one(2), "other": one(2, ("small", "big", "skip"), 1.0)}
    tables = {f"r{big}": routed(routers[f"r{big}"], losses=oracle[big] + 0.25 * big) for big in (1, 2)}
    tables["other"] = routed(routers["other"], kinds=("hard", "soft"))
    study, _ = studied(routers, tables)
    found = study.numbers(np.ones((1, DOCUMENTS)))
    means = study.oracle.means(np.ones((1, DOCUMENTS)))
    gains = [means[oracle_curves.Loss("fixed", big)] - means[oracle_curves.Loss("oracle", big)] for big in (1, 2)]
    expected = np.mean([1 - 0.25 * big / gain for big, gain in zip((1, 2), gains, strict=True)])
    assert found[router_curves.BETWEEN_FIXED_AND_ORACLE] == pytest.approx(expected, rel=1e-5)


def test_improvement_is_minus_the_slope_as_a_share_of_the_depth():
    routers = {f"r{used}": one(used) for used in (1, 2, 3)}
    tables = {
        name: routed(routers[name], [[1] * used + [0] * (LAYERS - used)] * TOKENS, 3 - 0.25 * used)
        for used, name in enumerate(routers, 1)
    }
    deeper = {key: part - 0.5 * SPACE.counts("big") for key, part in ROUTE_LOSSES.items()}
    study = router_curves.gather(routers, tables, oracles(deeper), LAYERS)[0]
    found = study.numbers(np.ones((1, DOCUMENTS)))
    every = np.concatenate([part for (domain, _), part in deeper.items() if domain == "text"])
    depth = every[:, 0].mean() - every[:, -1].mean()
    assert depth > 0 and found[router_curves.IMPROVEMENT] == pytest.approx(0.25 * LAYERS / depth, rel=1e-5)


def test_routers_that_were_not_trained_on_the_text_have_no_say():
    code = {"text": 0.0, "code": 1.0}
    routers = {
        "both": one(2),
        "code": one(2, mix=code),
        "skips": one(2, ("skip", "big"), mix=code),
    }
    upper, lower = [[0, 0, 1, 1]] * TOKENS, [[1, 1, 0, 0]] * TOKENS
    tables = {"both": routed(routers["both"], upper), "code": routed(routers["code"], lower)}
    tables["skips"] = routed(routers["skips"], upper)
    text, code = (
        study.numbers(np.ones((1, DOCUMENTS))) for study in router_curves.gather(routers, tables, oracles(), LAYERS)
    )
    assert text[router_curves.DEPTH_PREFERENCE] == [1] and router_curves.SKIP_DEPTH not in text
    assert code[router_curves.SKIP_DEPTH] == [-1]  # skips are the zeros
    assert router_curves.depth_bias("code") in text, "what it does there is shown all the same"


def test_backbones_are_compared_at_the_budgets_that_all_of_them_have():
    routers = {"a1": one(1), "a2": one(2), "b2": one(2, model="seed-2"), "b3": one(3, model="seed-2")}
    routers["skips"] = one(2, ("skip", "big"), model="skip")
    assert shared(routers, "text") == {"duo": ["a2"], "seed-2": ["b2"], "skip": []}
    assert shared({"a1": one(1), "a2": one(2)}, "code") == {"duo": ["a1", "a2"]}
    assert shared(routers, "unheard-of") == {"duo": [], "seed-2": [], "skip": []}


def test_preferences_are_shares_of_what_tokens_could_have():
    """Tokens that take one, two or all layers, always the uppermost, prefer depth as much as they can."""
    steps = [1, 2, 4, 1, 2, 4]
    routes = [[0] * (LAYERS - used) + [1] * used for used in steps]
    early = [[0, 1, 1, 0]] * (TOKENS // 2) + [[0, 0, 0, 0]] * (TOKENS // 2)
    routers = {"up": one(2), "early": one(1), "skip": one(2, ("small", "big", "skip"), 1.0)}
    tables = {
        "up": routed(routers["up"], routes),
        "early": routed(routers["early"], early),
        "skip": routed(routers["skip"], [[1, 1, 1, 1]] * 3 + [[1, 1, 2, 2]] * 3, kinds=("hard", "soft")),
    }
    found = studied(routers, tables)[0].numbers(np.ones((1, DOCUMENTS)))
    assert found[router_curves.DEPTH_PREFERENCE] == pytest.approx((1 + 0) / 2)
    share = [used / LAYERS for used in steps]
    halves = np.mean(share[:3]) - np.mean(share[3:]), 0.5
    assert found[router_curves.EARLY_TOKENS] == pytest.approx(np.mean(halves))
    assert found[router_curves.SKIP_DEPTH] == pytest.approx(1) and found[router_curves.SKIP_LATE] == pytest.approx(0.5)


def test_the_first_eight_positions_are_early():
    assert router_curves.early_weights(20).tolist() == pytest.approx([1 / 8] * 8 + [-1 / 12] * 12)
    assert router_curves.early_weights(6).tolist() == pytest.approx([1 / 3] * 3 + [-1 / 3] * 3)


def test_documents_of_a_cluster_are_drawn_together():
    router = one(2)
    table = routed(router, losses=np.arange(DOCUMENTS)[:, None].repeat(TOKENS, axis=1) * 1.0)
    clusters = pa.array(["p" if name != "d1" else "q" for name in table["document"].to_pylist()])
    table = table.set_column(table.column_names.index("cluster"), "cluster", clusters)
    alone = one(2, model="elsewhere")
    study = router_curves.gather({"a": alone}, {"a": table}, oracles(), LAYERS)[0]
    assert (study.clusters, study.tokens.tolist()) == (2, [2 * TOKENS, TOKENS])
    drawn = study.numbers(np.array([[1.0, 0.0], [1.0, 1.0]]))[RouterLoss("a", "hard", "average", 2.0)]
    assert drawn.tolist() == pytest.approx([(0 + 2) / 2, 1])


def test_biases_point_where_the_layers_are():
    upper = [[0, 0, 1, 1]] * TOKENS
    early = [[1, 1, 1, 1]] * (TOKENS // 2) + [[0, 0, 0, 0]] * (TOKENS // 2)
    late_skips = [[1, 1, 1, 1]] * 3 + [[1, 1, 2, 2]] * 3
    routers = {"up": one(2), "early": one(2), "skip": one(2, ("small", "big", "skip"), 1.0)}
    tables = {
        "up": routed(routers["up"], upper),
        "early": routed(routers["early"], early),
        "skip": routed(routers["skip"], late_skips, kinds=("hard", "soft")),
    }
    _, intervals = studied(routers, tables)

    def biases(name: str, *statistics) -> tuple[float, ...]:
        return tuple(intervals[statistic(name)].value for statistic in statistics)

    assert biases("up", router_curves.depth_bias, router_curves.early_bias) == (1, 0)
    assert biases("early", router_curves.depth_bias, router_curves.early_bias) == (0, 1)
    assert biases("skip", router_curves.skip_depth_bias, router_curves.skip_late_bias) == (0.5, 0.5)
    assert router_curves.skip_depth_bias("up") not in intervals


def test_an_odd_middle_belongs_to_no_half():
    assert router_curves.half_weights(5).tolist() == [-0.5, -0.5, 0, 0.5, 0.5]
    assert router_curves.half_weights(1).tolist() == [0]


def test_heat_maps_show_the_hard_routes():
    router = one(2, ("small", "big", "skip"), 1.0)
    routes = np.arange(TOKENS * LAYERS).reshape(TOKENS, LAYERS) % 3
    maps = rows(*studied({"a": router}, {"a": routed(router, routes, kinds=("hard", "soft"))}), ROUTER_HEAT_MAPS)
    assert len(maps) == 2 * TOKENS * LAYERS
    for row in maps:
        assert row["share"] == (router.choices[routes[row["position"], row["layer"]]] == row["choice"])


def test_differences_are_paired_with_all_big_and_with_fixed_where_every_token_has_the_budget():
    """A router that loses 0.5 nats against all layers big on every token does so in every replicate."""
    all_big = np.stack(
        [[ROUTE_LOSSES[domain, f"d{at}"][:, -1] for at in range(DOCUMENTS)] for domain in ("text", "code")]
    )
    first, intervals = studied({"a": one(2)}, {"a": routed(one(2), losses=all_big + 0.5)})
    written = {row["kind"]: row for row in rows(first, intervals, ROUTER_CURVES) if row["target"] == 2}
    fixed = intervals_of_the_oracle(first)[oracle_curves.Loss("fixed", 2)].value
    for row in written.values():
        if row["router"] == "a":
            ends = tuple(row[f"from_all_big{end}"] for end in ("", "_low", "_high"))
            assert ends == pytest.approx((0.5,) * 3, abs=1e-6)
        if row["kind"] == "exact":
            assert row["from_fixed"] == pytest.approx(row["loss"] - fixed)
        else:
            assert np.isnan(row["from_fixed"])
    assert written["oracle_average"]["from_all_big"] == pytest.approx(
        written["oracle_average"]["loss"] - all_big[0].mean(), abs=1e-6
    )


def intervals_of_the_oracle(study: RouterCurves) -> stats.Intervals:
    return study.oracle.intervals(200, 0.95, seed=1)


def test_a_model_that_was_not_enumerated_has_its_routers_alone():
    routers = {"a": one(2), "b": one(2, ("skip", "big"), model="skip")}
    tables = {name: routed(router) for name, router in routers.items()}
    parts = router_curves.gather(routers, tables, oracles(), LAYERS)
    assert [tuple(part.ids.values()) for part in parts] == list(product(("duo", "skip"), ("text", "code")))
    intervals = parts[2].intervals(200, 0.95, seed=1)
    assert router_curves.skip_depth_bias("b") in intervals and router_curves.NEARER_TO_FIXED not in intervals
    alone = rows(parts[2], intervals, ROUTER_CURVES)
    assert all(np.isnan(row["from_all_big"]) and np.isnan(row["from_fixed_high"]) for row in alone)
    assert {row["router"] for row in alone} == {"b"} and {row["model"] for row in alone} == {"skip"}
    beside = rows(parts[0], parts[0].intervals(200, 0.95, seed=1), ROUTER_CURVES)
    assert {row["router"] for row in beside} == {"a", "oracle"}


def test_other_documents_than_the_oracles_are_one_clear_error():
    with pytest.raises(InputError, match="router a: scored on other documents of domain 'text'"):
        studied({"a": one(2)}, {"a": routed(one(2), documents=2)})


def test_intervals_are_paired_and_reproducible():
    """Two routers whose losses differ by 0.5 on every token differ by just that in every replicate."""
    noisy = np.random.default_rng(0).gamma(2, 1, (2, DOCUMENTS, TOKENS))
    routers = {"r1": one(1), "r2": one(2)}
    tables = {
        name: routed(routers[name], [[1] * n + [0] * (LAYERS - n)] * TOKENS, noisy - 0.5 * n)
        for n, name in enumerate(routers, 1)
    }
    first, intervals = studied(routers, tables)
    assert intervals[router_curves.SLOPE] == pytest.approx((-0.5, -0.5, -0.5))
    hard = intervals[RouterLoss("r1", "hard", "average", 1.0)]
    assert isinstance(hard, stats.Interval) and hard.low < hard.value < hard.high
    assert first.intervals(200, 0.95, seed=1) == intervals


def test_statistics_fill_their_table_with_words():
    routers = {"a": one(2), "b": one(1, ("small", "big", "skip"), 1.0)}
    tables = {"a": routed(routers["a"]), "b": routed(routers["b"], kinds=("hard", "soft"))}
    written = rows(*studied(routers, tables), ROUTER_STATISTICS)
    of_router = {(row["family"], row["subject"]) for row in written if row["subject"] in routers}
    assert of_router == {
        *product(("depth_bias", "early_bias"), routers),
        ("skip_depth_bias", "b"),
        ("skip_late_bias", "b"),
    }
    assert all(row["words"] and "_" not in row["words"] for row in written)
