"""Statistics of big-or-skip routes, on made-up routes of known make."""

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
    CONSISTENT_LAYERS,
    EARLY_EXIT,
    HALVES,
    HALVES_WITHIN_LAYERS,
    ORACLE_LESS_FIXED,
    PERSISTENCE,
    KeptShare,
    loss,
)
from duo.tables.oracle import SKIPS
from duo.tables.studies import SKIP_HEAT_MAPS, SKIP_LAYERS, SKIP_STATISTICS

LAYERS, BUDGET = 6, 3
C19 = {  # and what measures them
    PERSISTENCE: skips.halves,
    HALVES_WITHIN_LAYERS: skips.halves,
    CONSECUTIVE_LESS_SHUFFLED: skips.consecutive,
    CONSECUTIVE_WITHIN_LAYERS: skips.consecutive,
}


def draw(scores: np.ndarray) -> np.ndarray:
    """Keep the BUDGET layers of highest score in each token of scores [documents, time, layers]."""
    return scores.argsort(axis=-1).argsort(axis=-1) >= LAYERS - BUDGET


def chance(documents: int = 20, time: int = 16, seed: int = 0) -> np.ndarray:
    return draw(np.random.default_rng(seed).random((documents, time, LAYERS)))


def value(measure, keeps: np.ndarray, name: Statistic, clusters: np.ndarray | None = None) -> float:
    """Of documents that each are a cluster of their own, or of these clusters [documents]."""
    clusters = np.arange(len(keeps)) if clusters is None else clusters
    return float(measure(keeps, clusters)(np.ones((1, len(np.unique(clusters)))))[name][0])


def interval(measure, keeps: np.ndarray, name: Statistic) -> stats.Interval:
    found = measure(keeps, np.arange(len(keeps)))
    return stats.intervals(found, len(keeps), 400, 0.95, np.random.default_rng(1))[name]


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


def test_consistent_layers_are_the_shares_of_the_layers_that_other_clusters_prefer():
    rng = np.random.default_rng(0)
    keeps = draw(rng.gumbel(size=(7, 9, LAYERS)) + np.array([1.0, 0.8, 0, 0, -0.8, -1.0]))
    clusters = np.array([0, 0, 1, 2, 2, 2, 3])
    shares = np.stack([keeps[clusters == cluster].sum(axis=(0, 1)) for cluster in range(4)])
    highest, lowest = 0.0, 0.0
    for cluster in range(4):
        others = shares[1 - cluster % 2 :: 2].sum(axis=0)
        highest += shares[cluster, others.argmax()]
        lowest += shares[cluster, others.argmin()]
    expected = min(highest, 63 - lowest) / 63
    assert value(skips.consistent_layers, keeps, CONSISTENT_LAYERS, clusters) == pytest.approx(expected)
    always = np.broadcast_to(np.arange(LAYERS) < BUDGET, (5, 7, LAYERS))
    assert value(skips.consistent_layers, always, CONSISTENT_LAYERS) == 1


def test_layers_kept_by_chance_are_kept_by_half_of_the_tokens():
    """The highest of six shares, on the tokens that it is read off, is above half."""
    values = np.array([value(skips.consistent_layers, chance(8, 6, seed), CONSISTENT_LAYERS) for seed in range(500)])
    naive = np.array([chance(8, 6, seed).mean(axis=(0, 1)).max() for seed in range(500)])
    # Half, less what the lower of two noisy shares is below their mean.
    assert 0.45 < values.mean() < 0.5 and naive.mean() > 0.55


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
    for name in (PERSISTENCE, HALVES_WITHIN_LAYERS):
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
    assert value(skips.halves, keeps, PERSISTENCE) == pytest.approx(expected)


def test_routes_that_never_vary_have_no_correlation():
    always = np.broadcast_to(np.arange(LAYERS) < BUDGET, (12, 8, LAYERS))
    for name, measure in C19.items():
        assert interval(measure, always, name) == (0, 0, 0)


def test_a_cluster_drawn_twice_is_no_pair():
    """Else each replicate of the bootstrap would find consistency between a cluster and its copy."""
    keeps = chance(3, 8)
    twice = skips.consistency(keeps, np.arange(3))(np.array([[2.0, 1.0, 0.0]]))[CONSISTENCY]
    assert twice == pytest.approx(value(skips.consistency, keeps[:2], CONSISTENCY))


def test_documents_of_one_cluster_are_no_pair():
    """Else what files of a package have in common would look like what all tokens have."""
    keeps, clusters = chance(5, 8), np.array([0, 0, 1, 2, 2])
    deviations = keeps.mean(axis=1) - keeps.mean()
    products = [
        deviations[one] * deviations[other]
        for one in range(5)
        for other in range(5)
        if clusters[one] != clusters[other]
    ]
    assert value(skips.consistency, keeps, CONSISTENCY, clusters) == pytest.approx(np.mean(products))


NAMES = ["d0", "d1", "d2", "d3"]
SAMPLE = EvaluationSet(["a", "a", "b", "b"], NAMES, NAMES, np.zeros((4, 6), int), np.zeros((4, 6), int))
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
    again = skips.kept_on(losses, ROUTES, 4, np.random.default_rng(1))
    np.testing.assert_array_equal(again, keeps)  # the same labels, and no ties
    sets = {"true": [keeps[:2]], "sampled": [again[:2]] * 3, "matched": [again[:2]], "placebo": [~again[:2]]}
    study = skips.SkipPatterns("duo", "a", 2, selected.slice(0, 12), sets)
    found = study.intervals(200, 0.95, seed=1)
    assert found[CONSISTENCY.of("sampled")] == found[CONSISTENCY] and found[CONSISTENCY.of("excess")] == (0, 0, 0)
    opposite = skips.SkipChoices("duo", "a", ~keeps[:2], np.arange(2)).numbers(np.ones((1, 2)))[EARLY_EXIT]
    assert found[EARLY_EXIT.of("placebo")].value == pytest.approx(found[EARLY_EXIT].value - opposite[0])
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
    # Nine of the oracle's choices, each for five labels; four of losses.
    assert len(rows) == 9 * 5 + 4 == len({row["words"] for row in rows}), "every statistic has words of its own"


def test_the_fixed_route_is_that_of_other_clusters():
    losses = np.random.default_rng(0).random((4, 6, len(ROUTES))).astype(np.float32)
    sample = EvaluationSet(["a"] * 4, NAMES, ["p", "q", "p", "r"], SAMPLE.tokens, SAMPLE.labels)
    selected = skips.select("duo", sample, losses, ROUTES, seed=1)
    p_and_r, q = losses[[0, 2, 3]].sum(axis=(0, 1)).argmin(), losses[1].sum(axis=0).argmin()
    expected = [ROUTES[q], ROUTES[p_and_r], ROUTES[q], ROUTES[q]]
    assert selected["fixed_route"].to_pylist() == np.repeat(expected, 6).tolist()
    at = {0: q, 1: p_and_r, 2: q, 3: q}
    paid = np.concatenate([losses[row, :, route] for row, route in at.items()])
    np.testing.assert_array_equal(selected["fixed_loss"].to_numpy(), paid)


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
