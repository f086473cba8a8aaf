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


def test_interval_covers_the_true_mean_at_its_rate():
    rng = np.random.default_rng(0)
    tokens = np.full(40, 10.0)
    covered = 0
    for trial in range(200):
        found = interval(rng.normal(3.0, 1.0, 40) * 10, tokens, trial, 200)
        covered += found.low <= 3.0 <= found.high
    assert 0.82 <= covered / 200 <= 0.93


def test_interval_is_wider_where_tokens_of_a_document_are_alike():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(50, 20))
    tokens = np.full(50, 20.0)
    independent = interval(values.sum(axis=1), tokens)
    alike = interval(values[:, 0] * 20, tokens)
    ratio = (alike.high - alike.low) / (independent.high - independent.low)
    assert ratio == pytest.approx(20**0.5, rel=0.35)


def test_numbers_share_their_replicates_so_a_difference_is_paired():
    rng = np.random.default_rng(0)
    noisy, tokens = rng.normal(5, 3, 30), np.ones(30)

    def statistic(weights):
        first, second = (mean_of(sums, tokens)(weights)["mean"] for sums in (noisy + 0.1, noisy))
        return {"first": first, "difference": first - second}

    found = stats.intervals(statistic, 30, 300, 0.95, np.random.default_rng(1))
    assert found["first"].high - found["first"].low > 1
    assert found["difference"] == pytest.approx((0.1, 0.1, 0.1))


def test_seed_decides_the_interval():
    sums, tokens = np.random.default_rng(0).normal(size=20), np.ones(20)
    assert interval(sums, tokens, 1) == interval(sums, tokens, 1) != interval(sums, tokens, 2)


def test_no_variance_gives_no_width_and_one_document_is_an_error():
    assert interval(np.full(5, 3.0), np.ones(5)) == pytest.approx((3.0, 3.0, 3.0))
    with pytest.raises(InputError, match="at least 2"):
        interval(np.ones(1), np.ones(1))
