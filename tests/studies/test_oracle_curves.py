from dataclasses import asdict

import numpy as np
import pyarrow as pa
import pytest
from made_up import LAYERS, SPACE, evaluated, noise, selected, tabled

from duo.routes import RouteSpace
from duo.studies import oracle_curves
from duo.studies.oracle_curves import (
    ALL_BIG_LESS_OTHER,
    BEST_BUDGET,
    DEPTH_TREND,
    FIXED_SLOPE,
    Loss,
    at_best_budget,
    depth_bias,
    depth_preference,
    largest_depth_bias,
    less_all_big,
    lowest_at_half,
    random_gap,
)
from duo.tables.studies import (
    ORACLE_CURVES,
    ORACLE_HEAT_MAPS,
    ORACLE_LAYERS,
    ORACLE_METRICS,
    ORACLE_STATISTICS,
    SEED_SPREAD,
)
from workflow.studies import as_table

HALF = LAYERS // 2


def test_curves_are_means_over_tokens_and_perplexity_is_their_exp():
    losses = noise(documents=3)
    losses["text", "d0"] = losses["text", "d0"][:2]  # documents of unlike length
    domain, found = evaluated(losses)["text"]
    every = np.concatenate([part for (name, _), part in losses.items() if name == "text"]).astype(np.float64)
    rows = {(row["strategy"], row["budget"]): row for row in tabled(ORACLE_CURVES, (domain, found)).to_pylist()}
    for budget in range(LAYERS + 1):
        part = every[:, SPACE.with_budget(budget)]
        assert rows["oracle", budget]["loss"] == pytest.approx(part.min(axis=1).mean())
        assert rows["mean", budget]["loss"] == pytest.approx(part.mean())
        assert rows["fixed", budget]["route"] == SPACE.with_budget(budget)[part.mean(axis=0).argmin()]
        assert rows["fixed", budget]["perplexity"] == pytest.approx(np.exp(rows["fixed", budget]["loss"]))
        strict = ["oracle", "sequence", "mean"]
        assert sorted(strict, key=lambda name: rows[name, budget]["loss"]) == strict or budget in (0, LAYERS)


def test_differences_are_paired_with_all_big_and_with_the_fixed_route_of_the_budget():
    """Documents that are hard whatever the route widen the intervals of losses alone."""
    even, hard = noise(documents=6), noise(documents=6)
    for index, part in enumerate(hard.values()):
        part += 10 * index
    tables = []
    for losses in (even, hard):
        domain, found = evaluated(losses)["text"]
        rows = {(row["strategy"], row["budget"]): row for row in tabled(ORACLE_CURVES, (domain, found)).to_pylist()}
        tables.append(rows)
        for row in rows.values():
            for name, reference in (("all_big", ("mean", LAYERS)), ("fixed", ("fixed", row["budget"]))):
                assert row[f"from_{name}"] == pytest.approx(row["loss"] - rows[reference]["loss"], abs=1e-6)
                assert row[f"from_{name}_low"] <= row[f"from_{name}"] <= row[f"from_{name}_high"]
        assert rows["mean", LAYERS]["from_all_big_high"] == 0 == rows["fixed", 2]["from_fixed_low"]
    wide = tables[1]["oracle", 2]
    assert wide["high"] - wide["low"] > 5 * (wide["from_fixed_high"] - wide["from_fixed_low"])
    for key in ("oracle", 2), ("random_token", 1):
        for name in ("from_all_big_low", "from_fixed_high"):
            assert tables[0][key][name] == pytest.approx(tables[1][key][name], abs=1e-4)


def by_cluster(losses: dict, domain: str) -> dict[str, np.ndarray]:
    """[tokens, routes] of every cluster."""
    clusters: dict[str, list] = {}
    for (name, document), part in losses.items():
        if name == domain:
            clusters.setdefault(document.split("/")[0], []).append(part.astype(np.float64))
    return {cluster: np.concatenate(parts) for cluster, parts in clusters.items()}


def served_by_others(losses: dict, options: np.ndarray) -> float:
    """Mean loss where each cluster takes the option, a route's code, that is best on the tokens of the other half."""
    clusters, served = [*by_cluster(losses, "text").values()], []
    for index, part in enumerate(clusters):
        others = np.concatenate(clusters[1 - index % 2 :: 2])
        served.append(part[:, min(options, key=lambda route: others[:, route].mean())])
    return np.concatenate(served).mean()


def clustered(documents=(1, 3, 2, 1), tokens: int = 5, seed: int = 0) -> dict:
    """Losses of clusters of unlike size, whose documents are unlike in length."""
    rng = np.random.default_rng(seed)
    return {
        ("text", f"c{cluster}/d{index}"): rng.gamma(4, 0.5, (tokens + cluster, len(SPACE))).astype(np.float32)
        for cluster, count in enumerate(documents)
        for index in range(count)
    }


def test_a_route_for_all_tokens_is_chosen_on_other_clusters():
    losses = clustered()
    study, found = evaluated(losses)["text"]
    assert study.clusters == 4 and study.tokens.tolist() == [5, 18, 14, 8]
    for budget in range(LAYERS + 1):
        at, routes = study.budgets[budget], SPACE.with_budget(budget)
        assert found[Loss("fixed", budget)].value == pytest.approx(served_by_others(losses, routes))
        tried = at.routes[at.drawn]
        assert found[Loss("random_all", budget)].value == pytest.approx(served_by_others(losses, tried))
    others = [route for route in range(len(SPACE)) if SPACE.counts("big")[route] < LAYERS]
    all_big = np.concatenate([*by_cluster(losses, "text").values()])[:, -1].mean()
    assert found[ALL_BIG_LESS_OTHER].value == pytest.approx(all_big - served_by_others(losses, others))


def test_where_all_routes_are_equal_none_seems_better_than_all_big():
    """The best of many routes is low on the tokens that it was chosen on, and no better than others elsewhere."""
    found, in_sample = [], []
    for seed in range(60):
        losses = clustered((1,) * 12, seed=seed)
        study, _ = evaluated(losses, budgets=[0, 1, LAYERS])["text"]
        found.append(study.numbers(np.ones((1, 12)))[ALL_BIG_LESS_OTHER][0])
        every = np.concatenate([*losses.values()])
        in_sample.append(every[:, -1].mean() - every[:, [0, *SPACE.with_budget(1)]].mean(axis=0).min())
    error = np.std(found) / np.sqrt(len(found))
    assert abs(np.mean(found)) < 3 * error
    assert np.mean(in_sample) > 5 * error


def test_a_choice_stays_in_the_bootstrap():
    # Two routes, each good on half of the documents: were the choice made anew, a replicate would take the route of the
    # half that it draws more of, and never be above the even draw.
    losses = {}
    for i in range(20):
        part = np.full((4, len(SPACE)), 9.0)
        part[:, SPACE.with_budget(1)[0]] = 1.0 if i < 10 else 3.0
        part[:, SPACE.with_budget(1)[1]] = 3.0 if i < 10 else 1.1
        losses["text", f"d{i:02d}"] = part
    study, found = evaluated(losses, budgets=[1])["text"]
    drawn = np.array([[1.0] * 10 + [0.0] * 10, [0.0] * 10 + [1.0] * 10])
    assert study.numbers(drawn)[Loss("fixed", 1)].tolist() == pytest.approx([1.0, 3.0])
    assert found[Loss("fixed", 1)].value == pytest.approx(2.0) and found[Loss("fixed", 1)].high > 2.2


def test_planted_preferences_come_out_in_maps_shares_and_leans():
    # Being big in the last layer helps at even positions, in the first at odd ones.
    digits = SPACE.digits.astype(np.float32)
    part = np.stack([5 - (digits[:, -1] if position % 2 == 0 else digits[:, 0]) for position in range(8)])
    domain, found = evaluated({("text", f"d{i}"): part for i in range(4)}, budgets=[1])["text"]
    cells = (
        tabled(ORACLE_HEAT_MAPS, (domain, found)).to_pandas().pivot(index="layer", columns="position", values="share")
    )
    assert (cells.loc[LAYERS - 1] == [1, 0] * 4).all()
    assert (cells.loc[0] == [0, 1] * 4).all()
    assert (cells.loc[1 : LAYERS - 2] == 0).all(axis=None)
    shares = tabled(ORACLE_LAYERS, (domain, found)).to_pandas().set_index("layer")
    assert shares["share"].tolist() == [0.5, 0, 0, 0.5]
    assert found[depth_bias(1)].value == 0
    upper = np.stack([5 - digits[:, -1]] * 8)
    _, found = evaluated({("text", f"d{i}"): upper for i in range(4)}, budgets=[1])["text"]
    assert found[depth_bias(1)].value == pytest.approx(1 / 2)  # all of it in one of the two upper layers


def test_contrasts_are_differences_at_the_budget_that_is_best_for_the_oracle_elsewhere():
    losses = clustered()
    domain, found = evaluated(losses)["text"]
    best = int(found[BEST_BUDGET].value)
    assert found[Loss("oracle", best)].value == min(found[Loss("oracle", budget)].value for budget in range(LAYERS + 1))
    clusters = by_cluster(losses, "text")
    budgets = range(LAYERS + 1)
    oracle = {
        name: [part[:, SPACE.with_budget(k)].min(axis=1).sum() for k in budgets] for name, part in clusters.items()
    }
    less_small, total = 0.0, sum(map(len, clusters.values()))
    for index, (name, part) in enumerate(clusters.items()):
        others = [*clusters][1 - index % 2 :: 2]
        at = np.argmin([sum(oracle[other][k] for other in others) for k in budgets])
        less_small += oracle[name][at] - part[:, 0].sum()
    assert found[at_best_budget("all_small")].value == pytest.approx(less_small / total)
    assert found[less_all_big("oracle", 1)].value == pytest.approx(
        found[Loss("oracle", 1)].value - found[Loss("mean", LAYERS)].value
    )
    metrics = domain.headline(found)
    assert metrics["perplexity"]["oracle_lowest"] == pytest.approx(np.exp(found[Loss("oracle", best)].value))
    assert metrics["tokens"] == 45 and metrics["clusters"] == 4


def test_random_gap_and_distance_from_lowest_by_brute_force():
    losses = {key: part + 0.5 * (LAYERS - SPACE.counts("big")) for key, part in clustered().items()}
    study, found = evaluated(losses)["text"]
    clusters = by_cluster(losses, "text")
    every = np.concatenate([*clusters.values()])
    depth = every[:, 0].mean() - every[:, -1].mean()
    at_half = every[:, SPACE.with_budget(HALF)].min(axis=1).mean()
    tried = study.budgets[HALF].routes[study.budgets[HALF].drawn]
    assert found[random_gap()].value == pytest.approx((served_by_others(losses, tried) - at_half) / depth)
    budgets = range(LAYERS + 1)
    oracle = np.array(
        [[part[:, SPACE.with_budget(k)].min(axis=1).sum() for k in budgets] for part in clusters.values()]
    )
    best = other = end = 0.0
    for row in range(len(oracle)):
        others = oracle[1 - row % 2 :: 2].sum(axis=0)
        best += oracle[row, others.argmin()]
        other += oracle[row, min((k for k in budgets if k != HALF), key=lambda k: others[k])]
        end += oracle[row, 0 if others[0] < others[-1] else -1]
    expected = (oracle[:, HALF].sum() - other) / (end - best)
    assert found[lowest_at_half()].value == pytest.approx(expected)
    assert found[lowest_at_half()].error > 0
    assert random_gap() in study.relative(np.ones((1, 4)), "oracle", study.curve("oracle"))


def test_a_curve_of_ones_own_is_compared_with_the_same_baselines():
    """Of whoever chose: here, all layers small at every budget but the last."""
    study, _ = evaluated(clustered())["text"]
    curve = {k: study.budgets[0 if k < LAYERS else k].losses["mean"] for k in range(LAYERS + 1)}
    numbers = study.relative(np.ones((1, 4)), "nobody", curve)
    assert set(numbers) == {random_gap("nobody"), lowest_at_half("nobody")}
    small, big = (study.budgets[k].losses["mean"].sum() for k in (0, LAYERS))
    expected = (study.budgets[HALF].losses["random_all"].sum() - small) / (small - big) if small > big else 0
    assert numbers[random_gap("nobody")].tolist() == pytest.approx([expected])


@pytest.mark.parametrize(
    ("by_budget", "expected"),
    [
        ((9, 7, 4, 5, 8), -0.25),
        ((9, 7, 5, 4, 8), 0.25),
        ((9, 8, 7, 6, 5), 1.0),
        ((9, 8, 5, 8, 9.5), -0.75),
        ((9, 9, 5, 9, 9), -1.0),
        ((9, 6, 9, 6, 7), 1.0),
    ],
)
def test_distance_from_lowest_of_planted_curves(by_budget, expected):
    _, found = evaluated(planted(*by_budget))["text"]
    assert [*found[lowest_at_half()]][:3] == pytest.approx([expected] * 3)


def test_depth_preferences_are_shares_of_the_largest():
    digits = SPACE.digits.astype(np.float32)
    upper = {("text", f"d{i}"): np.stack([9 - digits @ np.array([0, 0.1, 1, 2])] * 8) for i in range(4)}
    _, found = evaluated(upper)["text"]
    assert [found[depth_preference(k)].value for k in (1, 2, 3)] == pytest.approx([1, 1, 1])
    assert [found[depth_bias(k)].value for k in (1, 2, 3)] == pytest.approx([0.5, 1, 0.5])
    assert found[DEPTH_TREND].value == pytest.approx(0)
    # Later layers first, where few are big; where many are, the earliest two are never left out.
    turned = {}
    for key in upper:
        early = -3.0 * ((digits[:, 0] + digits[:, 1] == 2) & (digits.sum(axis=1) == 3))
        turned[key] = upper[key] + early
    _, found = evaluated(turned)["text"]
    assert (found[depth_preference(1)].value, found[depth_preference(3)].value) == pytest.approx((1, -1))
    assert found[DEPTH_TREND].value == pytest.approx(2)


@pytest.mark.parametrize("layers", [2, 3, 4, 5, 12])
def test_the_largest_depth_bias_is_that_of_the_best_route(layers):
    space = RouteSpace(layers)
    for budget in range(1, layers):
        shares = space.digits[space.with_budget(budget)].T.astype(float)
        assert largest_depth_bias(budget, layers) == pytest.approx(oracle_curves.upper_less_lower(shares).max())


def planted(*by_budget: float) -> dict:
    """Losses that are the same for all routes of a budget: those of budget 0, 1, ... in order."""
    part = np.array(by_budget)[SPACE.counts("big")]
    return {("text", f"d{i}"): np.tile(part + i / 10, (4, 1)) for i in range(4)}


def test_slope_and_lowest_are_those_of_planted_curves():
    _, line = evaluated(planted(9.0, 8.5, 8.0, 7.5, 7.0))["text"]
    assert [*line[FIXED_SLOPE]][:3] == pytest.approx([-0.5] * 3)
    assert [*line[ALL_BIG_LESS_OTHER]][:3] == pytest.approx([-0.5] * 3)
    _, bowl = evaluated(planted(9.0, 7.0, 4.0, 5.0, 8.0))["text"]
    assert [*bowl[ALL_BIG_LESS_OTHER]][:3] == pytest.approx([4.0] * 3)
    assert bowl[FIXED_SLOPE].value == pytest.approx(np.polyfit(range(5), [9, 7, 4, 5, 8], 1)[0])


def test_models_keep_to_themselves_and_share_the_replicates():
    losses = {"one": noise(), "two": {key: part + 1 for key, part in noise().items()}}
    pairs = [selected(part, model=model) for model, part in losses.items()]
    tables = {
        budget: tuple(pa.concat_tables(parts) for parts in zip(*(pair[budget] for pair in pairs), strict=True))
        for budget in pairs[0]
    }
    found = {
        (study.ids["model"], study.ids["domain"]): study.intervals(200, 0.95, seed=1)
        for study in oracle_curves.gather(tables, SPACE)
    }
    assert list(found) == [(model, domain) for model in losses for domain in ("text", "code")]
    for domain in ("text", "code"):
        shift = np.subtract(found["two", domain][Loss("fixed", 2)], found["one", domain][Loss("fixed", 2)])
        assert shift[:3] == pytest.approx([1.0] * 3)
        assert [*found["one", domain][at_best_budget("fixed")]] == pytest.approx(
            [*found["two", domain][at_best_budget("fixed")]]
        )


def test_spread_over_seeds_is_that_of_the_estimates():
    columns = asdict(depth_bias(2))
    rows = [
        {"model": f"m{i}", "domain": domain, **columns, "value": value, "low": -9.0, "high": 9.0}
        for i, (domain, value) in enumerate([("text", 1.0), ("text", 2.0), ("text", 6.0), ("code", 5.0)])
    ]
    text, code = oracle_curves.spread(rows)
    spread = {"seeds": 3, "mean": 3.0, "deviation": pytest.approx(7**0.5), "low": 1.0, "high": 6.0}
    assert text == {"domain": "text", **columns} | spread
    assert (code["seeds"], code["mean"], code["low"], code["high"]) == (1, 5.0, 5.0, 5.0)
    assert np.isnan(code["deviation"])


@pytest.mark.parametrize("budgets", [[2], [0, 2], [1, LAYERS], [LAYERS]])
def test_any_budgets_will_do(budgets, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    domain, found = evaluated(noise(), budgets)["text"]
    metrics = domain.headline(found)
    assert ("all_small" in metrics["perplexity"]) == (0 in budgets)
    assert ("all_big" in metrics["perplexity"]) == (LAYERS in budgets)
    assert (less_all_big("oracle", 1) in found) == (1 in budgets and LAYERS in budgets)
    for table in (ORACLE_CURVES, ORACLE_HEAT_MAPS, ORACLE_LAYERS, ORACLE_STATISTICS):
        table.write(tabled(table, (domain, found)))
    SEED_SPREAD.write(as_table(SEED_SPREAD, oracle_curves.spread(domain.tables(found)[ORACLE_STATISTICS])))
    ORACLE_METRICS.write({"duo": {"text": metrics}})
