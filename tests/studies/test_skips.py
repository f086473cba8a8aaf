"""Statistics of big-or-skip routes, on made-up routes of known make."""

from functools import partial

import numpy as np
import pytest
from made_up import tabled

from duo import stats
from duo.data.evaluation_set import EvaluationSet
from duo.errors import InputError
from duo.routes import RouteSpace
from duo.stats import Statistic
from duo.studies import skips
from duo.studies.skips import (
    CONSECUTIVE,
    CONSECUTIVE_LESS_SHUFFLED,
    CONSECUTIVE_WITHIN_LAYERS,
    CONSISTENCY,
    CORRECTED_CONSISTENCY,
    EARLY_EXIT,
    HALVES,
    HALVES_LESS_SHUFFLED,
    HALVES_WITHIN_LAYERS,
    NULL_CONSISTENCY,
    ORACLE_LESS_FIXED,
    KeptShare,
    loss,
)
from duo.tables.oracle import SKIPS
from duo.tables.studies import SKIP_HEAT_MAPS, SKIP_LAYERS, SKIP_STATISTICS

LAYERS, BUDGET = 6, 3
C19 = {  # and what measures them
    HALVES_LESS_SHUFFLED: skips.halves,
    HALVES_WITHIN_LAYERS: skips.halves,
    CONSECUTIVE_LESS_SHUFFLED: skips.consecutive,
    CONSECUTIVE_WITHIN_LAYERS: skips.consecutive,
}


def draw(scores: np.ndarray) -> np.ndarray:
    """Keep the BUDGET layers of highest score in each token of scores [documents, time, layers]."""
    return scores.argsort(axis=-1).argsort(axis=-1) >= LAYERS - BUDGET


def chance(documents: int = 20, time: int = 16, seed: int = 0) -> np.ndarray:
    return draw(np.random.default_rng(seed).random((documents, time, LAYERS)))


def value(measure, keeps: np.ndarray, name: Statistic) -> float:
    return float(measure(keeps)(np.ones((1, len(keeps))))[name][0])


def interval(measure, keeps: np.ndarray, name: Statistic) -> stats.Interval:
    return stats.intervals(measure(keeps), len(keeps), 400, 0.95, np.random.default_rng(1))[name]


@pytest.mark.parametrize(("name", "measure"), [(CONSISTENCY, skips.consistency), *C19.items()])
def test_chance_has_mean_zero(name, measure):
    """Over many samples the mean is within its own error of 0: short sequences of few documents leave no bias."""
    values = np.array([value(measure, chance(4, 6, seed), name) for seed in range(1000)])
    assert values.std() > 0.001
    assert abs(values.mean()) < 3.5 * values.std() / np.sqrt(len(values))


def test_the_plain_variance_between_layers_would_not():
    found = np.array([chance(4, 6, seed).mean(axis=(0, 1)).var() for seed in range(200)])
    assert found.mean() > 5 * found.std() / np.sqrt(len(found))


def test_consistency_is_the_variance_of_the_shares():
    weights = np.array([2, 1, 0.5, 0, 0, -1])
    keeps = draw(np.random.default_rng(0).gumbel(size=(200, 50, LAYERS)) + weights)
    assert value(skips.consistency, keeps, CONSISTENCY) == pytest.approx(keeps.mean(axis=(0, 1)).var(), rel=0.01)
    assert interval(skips.consistency, keeps[:12, :10], CONSISTENCY).low > 0
    always = np.broadcast_to(np.arange(LAYERS) < BUDGET, (5, 7, LAYERS))
    assert value(skips.consistency, always, CONSISTENCY) == pytest.approx(0.25)


def test_documents_that_each_have_layers_of_their_own_are_not_consistent():
    own = np.random.default_rng(0).normal(size=(30, 1, LAYERS)) * 10
    keeps = draw(own + np.random.default_rng(1).random((30, 16, LAYERS)))
    assert interval(skips.consistency, keeps, CONSISTENCY).low < 0


def test_layers_that_chance_prefers_as_well_leave_no_consistency():
    """Corrected, choices that follow the same preference as those for sampled labels have none; others keep what they
    have beyond it.
    """
    rng, weights = np.random.default_rng(0), np.array([2, 1, 0.5, 0, 0, -1])
    own, *by_chance = (draw(rng.gumbel(size=(40, 30, LAYERS)) + weights) for _ in range(4))
    less_luck = partial(skips.corrected_consistency, sampled=np.stack(by_chance))
    assert interval(skips.consistency, own, CONSISTENCY).low > 0
    found = interval(less_luck, own, CORRECTED_CONSISTENCY)
    assert found.low < 0 < found.high
    stronger = draw(rng.gumbel(size=(40, 30, LAYERS)) + 2 * weights)
    expected = value(skips.consistency, stronger, CONSISTENCY) - np.mean(
        [value(skips.consistency, each, CONSISTENCY) for each in by_chance]
    )
    found = interval(less_luck, stronger, CORRECTED_CONSISTENCY)
    assert found.low > 0 and found.value == pytest.approx(expected)


def test_early_exit():
    """0.25 where every kept layer lies below every skipped one, -0.75 in the other order, -0.25 without order."""
    exits = np.broadcast_to(np.arange(LAYERS) < BUDGET, (5, 7, LAYERS))
    assert value(skips.early_exit, exits, EARLY_EXIT) == pytest.approx(0.25)
    assert value(skips.early_exit, ~exits, EARLY_EXIT) == pytest.approx(-0.75)
    found = interval(skips.early_exit, chance(40, 40), EARLY_EXIT)
    assert found.low < -0.25 < found.high < 0
    mixed = np.array([1, 0, 1, 1, 0, 0], bool)  # pairs in order: layer 0 below 3 skipped, 2 and 3 below 2: 7 of 9
    assert value(skips.early_exit, np.broadcast_to(mixed, (2, 3, LAYERS)), EARLY_EXIT) == pytest.approx(7 / 9 - 0.75)


def test_layers_preferred_by_all_documents_are_no_skipping_that_begets_skipping():
    """They make the plain correlations high, and leave nothing beyond the shuffled ones."""
    keeps = draw(np.random.default_rng(0).gumbel(size=(60, 40, LAYERS)) + np.array([2, 1, 1, 0, -1, -2]))
    assert value(skips.halves, keeps, HALVES) > 0.5 and value(skips.consecutive, keeps, CONSECUTIVE) > 0.1
    for name, measure in C19.items():
        found = interval(measure, keeps, name)
        assert found.low < 0 < found.high, name


def test_layers_of_a_documents_own_last_from_half_to_half():
    own = np.random.default_rng(0).normal(size=(30, 1, LAYERS)) * 0.5
    keeps = draw(own + np.random.default_rng(1).random((30, 40, LAYERS)))
    for name in (HALVES_LESS_SHUFFLED, HALVES_WITHIN_LAYERS):
        assert interval(skips.halves, keeps, name).low > 0.5
    assert abs(value(skips.consecutive, keeps, CONSECUTIVE_LESS_SHUFFLED)) < 0.05, (
        "shuffling a document's positions keeps its layers"
    )


def test_choices_that_stay_for_a_while_go_on_to_the_next_token():
    scores = np.random.default_rng(0).random((30, 14, LAYERS)).repeat(3, axis=1)  # three tokens alike, then new ones
    for name in (CONSECUTIVE_LESS_SHUFFLED, CONSECUTIVE_WITHIN_LAYERS):
        found = interval(skips.consecutive, draw(scores), name)
        assert found.low > 0.5
        assert found.value == pytest.approx(28 / 41, abs=0.06)  # neighbours that are alike, of all


def test_shuffled_is_the_mean_over_shuffles():
    """The closed form against shuffling positions, layer by layer, and second halves between documents."""
    rng = np.random.default_rng(0)
    keeps = draw(rng.random((4, 5, LAYERS)).repeat(2, axis=1))
    shuffled = []
    for _ in range(2000):
        order = rng.random(keeps.shape).argsort(axis=1)
        shuffled.append(value(skips.consecutive, np.take_along_axis(keeps, order, axis=1), CONSECUTIVE))
    expected = value(skips.consecutive, keeps, CONSECUTIVE) - np.mean(shuffled)
    assert value(skips.consecutive, keeps, CONSECUTIVE_LESS_SHUFFLED) == pytest.approx(expected, abs=0.01)

    first, second = keeps[:, :5], keeps[:, 5:]
    apart = np.concatenate(
        [first.repeat(3, axis=0), np.concatenate([np.delete(second, d, axis=0) for d in range(4)])], axis=1
    )
    expected = value(skips.halves, keeps, HALVES) - value(skips.halves, apart, HALVES)
    assert value(skips.halves, keeps, HALVES_LESS_SHUFFLED) == pytest.approx(expected)


def test_routes_that_never_vary_have_no_correlation():
    always = np.broadcast_to(np.arange(LAYERS) < BUDGET, (12, 8, LAYERS))
    for name, measure in C19.items():
        assert interval(measure, always, name) == (0, 0, 0)


def test_a_document_drawn_twice_is_no_pair():
    """Else each replicate of the bootstrap would find consistency between a document and its copy."""
    keeps = chance(3, 8)
    twice = skips.consistency(keeps)(np.array([[2.0, 1.0, 0.0]]))[CONSISTENCY]
    assert twice == pytest.approx(value(skips.consistency, keeps[:2], CONSISTENCY))


SAMPLE = EvaluationSet(["a", "a", "b", "b"], ["d0", "d1", "d2", "d3"], np.zeros((4, 6), int), np.zeros((4, 6), int))
ROUTES = RouteSpace(4, skips.CHOICES).with_budget(2)


def test_selection_and_its_tables(tmp_path, monkeypatch):
    """Each token's own best route, the fixed route of its domain, and tables that their schemas accept."""
    monkeypatch.chdir(tmp_path)
    losses = np.random.default_rng(0).random((4, 6, len(ROUTES))).astype(np.float32) + 1
    losses[:2, :, 3] -= 0.9  # best for domain a
    losses[2:, :, 5] -= 0.9
    selected = skips.select("duo", SAMPLE, losses, ROUTES, seed=1)
    SKIPS.write(selected, model="duo")
    np.testing.assert_array_equal(selected["oracle_loss"].to_numpy(), losses.min(axis=2).ravel())
    np.testing.assert_array_equal(selected["oracle_route"].to_numpy(), ROUTES[losses.argmin(axis=2).ravel()])
    assert selected["fixed_route"].to_pylist() == [ROUTES[3]] * 12 + [ROUTES[5]] * 12

    keeps = skips.kept(selected, 4, 4)
    assert keeps.shape == (4, 6, 4) and (keeps.sum(axis=-1) == 2).all()
    sampled = skips.kept_on_sampled_labels(losses[None].repeat(3, axis=0), ROUTES, 4, seed=1)
    np.testing.assert_array_equal(sampled, keeps[None].repeat(3, axis=0))  # the same labels three times, and no ties
    study = skips.SkipPatterns("duo", "a", 2, losses[:2], keeps[:2], sampled[:, :2])
    found = study.intervals(200, 0.95, seed=1)
    assert found[NULL_CONSISTENCY] == found[CONSISTENCY] and found[CORRECTED_CONSISTENCY] == (0, 0, 0)
    assert found[loss("fixed")].value == pytest.approx(losses[:2, :, 3].mean())
    gain = found[loss("oracle")].value - found[loss("fixed")].value
    assert found[ORACLE_LESS_FIXED].value == pytest.approx(gain) and gain <= 0
    assert found[loss("mean")].value == pytest.approx(losses[:2].mean())
    for table in (SKIP_HEAT_MAPS, SKIP_LAYERS, SKIP_STATISTICS):
        table.write(tabled(table, (study, found)), model="duo")
    shares = SKIP_LAYERS.read(model="duo")
    assert shares["share"].to_pylist() == pytest.approx(keeps[:2].mean(axis=(0, 1)).tolist())
    assert shares["share"].to_pylist() == [found[KeptShare(2, layer)].value for layer in range(4)]
    heat = SKIP_HEAT_MAPS.read(model="duo").to_pylist()
    assert [row["share"] for row in heat if row["layer"] == 1] == keeps[:2, :, 1].mean(axis=0).tolist()
    assert {(row["model"], row["domain"], row["budget"]) for row in heat} == {("duo", "a", 2)}
    rows = SKIP_STATISTICS.read(model="duo").to_pylist()
    assert len(rows) == 14 == len({row["words"] for row in rows}), "every statistic has words of its own"


def test_ties_are_drawn_and_models_share_the_draw():
    tied = np.ones((4, 6, len(ROUTES)), np.float32)
    first, second = (
        skips.select(model, SAMPLE, tied, ROUTES, seed=1)["oracle_route"].to_pylist() for model in ("duo", "skip")
    )
    assert len(set(first)) > 3 and first == second


def test_a_loss_that_is_not_finite_is_one_error():
    losses = np.ones((4, 6, len(ROUTES)), np.float32)
    losses[2, 3, 1] = np.inf
    with pytest.raises(InputError, match="model duo, domain b, document d2: a loss is not finite"):
        skips.select("duo", SAMPLE, losses, ROUTES, seed=1)
