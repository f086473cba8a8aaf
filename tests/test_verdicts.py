"""The rule that makes estimates verdicts: its level where the truth is worst for it, and the power that docs state."""

import re

import numpy as np
import pytest
from project import REPOSITORY
from scipy.stats import t

from duo import stats, verdicts
from duo.studies import curves
from duo.verdicts import ABOVE, BELOW, EFFECT, FAILS, HOLDS, NO_EFFECT, UNDECIDED, WITHIN, Pooled

ALPHA = 0.05
KINDS = [EFFECT, ABOVE, BELOW, WITHIN]


def of_one(value: float, error: float, clusters: int = 21) -> Pooled:
    return verdicts.pooled(np.array([[value]]), np.array([[error]]), clusters)


@pytest.mark.parametrize(
    ("kind", "value", "verdict"),
    [
        (EFFECT, 0.2, HOLDS),
        (EFFECT, 0.05, NO_EFFECT),
        (EFFECT, -0.05, NO_EFFECT),
        (EFFECT, -0.2, FAILS),
        (ABOVE, 0.2, HOLDS),
        (ABOVE, 0.05, FAILS),
        (BELOW, 0.05, HOLDS),
        (BELOW, -5.0, HOLDS),
        (BELOW, 0.2, FAILS),
        (WITHIN, 0.05, HOLDS),
        (WITHIN, -0.2, FAILS),
        (WITHIN, 0.2, FAILS),
    ],
)
def test_a_verdict_is_where_the_statistic_lies(kind, value, verdict):
    for error in (1e-9, 0.0):
        found, p_value = verdicts.best_shown(of_one(value, error), kind, 0.1)
        assert (found[0], p_value[0]) == (verdict, pytest.approx(0))
    found, p_value = verdicts.best_shown(of_one(value, 10.0), kind, 0.1)
    assert verdicts.given(found, p_value, ALPHA)[0] == UNDECIDED


@pytest.mark.parametrize("kind", KINDS)
def test_on_the_bound_nothing_is_shown(kind):
    for error in (0.0, 1.0):
        _, p_value = verdicts.best_shown(of_one(0.1, error), kind, 0.1)
        assert p_value[0] == pytest.approx(1)


def test_p_value_is_that_of_the_interval_that_just_reaches_the_bound():
    estimate = of_one(0.5, 0.2, 10)
    _, p_value = verdicts.best_shown(estimate, EFFECT, 0.1)
    assert p_value[0] == pytest.approx(2 * t.sf(2.0, 9))
    low, _ = verdicts.ends(estimate, 1 - p_value[0])
    assert low[0] == pytest.approx(0.1)
    # Equivalence needs both ends: 0.03 is nearer to the upper bound.
    near = of_one(0.03, 0.02, 10)
    found, p_value = verdicts.best_shown(near, EFFECT, 0.1)
    assert found[0] == NO_EFFECT and p_value[0] == pytest.approx(2 * t.sf(3.5, 9))


def test_seeds_add_their_variance_and_have_few_degrees_of_freedom():
    values, errors = np.array([0.1, 0.2, 0.6]), np.array([0.1, 0.2, 0.3])
    found = verdicts.pooled(values, errors, clusters=25)
    of_seeds = values.var(ddof=1) / 3
    assert found.value == pytest.approx(0.3) and found.error == pytest.approx(np.sqrt(0.04 + of_seeds))
    quantiles = (0.04 * t.isf(0.025, 24) + of_seeds * t.isf(0.025, 2)) / (0.04 + of_seeds)
    assert verdicts.ends(found, 0.95)[1] == pytest.approx(0.3 + quantiles * found.error)
    one = verdicts.pooled(values[:1], errors[:1], clusters=25)
    assert one.error == pytest.approx(0.1) and one.reach(0.025) == pytest.approx(0.1 * t.isf(0.025, 24))


def test_holm_is_holm():
    p_values = np.array([[0.01, 0.04, 0.03, 0.005], [0.5, 0.5, 0.9, 0.4]])
    assert verdicts.holm(p_values).tolist() == [
        pytest.approx([0.03, 0.06, 0.06, 0.02]),
        [1.0, 1.0, 1.0, 1.0],
    ]
    assert verdicts.holm(np.array([])).tolist() == []


def drawn(
    rng: np.random.Generator, truth: float, trials: int, clusters: int, seeds: int, of_clusters: float, of_seeds: float
) -> Pooled:
    """Estimates of as many trials: errors over clusters in common of all seeds, and of each; and what a seed changes.

    of_clusters and of_seeds: standard errors of the mean over clusters, and standard deviation over seeds.
    """
    scale = of_clusters * np.sqrt(clusters / 2)
    common, own = (rng.normal(0, scale, (trials, each, clusters)) for each in (1, seeds))
    values = truth + rng.normal(0, of_seeds, (trials, seeds, 1)) + common + own
    return verdicts.pooled(values.mean(axis=2), values.std(axis=2, ddof=1) / np.sqrt(clusters), clusters)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("clusters", [24, 48])
@pytest.mark.parametrize(("seeds", "of_seeds"), [(1, 0.0), (3, 0.0), (3, 0.05), (3, 0.1), (3, 0.2)])
def test_false_verdicts_are_no_more_frequent_than_their_level(kind, clusters, seeds, of_seeds):
    """On every bound, where any verdict is false but the two that touch there, and those too by half of their level."""
    rng = np.random.default_rng(clusters)
    for truth in (-0.1, 0.1) if kind in (EFFECT, WITHIN) else (0.1,):
        found, p_values = verdicts.best_shown(drawn(rng, truth, 6000, clusters, seeds, 0.05, of_seeds), kind, 0.1)
        assert (p_values <= ALPHA).mean() <= ALPHA + 0.01, (kind, truth)
    found, p_values = verdicts.best_shown(drawn(rng, 0.0, 6000, clusters, seeds, 0.05, of_seeds), kind, 0.1)
    false = {EFFECT: (HOLDS, FAILS), ABOVE: (HOLDS,), BELOW: (FAILS,), WITHIN: (FAILS,)}[kind]
    assert (np.isin(found, false) & (p_values <= ALPHA)).mean() <= ALPHA


@pytest.mark.parametrize("of_seeds", [0.02, 0.2])
def test_all_claims_together_have_the_level_of_one(of_seeds):
    """As many tests as there are claims and kinds of text, every truth on its bound: any verdict at all is false."""
    rng, tests, trials = np.random.default_rng(1), 40, 500
    estimate = drawn(rng, 0.1, tests * trials, 24, 3, 0.05, of_seeds)
    _, p_values = verdicts.best_shown(estimate, EFFECT, 0.1)
    adjusted = verdicts.holm(p_values.reshape(trials, tests))
    assert (adjusted.min(axis=1) <= ALPHA).mean() <= ALPHA + 0.02


def test_satterthwaite_would_be_wrong_too_often_where_seeds_differ():
    estimate = drawn(np.random.default_rng(1), 0.0, 40_000, 24, 3, 0.05, 0.2)
    variances, degrees = (estimate.of_clusters, estimate.of_seeds), (23, 2)
    freedom = sum(variances) ** 2 / sum(each**2 / of for each, of in zip(variances, degrees, strict=True))
    p_values = 2 * t.sf(abs(estimate.value) / estimate.error, freedom)
    assert (p_values <= ALPHA).mean() > 0.06 and (p_values <= ALPHA / 40).mean() > 4 * ALPHA / 40


def routes_alike(rng: np.random.Generator, clusters: int, own: float = 0.01, layers: int = 10) -> np.ndarray:
    """Losses [clusters, routes] nats of all routes, the last all big, with equal true means: clusters differ, routes
    differ by their layers, and each by something of its own.
    """
    routes = np.arange(2**layers)[:, None] >> np.arange(layers) & 1
    by_layer = rng.normal(0, 0.4, (clusters, 1)) + rng.normal(0, 0.02, (clusters, layers)) @ routes.T
    return 4 + by_layer + rng.normal(0, own, by_layer.shape)


def judged_c4(less: np.ndarray, inflation: float = 2**0.5) -> tuple[np.ndarray, np.ndarray]:
    """Verdicts and p-values from all layers big less the best other [trials, clusters], each cluster's."""
    clusters = less.shape[1]
    errors = inflation * less.std(axis=1, ddof=1) / np.sqrt(clusters)
    return verdicts.best_shown(verdicts.pooled(less.mean(axis=1)[:, None], errors[:, None], clusters), BELOW, 0.01)


@pytest.mark.parametrize("own", [0.0, 0.1])
@pytest.mark.parametrize("clusters", [24, 48])
def test_c4_is_right_where_all_routes_are_equal(clusters, own):
    """The rule compares all layers big with the best of the others, chosen on the other half of the clusters."""
    rng, counts = np.random.default_rng(0), np.ones(clusters)
    trials = [routes_alike(rng, clusters, own) for _ in range(700)]
    less = np.array([losses[:, -1] - stats.kept(losses[:, :-1], counts) for losses in trials])
    assert abs(less.mean()) < 4 * less.mean(axis=1).std() / np.sqrt(len(less))
    for shift, false in ((0.0, (FAILS,)), (0.01, (HOLDS, FAILS))):  # nats that all layers big are worse
        found, p_values = judged_c4(less + shift)
        assert (np.isin(found, false) & (p_values <= ALPHA)).mean() <= ALPHA, shift


def test_c4_would_be_wrong_without_halves_and_without_their_error():
    rng, counts = np.random.default_rng(0), np.ones(24)
    trials = [routes_alike(rng, 24, 0.05) for _ in range(700)]
    less = np.array([losses[:, -1] - losses[:, losses[:, :-1].mean(axis=0).argmin()] for losses in trials])
    found, p_values = judged_c4(less, inflation=1.0)
    assert ((found == FAILS) & (p_values <= ALPHA)).mean() > 0.2, "the winner's curse"
    trials = [routes_alike(rng, 24, 0.0) for _ in range(700)]
    less = np.array([losses[:, -1] - stats.kept(losses[:, :-1], counts) for losses in trials])
    halves = [less[:, first::2].mean(axis=1) for first in (0, 1)]
    assert np.corrcoef(*halves)[0, 1] > 0.15, "what each half chooses for the other moves both"


def judged_c2(losses: np.ndarray, trial: int) -> str:
    """Verdict, at its level, on losses [clusters, budgets] of a model of 12 layers, with the root of two of halves."""
    clusters, curve = len(losses), dict(enumerate(losses.T))
    found = stats.intervals(
        lambda weights: {"": curves.distance_from_lowest(weights, curve, np.ones(clusters), 12)},
        clusters,
        100,
        0.95,
        np.random.default_rng(trial),
    )[""]
    estimate = verdicts.pooled(np.array([found.value]), np.array([2**0.5 * found.error]), clusters)
    return str(verdicts.given(*verdicts.best_shown(estimate, BELOW, 0.1), ALPHA))


@pytest.mark.parametrize("clusters", [24, 48])
def test_c2_finds_no_lowest_point_where_all_budgets_are_equal(clusters):
    rng = np.random.default_rng(0)
    found = [judged_c2(routes_alike(rng, clusters, layers=4)[:, :13], trial) for trial in range(150)]
    assert found.count(HOLDS) / 150 <= ALPHA


@pytest.mark.parametrize("own", [0.02, 0.1])
@pytest.mark.parametrize("clusters", [24, 48])
def test_c2_is_right_about_a_curve_that_is_flat_in_the_middle(clusters, own):
    """Both ends lie 0.4 nats above all other budgets, which are equal but for half of the layers."""
    rng, level = np.random.default_rng(1), np.repeat((0.4, 0.0, 0.4), (1, 11, 1))
    for shift, false in ((0.04, HOLDS), (0.0, FAILS)):  # of half of the layers, nats; a tenth of the depth is 0.04
        at_half = shift * (np.arange(13) == 6)
        trials = [level + at_half + routes_alike(rng, clusters, own, layers=4)[:, :13] for _ in range(150)]
        found = [judged_c2(losses, trial) for trial, losses in enumerate(trials)]
        assert found.count(false) / 150 <= ALPHA + 0.02, shift


def test_c2_is_undecided_where_half_of_the_layers_is_lowest_but_clusters_disagree_by_how_much():
    """Whatever each half of the clusters chooses: against itself, half of the layers would have no error at all."""
    losses = np.repeat((0.4, 0.0, 0.4), (1, 11, 1)) + np.zeros((6, 1))
    losses[:, 6] += np.array([-0.5, -0.5, 0.6, 0.5, -0.2, -0.1])
    assert [half.mean(axis=0).argmin() for half in (losses[::2], losses[1::2])] == [6, 6]
    assert judged_c2(losses, 0) == UNDECIDED


def power_table() -> list[list[str]]:
    """Cells of the table of powers in docs/claims.md, row by row."""
    text = (REPOSITORY / "docs/claims.md").read_text(encoding="utf-8")
    (part,) = re.findall(r"\| delta over the error \|.*?\n\|[-|]+\n((?:\|.*\n)+)", text)
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in part.splitlines()]


@pytest.mark.parametrize("row", power_table(), ids=lambda row: row[0])
def test_planted_effects_of_twice_the_smallest_are_found_as_often_as_the_docs_say(row):
    """A true effect of 2 delta, by how many standard errors delta is: of one test alone, and at Holm's first of 40."""
    steps, *powers = map(float, row)
    designs = [(clusters, alpha) for clusters in (24, 48) for alpha in (ALPHA, ALPHA / 40)]
    for (clusters, alpha), power in zip(designs, powers, strict=True):
        rng = np.random.default_rng(0)
        estimate = drawn(rng, 0.2, 8000, clusters, 1, 0.1 / steps, 0.0)
        found, p_values = verdicts.best_shown(estimate, EFFECT, 0.1)
        assert ((found == HOLDS) & (p_values <= alpha)).mean() == pytest.approx(power, abs=0.02), (clusters, alpha)
