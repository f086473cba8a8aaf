"""Routes that one model chose cost another what they cost there; a fixed route costs more where it was not chosen."""

import numpy as np
import pyarrow as pa
import pytest
from made_up import LAYERS, SPACE, Losses, noise, selected, table

from duo.settings import Bootstrap
from duo.stats import Interval, Intervals
from duo.studies import cross_seed, oracle_curves
from duo.studies.cross_seed import CrossSeed, MeanLoss, OfScorer, PairLoss, difference, transfer
from duo.tables.studies import CROSS_SEED, CROSS_SEED_MEANS, CROSS_SEED_STATISTICS
from workflow import studies

BUDGETS = list(range(LAYERS + 1))


def crossed(losses: dict[str, Losses], budgets=BUDGETS) -> dict[str, CrossSeed]:
    """The study of every domain of models with these losses; the last document of each model in its own shard."""
    by_model = [selected(part, budgets, model) for model, part in losses.items()]
    tables = {
        budget: tuple(pa.concat_tables([tables[budget][index] for tables in by_model]) for index in (0, 1))
        for budget in budgets
    }
    chosen = cross_seed.choices({budget: selections for budget, (selections, _) in tables.items()})
    scores = {}
    for scorer, part in losses.items():
        keys = list(part)
        for shard in (keys[:-1], keys[-1:]):
            scores |= cross_seed.score(scorer, table({key: part[key] for key in shard}), chosen, SPACE)
    gathered = cross_seed.gather(oracle_curves.gather(tables, SPACE), scores)
    return {study.ids["domain"]: study for study in gathered}


def intervals(study: CrossSeed) -> Intervals:
    return study.intervals(200, 0.95, seed=1)


def scored(numbers: Intervals, scorer: str, statistic) -> Interval:
    return numbers[OfScorer(scorer, statistic)]


def other_noise(seed: int, documents: int, tokens: int) -> Losses:
    rng = np.random.default_rng(seed)
    return {("text", f"d{index}"): rng.gamma(4, 0.5, (tokens, len(SPACE))) for index in range(documents)}


def test_a_pair_costs_what_the_choosers_routes_cost_the_scorer():
    models = {"one": noise(), "two": {key: part[:, ::-1] ** 2 for key, part in noise().items()}}
    numbers = intervals(crossed(models)["code"])
    for chooser, scorer in (("one", "two"), ("two", "one"), ("two", "two")):
        for budget in BUDGETS:
            allowed = [route for route in range(len(SPACE)) if bin(route).count("1") == budget]
            costs = []
            for (domain, document), part in models[chooser].items():
                if domain == "code":
                    best = [min(allowed, key=lambda route: token[route]) for token in part.astype(np.float32)]
                    costs += [models[scorer][domain, document][position, route] for position, route in enumerate(best)]
            assert numbers[PairLoss(chooser, scorer, budget)].value == pytest.approx(np.mean(costs), rel=1e-6)


def test_means_are_over_models_and_over_pairs_of_two():
    models = {
        "one": noise(),
        "two": {key: part * 2 for key, part in noise().items()},
        "three": {key: 5 - part for key, part in noise().items()},
    }
    numbers = intervals(crossed(models)["text"])
    for strategy, pairs in {
        "own": [(name, name) for name in models],
        "other": [(chooser, scorer) for chooser in models for scorer in models if chooser != scorer],
    }.items():
        mean = np.mean([numbers[PairLoss(*pair, 2)].value for pair in pairs])
        assert numbers[MeanLoss(strategy, 2)].value == pytest.approx(mean)
    fixed, own, in_sample = (numbers[MeanLoss(strategy, LAYERS)] for strategy in ("fixed", "own", "in_sample"))
    assert fixed == own == in_sample


def test_what_is_noise_to_each_model_does_not_transfer_and_what_both_share_does():
    alone = {name: other_noise(seed, 12, 60) for seed, name in enumerate(("one", "two"))}
    numbers = intervals(crossed(alone)["text"])
    for scorer in alone:
        assert scored(numbers, scorer, transfer(2)).high < 0.15
        _, low, high = scored(numbers, scorer, difference("mean", "other", 2))
        assert low < 0 < high
    shared = {name: {key: part + alone["one"][key] for key, part in losses.items()} for name, losses in alone.items()}
    numbers = intervals(crossed(shared)["text"])
    assert scored(numbers, "two", difference("fixed", "other", 2)).low > 0
    _, low, high = scored(numbers, "two", transfer(2))
    assert 0.3 < low < high < 1


def test_models_that_are_one_transfer_all():
    numbers = intervals(crossed({"one": noise(), "two": noise()})["text"])
    for budget in (1, 2, 3):
        assert scored(numbers, "one", transfer(budget)) == pytest.approx((1, 1, 1))
    at_two, all_big = (numbers[MeanLoss("own", budget)].value for budget in (2, LAYERS))
    assert scored(numbers, "one", difference("other", "all_big", 2)).value == pytest.approx(at_two - all_big)


def test_one_model_has_only_itself():
    numbers = intervals(crossed({"one": noise()})["text"])
    strategies = {key.strategy for key in numbers if isinstance(key, MeanLoss)}
    assert strategies == {"own", "fixed", "in_sample", "mean"}
    statistics = {key.statistic for key in numbers if isinstance(key, OfScorer)}
    assert statistics == {difference("fixed", "in_sample", budget) for budget in (1, 2, 3)}


def test_optimism_of_noise_is_seen_and_a_route_that_is_better_has_none():
    rng = np.random.default_rng(0)
    pure = {("text", f"d{index}"): rng.gamma(4, 0.5, (4, len(SPACE))) for index in range(16)}
    assert scored(intervals(crossed({"one": pure})["text"]), "one", difference("fixed", "in_sample", 2)).value > 0
    for part in pure.values():
        part[:, SPACE.with_budget(2)[3]] -= 9
    assert scored(intervals(crossed({"one": pure})["text"]), "one", difference("fixed", "in_sample", 2)) == (0, 0, 0)


def test_documents_of_a_cluster_are_drawn_together():
    losses = {("text", name): part for (_, name), part in noise(4).items()}
    losses = {("text", f"c{index // 2}/{index}"): part for index, part in enumerate(losses.values())}
    study = crossed({"one": losses})["text"]
    assert study.clusters == 2
    drawn = study.numbers(np.array([[1.0, 0.0]]))[PairLoss("one", "one", 2)]
    first = np.concatenate([part for (_, name), part in losses.items() if name.startswith("c0")])
    assert drawn == pytest.approx(first[:, SPACE.with_budget(2)].min(axis=1).mean())


def test_tables_fit_their_schemas(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    gathered = crossed({"one": noise(), "two": {key: part**2 for key, part in noise().items()}})
    studies.write([gathered["text"]], Bootstrap(confidence=0.95, resamples=200), seed=1)
    assert CROSS_SEED.read().num_rows == 4 * len(BUDGETS)
    assert set(CROSS_SEED_MEANS.read()["strategy"].to_pylist()) == {"own", "other", "fixed", "in_sample", "mean"}
    means = {(row["strategy"], row["budget"]): row for row in CROSS_SEED_MEANS.read().to_pylist()}
    for (_, budget), row in means.items():
        assert row["from_fixed"] == pytest.approx(row["loss"] - means["fixed", budget]["loss"])
        assert row["from_fixed_low"] <= row["from_fixed"] <= row["from_fixed_high"]
    assert means["fixed", 2]["from_fixed_low"] == means["fixed", 2]["from_fixed_high"] == 0
    written = CROSS_SEED_STATISTICS.read().to_pylist()
    pairs = {(row["subject"], row["reference"]) for row in written if row["family"] == "difference"}
    assert pairs == {("fixed", "in_sample"), ("fixed", "other"), ("mean", "other"), ("other", "all_big")}
    assert {row["family"] for row in written} == {"difference", "transfer", "best_budget"}
    assert {row["model"] for row in written} == {"one", "two"} and all(row["words"] for row in written)
