"""Routes that one model chose cost another what they cost there, and a fixed route is scored where it was not chosen."""

import numpy as np
import pyarrow as pa
import pytest
from made_up import LAYERS, SPACE, Losses, noise, selected, table

from duo.studies import cross_seed, oracle_curves
from duo.tables.studies import CROSS_SEED, CROSS_SEED_MEANS, CROSS_SEED_STATISTICS

BUDGETS = list(range(LAYERS + 1))


def crossed(losses: dict[str, Losses], budgets=BUDGETS) -> dict[str, cross_seed.Domain]:
    """Every domain of models with these losses; the last document of each in a shard of its own."""
    by_model = [selected(part, budgets, model) for model, part in losses.items()]
    tables = {
        budget: tuple(pa.concat_tables([each[budget][index] for each in by_model]) for index in (0, 1))
        for budget in budgets
    }
    chosen = cross_seed.choices({budget: selections for budget, (selections, _) in tables.items()})
    scores = {}
    for scorer, part in losses.items():
        keys = list(part)
        for shard in (keys[:-1], keys[-1:]):
            scores |= cross_seed.score(scorer, table({key: part[key] for key in shard}), chosen, SPACE)
    return {domain.name: domain for domain in cross_seed.domains(oracle_curves.domains(tables, SPACE), scores, seed=1)}


def found(domain: cross_seed.Domain) -> dict:
    return domain.intervals(LAYERS, 200, 0.95, seed=1)


def other_noise(seed: int, documents: int, tokens: int) -> Losses:
    rng = np.random.default_rng(seed)
    return {("text", f"d{index}"): rng.gamma(4, 0.5, (tokens, len(SPACE))) for index in range(documents)}


def test_a_pair_costs_what_the_choosers_routes_cost_the_scorer():
    models = {"one": noise(), "two": {key: part[:, ::-1] ** 2 for key, part in noise().items()}}
    numbers = found(crossed(models)["code"])
    for chooser, scorer in (("one", "two"), ("two", "one"), ("two", "two")):
        for budget in BUDGETS:
            allowed = [route for route in range(len(SPACE)) if bin(route).count("1") == budget]
            costs = []
            for (domain, document), part in models[chooser].items():
                if domain == "code":
                    best = [min(allowed, key=lambda route: token[route]) for token in part.astype(np.float32)]
                    costs += [models[scorer][domain, document][position, route] for position, route in enumerate(best)]
            assert numbers["pair", chooser, scorer, budget].value == pytest.approx(np.mean(costs), rel=1e-6)


def test_means_are_over_models_and_over_pairs_of_two():
    models = {
        "one": noise(),
        "two": {key: part * 2 for key, part in noise().items()},
        "three": {key: 5 - part for key, part in noise().items()},
    }
    numbers = found(crossed(models)["text"])
    for strategy, pairs in {
        "own": [(name, name) for name in models],
        "other": [(chooser, scorer) for chooser in models for scorer in models if chooser != scorer],
    }.items():
        assert numbers["mean", strategy, 2].value == pytest.approx(
            np.mean([numbers["pair", *pair, 2].value for pair in pairs])
        )
    assert numbers["mean", "fixed", LAYERS] == numbers["mean", "own", LAYERS] == numbers["mean", "held_out", LAYERS]


def test_what_is_noise_to_each_model_does_not_transfer_and_what_both_share_does():
    alone = {name: other_noise(seed, 12, 60) for seed, name in enumerate(("one", "two"))}
    numbers = found(crossed(alone)["text"])
    for scorer in alone:
        assert (
            numbers["contrast", scorer, "fixed_2-other_2"].value < 0
        )  # a fixed route is the best of six, on these documents
        assert numbers["contrast", scorer, "transfer_2"].high < 0.15
        assert (
            numbers["contrast", scorer, "mean_2-other_2"].low < 0 < numbers["contrast", scorer, "mean_2-other_2"].high
        )
    shared = {name: {key: part + alone["one"][key] for key, part in losses.items()} for name, losses in alone.items()}
    numbers = found(crossed(shared)["text"])
    assert numbers["contrast", "two", "fixed_2-other_2"].low > 0
    assert 0.3 < numbers["contrast", "two", "transfer_2"].low < numbers["contrast", "two", "transfer_2"].high < 1


def test_models_that_are_one_transfer_all():
    numbers = found(crossed({"one": noise(), "two": noise()})["text"])
    for budget in (1, 2, 3):
        assert numbers["contrast", "one", f"transfer_{budget}"] == pytest.approx((1, 1, 1))
    assert numbers["contrast", "one", "other_2-all_big"].value == pytest.approx(
        numbers["mean", "own", 2].value - numbers["mean", "own", LAYERS].value
    )


def test_one_model_has_only_itself():
    domain = crossed({"one": noise()})["text"]
    numbers = found(domain)
    assert {key[1] for key in numbers if key[0] == "mean"} == {"own", "fixed", "held_out", "mean"}
    assert {key[2] for key in numbers if key[0] == "contrast"} == {
        f"held_out_{budget}-fixed_{budget}" for budget in (1, 2, 3)
    }


def test_halves_are_halves():
    halves = cross_seed.halves(7, np.random.default_rng(0))
    assert halves.shape == (cross_seed.SPLITS, 7) and (halves.sum(axis=1) == 3).all()
    assert len(np.unique(halves, axis=0)) > 5


def test_a_fixed_route_is_scored_where_it_was_not_chosen():
    losses = np.array(
        [[1.0, 5.0], [1.0, 5.0], [7.0, 2.0], [7.0, 2.0]]
    )  # each pair of documents has a best route of its own
    halves = np.array([[True, True, False, False], [True, False, True, False]])
    fixed, held_out = cross_seed.fixed_losses(losses, halves)
    assert fixed.tolist() == [5, 5, 2, 2]  # the second route everywhere
    assert held_out.tolist() == [
        5,
        5,
        (7 + 2) / 2,
        (7 + 2) / 2,
    ]  # each half with the route of the other; both with the second


def test_optimism_of_noise_is_seen_and_a_route_that_is_better_has_none():
    rng = np.random.default_rng(0)
    pure = {("text", f"d{index}"): rng.gamma(4, 0.5, (4, len(SPACE))) for index in range(16)}
    assert found(crossed({"one": pure})["text"])["contrast", "one", "held_out_2-fixed_2"].low > 0
    for part in pure.values():
        part[:, SPACE.with_budget(2)[3]] -= 9
    assert found(crossed({"one": pure})["text"])["contrast", "one", "held_out_2-fixed_2"] == (0, 0, 0)


def test_tables_fit_their_schemas(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    domain = crossed({"one": noise(), "two": {key: part**2 for key, part in noise().items()}})["text"]
    numbers = found(domain)
    CROSS_SEED.write(cross_seed.pair_curves(domain, numbers))
    CROSS_SEED_MEANS.write(cross_seed.mean_curves(domain, numbers))
    CROSS_SEED_STATISTICS.write(cross_seed.statistics(domain, numbers))
    assert CROSS_SEED.read().num_rows == 4 * len(BUDGETS)
    assert set(CROSS_SEED_MEANS.read()["strategy"].to_pylist()) == {"own", "other", "fixed", "held_out", "mean"}
    names = CROSS_SEED_STATISTICS.read()["name"].to_pylist()
    assert {"held_out_2-fixed_2", "fixed_1-other_1", "transfer_3", "other_1-all_big", "other_budget"} <= set(names)
