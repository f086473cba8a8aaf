import numpy as np
import pytest

from duo import stats
from duo.errors import InputError


def mean_of(sums: np.ndarray, tokens: np.ndarray):
    return lambda weights: {"mean": stats.weighted_sums(weights, sums) / stats.weighted_sums(weights, tokens)}


def interval(sums: np.ndarray, tokens: np.ndarray, seed: int = 0, resamples: int = 400) -> stats.Interval:
    return stats.intervals(mean_of(sums, tokens), len(sums), resamples, 0.9, np.random.default_rng(seed))["mean"]


def test_estimate_is_the_token_weighted_mean():
    assert interval(np.array([10.0, 2.0]), np.array([10.0, 1.0])).value == pytest.approx(12 / 11)


@pytest.mark.parametrize("clusters", [6, 24])
def test_interval_covers_the_true_mean_at_its_rate_with_few_clusters_too(clusters):
    rng = np.random.default_rng(0)
    tokens, trials = np.full(clusters, 10.0), 1000
    covered = 0
    for trial in range(trials):
        found = interval(rng.normal(3.0, 1.0, clusters) * 10, tokens, trial, 400)
        covered += found.low <= 3.0 <= found.high
    # 90 % is asked for; plain percentiles of six clusters cover 81 %.
    assert 0.87 <= covered / trials <= 0.93


def test_standard_error_is_that_of_a_mean_of_clusters():
    sums = np.random.default_rng(0).normal(size=12)
    found = interval(sums, np.ones(12), resamples=20_000)
    assert found.error == pytest.approx(sums.std(ddof=1) / np.sqrt(12), rel=0.02)


def test_cross_fitting_chooses_for_each_cluster_on_the_other_half():
    rng = np.random.default_rng(0)
    sums, counts = rng.normal(size=(7, 5)), rng.integers(1, 9, 7)
    even, odd = [0, 2, 4, 6], [1, 3, 5]
    on_even, on_odd = ((sums[half].sum(0) / counts[half].sum()).argmin() for half in (even, odd))
    assert on_even != on_odd
    assert stats.cross_fitted(sums, counts).tolist() == [on_odd, on_even, on_odd, on_even, on_odd, on_even, on_odd]
    assert stats.kept(sums, counts)[:2].tolist() == [sums[0, on_odd], sums[1, on_even]]
    with pytest.raises(InputError, match="at least 2"):
        stats.cross_fitted(sums[:1], counts[:1])


def misses(choose, trials: int = 400, clusters: int = 24, options: int = 50) -> tuple[float, float]:
    """Mean of the best option's estimates where all are truly 0, and how often its 95 % interval leaves out 0."""
    rng, estimates, missed = np.random.default_rng(0), [], 0
    for _ in range(trials):
        values = choose(rng.normal(size=(clusters, options)))
        error = values.std(ddof=1) / np.sqrt(clusters)
        estimates.append(values.mean())
        missed += abs(values.mean()) > 2.07 * error  # Student's quantile of 23 degrees of freedom
    return np.mean(estimates), missed / trials


def test_best_of_equal_options_is_no_better_once_another_half_chose_it_and_the_interval_says_so():
    counts = np.ones(24)
    mean, missed = misses(lambda sums: sums[:, sums.mean(axis=0).argmin()])
    assert mean < -0.3 and missed > 0.5  # the winner's curse
    mean, missed = misses(lambda sums: stats.kept(sums, counts))
    assert abs(mean) < 0.05 and missed < 0.08


def test_leaving_one_cluster_out_would_miss_far_too_often():
    def leave_one_out(sums):
        return sums[np.arange(len(sums)), (sums.sum(0) - sums).argmin(1)]

    mean, missed = misses(leave_one_out)
    assert abs(mean) < 0.1 and missed > 0.3
