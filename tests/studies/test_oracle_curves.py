from dataclasses import asdict

import numpy as np
import pyarrow as pa
import pytest
from made_up import LAYERS, SPACE, evaluated, noise, selected, tabled

from duo.studies import oracle_curves
from duo.studies.oracle_curves import (
    BEST_BUDGET,
    FIXED_SLOPE,
    Loss,
    at_best_budget,
    depth_bias,
    less_all_big,
    less_other_budgets,
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
        assert rows["fixed", budget]["loss"] == pytest.approx(part.mean(axis=0).min())
        assert rows["fixed", budget]["route"] == SPACE.with_budget(budget)[part.mean(axis=0).argmin()]
        assert rows["fixed", budget]["perplexity"] == pytest.approx(np.exp(part.mean(axis=0).min()))
        strict = ["oracle", "sequence", "fixed", "mean"]
        assert sorted(strict, key=lambda name: rows[name, budget]["loss"]) == strict or budget in (0, LAYERS)
        tried = SPACE.with_budget(budget).tolist().index(rows["random_all", budget]["route"])
        assert rows["random_all", budget]["loss"] == pytest.approx(part.mean(axis=0)[tried])


def test_fixed_is_chosen_anew_in_each_replicate():
    # Two routes, each good on half of the documents: whichever half a replicate draws more of, its route wins there, so
    # no replicate is worse than the even draw, while either route alone is worse in about half of them.
    losses = {}
    for i in range(20):
        part = np.full((4, len(SPACE)), 9.0)
        part[:, SPACE.with_budget(1)[0]] = 1.0 if i < 10 else 3.0
        part[:, SPACE.with_budget(1)[1]] = 3.0 if i < 10 else 1.0
        losses["text", f"d{i:02d}"] = part
    _, found = evaluated(losses, budgets=[1])["text"]
    assert found[Loss("fixed", 1)].value == pytest.approx(2.0)
    assert found[Loss("fixed", 1)].high == pytest.approx(2.0)
    assert found[Loss("fixed", 1)].low < 1.8


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


def test_contrasts_are_differences_at_the_oracle_s_best_budget():
    domain, found = evaluated(noise(documents=5))["code"]
    best = int(found[BEST_BUDGET].value)
    assert found[Loss("oracle", best)].value == min(found[Loss("oracle", budget)].value for budget in range(LAYERS + 1))
    assert found[at_best_budget("fixed")].value == pytest.approx(
        found[Loss("oracle", best)].value - found[Loss("fixed", best)].value
    )
    assert found[less_all_big("oracle", 1)].value == pytest.approx(
        found[Loss("oracle", 1)].value - found[Loss("mean", LAYERS)].value
    )
    for end, budget in {"all_small": 0, "all_big": LAYERS}.items():
        assert found[at_best_budget(end)].value == pytest.approx(
            found[Loss("oracle", best)].value - found[Loss("mean", budget)].value
        )
    metrics = domain.headline(found)
    assert metrics["perplexity"]["oracle_lowest"] == pytest.approx(np.exp(found[Loss("oracle", best)].value))
    assert metrics["tokens"] == 30 and metrics["documents"] == 5


def planted(*by_budget: float) -> dict:
    """Losses that are the same for all routes of a budget: those of budget 0, 1, ... in order."""
    part = np.array(by_budget)[SPACE.counts("big")]
    return {("text", f"d{i}"): np.tile(part + i / 10, (4, 1)) for i in range(4)}


def test_slope_and_lowest_are_those_of_planted_curves():
    _, line = evaluated(planted(9.0, 8.5, 8.0, 7.5, 7.0))["text"]
    assert [*line[FIXED_SLOPE]] == pytest.approx([-0.5] * 3)
    assert [*line[less_other_budgets("fixed", LAYERS)]] == pytest.approx([-0.5] * 3)
    assert [*line[less_other_budgets("oracle", HALF)]] == pytest.approx([1.0] * 3)
    _, bowl = evaluated(planted(9.0, 7.0, 4.0, 5.0, 8.0))["text"]
    assert [*bowl[less_other_budgets("oracle", HALF)]] == pytest.approx([-1.0] * 3)
    assert [*bowl[less_other_budgets("fixed", LAYERS)]] == pytest.approx([4.0] * 3)
    assert bowl[FIXED_SLOPE].value == pytest.approx(np.polyfit(range(5), [9, 7, 4, 5, 8], 1)[0])


def test_best_other_budget_is_found_anew_in_each_replicate():
    # Budget 2 gets 2.0 everywhere; budgets 1 and 3 are better on half of the documents each, and as good on average.
    # The best of these two in a replicate is never above 2.0, so the difference is never below zero.
    losses = {}
    for i in range(20):
        by_budget = np.array([9.0, 1.0, 2.0, 3.0, 9.0] if i < 10 else [9.0, 3.0, 2.0, 1.0, 9.0])
        losses["text", f"d{i:02d}"] = np.tile(by_budget[SPACE.counts("big")], (4, 1))
    _, found = evaluated(losses)["text"]
    assert found[less_other_budgets("oracle", HALF)].low == pytest.approx(0.0)
    assert found[less_other_budgets("oracle", HALF)].high > 0.2


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
        assert shift == pytest.approx([1.0] * 3)
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
