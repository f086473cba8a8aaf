"""Is routing additive, and is the oracle more than the best of independent noise? From losses on all routes.

A token's loss is a function of L choices x_1 ... x_L, each 1 (big) or -1 (small). It is a sum of 2^L products of
choices, one for every set T of layers, with coefficients that are orthogonal over the routes (the Walsh-Hadamard
spectrum): the squares of those with |T| = r are the variance that interactions of r layers cause. If layers acted
independently of one another, only |T| = 1 would be there.

If instead the losses of n routes were independent and normal, of mean mu and standard deviation sigma, the lowest
would be mu - c(n) sigma in expectation. Routes of one budget share layers, so they are not independent; how many
independent ones would give the oracle's gain is their effective number.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from math import comb
from typing import Any

import numpy as np
import pyarrow as pa
from scipy.integrate import quad
from scipy.special import log_ndtr

from duo import stats
from duo.routes import RouteSpace
from duo.stats import Intervals, Statistic, Study
from duo.studies import all_routes
from duo.studies.all_routes import Sums
from duo.tables.studies import ORDER_STATISTICS, SHAPLEY, SPECTRUM, SPECTRUM_DISTANCES, SPECTRUM_STATISTICS

MOST = 1e9  # the effective number is looked for up to here, where c is 6


@dataclass(frozen=True)
class VarianceByOrder:
    """Key of the share of a token's variance over routes that interactions of so many layers cause."""

    order: int


@dataclass(frozen=True)
class VarianceByDistance:
    """Key of the share that one pair of layers so far apart causes, mean over the pairs."""

    distance: int


@dataclass(frozen=True)
class ShapleyValue:
    """Key of the Shapley value of a layer's big FFN, in nats gained per token."""

    layer: int


@dataclass(frozen=True)
class OverRoutes:
    """Key of a measure of a token's losses over the routes of a budget, mean over tokens.

    measure: mean, deviation, oracle, predicted (the oracle if routes were independent), either of these two less the
    mean, or effective (how many independent routes would give the oracle's gain).
    """

    measure: str
    budget: int


def walsh_hadamard(values: np.ndarray) -> np.ndarray:
    """[..., 2^L] coefficients of values [..., 2^L]: at code T the mean over all codes S of (-1)^|S and T| values[S].

    So a layer counts -1 where it is big: a coefficient of an odd number of layers is that of the gain, -loss, with
    big as 1.
    """
    count = values.shape[-1]
    coefficients = values.reshape(-1, count) / np.float64(count)
    step = 1
    while step < count:
        small, big = np.moveaxis(coefficients.reshape(len(coefficients), -1, 2, step), 2, 0)
        coefficients = np.stack([small + big, small - big], axis=2).reshape(-1, count)
        step *= 2
    return coefficients.reshape(values.shape)


def shapley(coefficients: np.ndarray, space: RouteSpace) -> np.ndarray:
    """[..., layers] Shapley values of the big FFNs, in nats gained, of walsh_hadamard's coefficients [..., routes].

    A product of the choices of T changes from (-1)^|T| (all small) to 1 (all big): by 2 where |T| is odd, else by 0.
    Its layers share that alike, and the value is additive, so a layer's is the sum of 2 / |T| times the coefficients
    of the odd T that hold it. The layers' values add up to all small less all big.
    """
    size = space.digits.sum(axis=1)
    odd = size % 2 == 1
    shares = space.digits[odd] * (2 / size[odd])[:, None]
    return np.einsum("...t,tl->...l", coefficients[..., odd], shares)


def expected_maximum(count: float) -> float:
    """c(n): the expected maximum of `count` independent standard normals; a real number of at least 1, 0 at 1."""
    above, _ = quad(lambda x: -np.expm1(count * log_ndtr(x)), 0, np.inf)
    below, _ = quad(lambda x: np.exp(count * log_ndtr(x)), -np.inf, 0)
    return above - below


def effective_number(gains: np.ndarray) -> np.ndarray:
    """How many independent normals have these expected maxima [...], in standard deviations.

    It is c inverted, between 1 and MOST.
    """
    counts, maxima = _inverse()
    return np.exp(np.interp(gains, maxima, np.log(counts)))


@cache
def _inverse() -> tuple[np.ndarray, np.ndarray]:
    """Counts and their expected maxima, close enough for straight lines over the logarithm of the count."""
    counts = np.geomspace(1, MOST, 400)
    return counts, np.array([expected_maximum(count) for count in counts])


def measure(losses: np.ndarray, space: RouteSpace, budgets: list[int]) -> dict[str, np.ndarray]:
    """What is known of each token, as arrays [tokens, ...], from its losses [tokens, routes] in order of code, in nats.

    orders: variance over all routes by number of layers that interact, 1 to L. distances: variance of pairs of layers
    by how far they lie apart, 1 to L - 1. shapley: by layer. additive: by budget, loss of the route that would be
    best if only the coefficients of single layers were there. mean, deviation, oracle: over_routes.
    """
    losses = losses.astype(np.float64)
    coefficients = walsh_hadamard(losses)
    variance = coefficients**2
    size = space.digits.sum(axis=1)
    distance = np.diff(np.nonzero(space.digits[size == 2])[1].reshape(-1, 2)).ravel()
    single = coefficients[:, space.encode(np.eye(space.layers))]
    return {
        "orders": _sums(variance, size, range(1, space.layers + 1)),
        "distances": _sums(variance[:, size == 2], distance, range(1, space.layers)),
        "shapley": shapley(coefficients, space),
        "additive": np.stack([_additive(losses, single, space, budget) for budget in budgets], axis=1),
    } | over_routes(losses, space, budgets)


def over_routes(losses: np.ndarray, space: RouteSpace, budgets: list[int]) -> dict[str, np.ndarray]:
    """Mean, standard deviation (of a sample, n - 1) and lowest of each token's losses over the routes of each budget.

    losses [tokens, routes] in nats, in order of code; returns arrays [tokens, budgets]. One route alone deviates by 0.
    """
    groups = [losses[:, space.with_budget(budget)] for budget in budgets]
    return {
        "mean": np.stack([group.mean(axis=1) for group in groups], axis=1),
        "deviation": np.stack([group.std(axis=1, ddof=min(1, group.shape[1] - 1)) for group in groups], axis=1),
        "oracle": np.stack([group.min(axis=1) for group in groups], axis=1),
    }


def _sums(values: np.ndarray, group: np.ndarray, groups: Iterable[int]) -> np.ndarray:
    """[tokens, groups] sums of values [tokens, columns] over the columns of each group."""
    return np.stack([values[:, group == number].sum(axis=1) for number in groups], axis=1)


def _additive(losses: np.ndarray, single: np.ndarray, space: RouteSpace, budget: int) -> np.ndarray:
    """[tokens] loss with the `budget` layers big whose own coefficients [tokens, layers] promise most.

    Of equals it is the first.
    """
    return losses[np.arange(len(losses)), space.highest(single, budget)]


class Spectrum(Study):
    """One model and domain: tokens [clusters], and every measure summed by cluster [clusters, ...]."""

    stream = ("spectrum",)

    def __init__(
        self, model: str, domain: str, budgets: list[int], tokens: np.ndarray, sums: dict[str, np.ndarray]
    ) -> None:
        self.ids = {"model": model, "domain": domain}
        self.budgets, self.tokens, self.sums = budgets, tokens, sums
        self.clusters, self.layers = len(tokens), sums["shapley"].shape[1]

    def means(self, weights: np.ndarray) -> dict[str, np.ndarray]:
        """[replicates, ...] means over tokens of every measure."""
        tokens = stats.weighted_sums(weights, self.tokens)[:, None]
        return {name: stats.weighted_sums(weights, sums) / tokens for name, sums in self.sums.items()}

    def numbers(self, weights: np.ndarray) -> stats.Numbers:
        means = self.means(weights)
        return (
            variances(means, self.layers)
            | additivity(means, self.layers, self.budgets)
            | order_statistics(means, self.layers, self.budgets)
        )

    def tables(self, estimates: Intervals) -> dict[Any, Any]:
        return {
            SPECTRUM: self.rows(estimates, VarianceByOrder),
            SPECTRUM_DISTANCES: self.rows(estimates, VarianceByDistance),
            SHAPLEY: self.rows(estimates, ShapleyValue),
            SPECTRUM_STATISTICS: self.rows(estimates, Statistic),
            ORDER_STATISTICS: [self.ids | order_row(estimates, self.layers, budget) for budget in self.budgets],
        }


def document_sums(table: pa.Table, space: RouteSpace, budgets: list[int]) -> Sums:
    """Tokens, and every measure summed over them, of each document in a shard of ROUTE_LOSSES."""
    return all_routes.document_sums(table, space, lambda losses: measure(losses, space, budgets), "spectrum")


def gather(model: str, sums: Sums, budgets: list[int]) -> list[Spectrum]:
    """The study of every domain of a model, from document_sums of all its shards."""
    return [Spectrum(model, name, budgets, tokens, totals) for name, tokens, totals in all_routes.domains(sums)]


def variances(means: dict[str, np.ndarray], layers: int) -> stats.Numbers:
    """Shares of variance and Shapley values, each [replicates], from Spectrum.means.

    A share is one of means over tokens, of the variance over all routes of a token's loss; 0 where nothing varies.
    """
    total = means["orders"].sum(axis=1)
    numbers = {VarianceByOrder(order): _share(part, total) for order, part in enumerate(means["orders"].T, 1)}
    numbers |= {
        VarianceByDistance(distance): _share(part, total) / (layers - distance)
        for distance, part in enumerate(means["distances"].T, 1)
    }
    return numbers | {ShapleyValue(layer): part for layer, part in enumerate(means["shapley"].T)}


def additivity(means: dict[str, np.ndarray], layers: int, budgets: list[int]) -> stats.Numbers:
    """What choosing by single layers reaches at every budget with a choice, each [replicates], from Spectrum.means."""
    numbers = {}
    for index, budget in enumerate(budgets):
        if comb(layers, budget) > 1:
            mean, additive, lowest = (means[name][:, index] for name in ("mean", "additive", "oracle"))
            numbers[additive_less_oracle(budget)] = additive - lowest
            numbers[additive_share(budget)] = _share(mean - additive, mean - lowest)
    return numbers


def order_statistics(means: dict[str, np.ndarray], layers: int, budgets: list[int]) -> stats.Numbers:
    """Every measure of OverRoutes at every budget, each [replicates], from means over tokens [replicates, budgets].

    As c is the same for all tokens, the mean prediction is that of the means; the effective number n solves
    c(n) mean(sigma) = mean(mu - oracle), and is 1 where nothing deviates.
    """
    numbers = {}
    for index, budget in enumerate(budgets):
        mean, deviation, oracle = (means[name][:, index] for name in ("mean", "deviation", "oracle"))
        gains = np.divide(mean - oracle, deviation, out=np.zeros_like(mean), where=deviation > 0)
        below = -expected_maximum(comb(layers, budget)) * deviation
        measures = {
            "mean": mean,
            "deviation": deviation,
            "oracle": oracle,
            "predicted": mean + below,
            "oracle_from_mean": oracle - mean,
            "predicted_from_mean": below,
            "effective": effective_number(gains),
        }
        numbers |= {OverRoutes(name, budget): values for name, values in measures.items()}
    return numbers


def order_row(estimates: Intervals, layers: int, budget: int) -> dict[str, float]:
    """The row of ORDER_STATISTICS at a budget, without model and domain."""
    routes = comb(layers, budget)
    row = {"budget": budget, "routes": routes, "expected_maximum": expected_maximum(routes)}
    row |= {name: estimates[OverRoutes(name, budget)].value for name in ("mean", "deviation")}
    for name in ("oracle", "predicted", "oracle_from_mean", "predicted_from_mean", "effective"):
        row |= stats.ends(name, estimates[OverRoutes(name, budget)])
    return row


def additive_less_oracle(budget: int) -> Statistic:
    """The loss of routes chosen by what each layer does by itself, less the oracle's."""
    words = f"routes at budget {budget} chosen by what each layer does by itself, less the oracle"
    return Statistic("difference", "additive", "oracle", budget, words=words)


def additive_share(budget: int) -> Statistic:
    """The part of the oracle's gain over the mean of all routes that such routes get."""
    words = (
        f"share of the oracle's gain over the mean of all routes at budget {budget} "
        "that choosing by what each layer does by itself gets"
    )
    return Statistic("gain_share", "additive", "oracle", budget, words=words)


def _share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)
