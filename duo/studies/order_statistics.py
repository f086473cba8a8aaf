"""What the oracle would get if the routes' losses were independent noise around each token's mean (PAPER.md: where
the paper stops).

The lowest of n normal losses of mean mu and standard deviation sigma is mu - c(n) sigma in expectation. Routes of one
budget share layers, so they are not independent; how many independent ones would give the same gain is their
effective number.
"""

from functools import cache
from math import comb

import numpy as np
from scipy.integrate import quad
from scipy.special import log_ndtr

from duo import stats
from duo.routes import RouteSpace

MOST = 1e9  # the effective number is looked for up to here, where c is 6


def expected_maximum(count: float) -> float:
    """c(n): the expected maximum of `count` independent standard normals; a real number of at least 1, 0 at 1."""
    above, _ = quad(lambda x: -np.expm1(count * log_ndtr(x)), 0, np.inf)
    below, _ = quad(lambda x: np.exp(count * log_ndtr(x)), -np.inf, 0)
    return above - below


def effective_number(gains: np.ndarray) -> np.ndarray:
    """How many independent normals have these expected maxima [...], in standard deviations: c inverted, between 1
    and MOST.
    """
    counts, maxima = _inverse()
    return np.exp(np.interp(gains, maxima, np.log(counts)))


@cache
def _inverse() -> tuple[np.ndarray, np.ndarray]:
    """Counts and their expected maxima, close enough for straight lines over the logarithm of the count."""
    counts = np.geomspace(1, MOST, 400)
    return counts, np.array([expected_maximum(count) for count in counts])


def measure(losses: np.ndarray, space: RouteSpace, budgets: list[int]) -> dict[str, np.ndarray]:
    """Mean, standard deviation (of a sample, n - 1) and lowest of each token's losses over the routes of each budget.

    losses [tokens, routes] in nats, in order of code; each [tokens, budgets]. One route alone deviates by 0.
    """
    groups = [losses[:, space.with_budget(budget)] for budget in budgets]
    return {
        "mean": np.stack([group.mean(axis=1) for group in groups], axis=1),
        "deviation": np.stack([group.std(axis=1, ddof=min(1, group.shape[1] - 1)) for group in groups], axis=1),
        "oracle": np.stack([group.min(axis=1) for group in groups], axis=1),
    }


def numbers(means: dict[str, np.ndarray], layers: int, budgets: list[int]) -> stats.Numbers:
    """The measures, predicted loss and effective number by (name, budget), each [replicates].

    means: by measure the means over tokens, [replicates, budgets]. As c is the same for all tokens, the mean
    prediction is that of the means; the effective number n solves c(n) mean(sigma) = mean(mu - oracle), and is 1
    where nothing deviates.
    """
    found = {}
    for index, budget in enumerate(budgets):
        mean, deviation, oracle = (means[name][:, index] for name in ("mean", "deviation", "oracle"))
        gains = np.divide(mean - oracle, deviation, out=np.zeros_like(mean), where=deviation > 0)
        predicted = mean - expected_maximum(comb(layers, budget)) * deviation
        found |= {("mean", budget): mean, ("deviation", budget): deviation, ("oracle", budget): oracle}
        found |= {("predicted", budget): predicted, ("effective", budget): effective_number(gains)}
    return found


def rows(found: dict, layers: int, budgets: list[int]) -> list[dict]:
    """ORDER_STATISTICS of one model and domain, without the columns that name these, from the intervals of `numbers`."""
    table = []
    for budget in budgets:
        row = {
            "budget": budget,
            "routes": comb(layers, budget),
            "expected_maximum": expected_maximum(comb(layers, budget)),
        }
        row |= {name: found[name, budget].value for name in ("mean", "deviation")}
        for name in ("oracle", "predicted", "effective"):
            estimate = found[name, budget]
            row |= {name: estimate.value, f"{name}_low": estimate.low, f"{name}_high": estimate.high}
        table.append(row)
    return table
