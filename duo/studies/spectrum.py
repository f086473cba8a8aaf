"""Is routing additive? The Walsh-Hadamard spectrum of each token's losses over all routes (PAPER.md: where the paper
stops).

A token's loss is a function of L choices x_1 ... x_L, each 1 (big) or -1 (small). It is a sum of 2^L products of
choices, one for every set T of layers, with coefficients that are orthogonal over the routes: the squares of those
with |T| = r are the variance that interactions of r layers cause. If layers acted independently of one another, only
|T| = 1 would be there.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from math import comb

import numpy as np
import pyarrow as pa
from tqdm import tqdm

from duo import seeds, stats
from duo.oracle import select
from duo.routes import RouteSpace
from duo.studies import order_statistics

Sums = dict[
    tuple[str, str], tuple[int, dict[str, np.ndarray]]
]  # by (domain, document): tokens, and sums of each measure [...]


def walsh_hadamard(values: np.ndarray) -> np.ndarray:
    """[..., 2^L] coefficients of values [..., 2^L]: at code T the mean over all codes S of (-1)^|S and T| values[S].

    So a layer counts -1 where it is big: a coefficient of an odd number of layers is that of the gain, -loss, with
    big as 1.
    """
    count = values.shape[-1]
    found = values.reshape(-1, count) / np.float64(count)
    step = 1
    while step < count:
        small, big = np.moveaxis(found.reshape(len(found), -1, 2, step), 2, 0)
        found = np.stack([small + big, small - big], axis=2).reshape(-1, count)
        step *= 2
    return found.reshape(values.shape)


def shapley(coefficients: np.ndarray, space: RouteSpace) -> np.ndarray:
    """[..., layers] Shapley values of the big FFNs, in nats gained, of coefficients [..., routes] of losses
    (walsh_hadamard).

    A product of the choices of T changes from (-1)^|T| (all small) to 1 (all big): by 2 where |T| is odd, else by 0.
    Its layers share that alike, and the value is additive, so a layer's is the sum of 2 / |T| times the coefficients
    of the odd T that hold it. The layers' values add up to all small less all big.
    """
    size = space.digits.sum(axis=1)
    odd = size % 2 == 1
    shares = space.digits[odd] * (2 / size[odd])[:, None]
    return np.einsum("...t,tl->...l", coefficients[..., odd], shares)


def measure(losses: np.ndarray, space: RouteSpace, budgets: list[int]) -> dict[str, np.ndarray]:
    """What is known of each token, as arrays [tokens, ...], from its losses [tokens, routes] in order of code, in nats.

    orders: variance over all routes by number of layers that interact, 1 to L. distances: variance of pairs of layers
    by how far they lie apart, 1 to L - 1. shapley: by layer. additive: by budget, loss of the route that would be
    best if only the coefficients of single layers were there. And order_statistics.measure.
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
    } | order_statistics.measure(losses, space, budgets)


def _sums(values: np.ndarray, group: np.ndarray, groups: Iterable[int]) -> np.ndarray:
    """[tokens, groups] sums of values [tokens, columns] over the columns of each group."""
    return np.stack([values[:, group == each].sum(axis=1) for each in groups], axis=1)


def _additive(losses: np.ndarray, single: np.ndarray, space: RouteSpace, budget: int) -> np.ndarray:
    """[tokens] loss with the `budget` layers big whose own coefficients [tokens, layers] promise most; the first
    among equals.
    """
    return losses[np.arange(len(losses)), space.highest(single, budget)]


@dataclass(frozen=True)
class Domain:
    """One model's domain: tokens by document [documents], and every measure summed by document [documents, ...]."""

    model: str
    name: str
    tokens: np.ndarray
    sums: dict[str, np.ndarray]

    def means(self, weights: np.ndarray) -> dict[str, np.ndarray]:
        """[replicates, ...] means over tokens of every measure."""
        tokens = stats.weighted_sums(weights, self.tokens)[:, None]
        return {name: stats.weighted_sums(weights, sums) / tokens for name, sums in self.sums.items()}

    def intervals(self, layers: int, budgets: list[int], resamples: int, confidence: float, seed: int) -> dict:
        """`numbers` and order_statistics.numbers, each an Interval. Same seed, same replicates."""

        def statistic(weights: np.ndarray) -> stats.Numbers:
            means = self.means(weights)
            return numbers(means, layers, budgets) | order_statistics.numbers(means, layers, budgets)

        return stats.intervals(statistic, len(self.tokens), resamples, confidence, seeds.stream(seed, "spectrum"))


def document_sums(table: pa.Table, space: RouteSpace, budgets: list[int]) -> Sums:
    """Tokens, and every measure summed over them, of each document in a shard of ROUTE_LOSSES; one document is worked
    on at a time.
    """
    found = {}
    for domain, document, rows, losses in tqdm(
        select.by_document(table, space), "spectrum", unit=" documents", disable=None
    ):
        sums = {name: values.sum(axis=0) for name, values in measure(losses, space, budgets).items()}
        found[domain, document] = (rows.stop - rows.start, sums)
    return found


def domains(model: str, sums: Sums) -> list[Domain]:
    """Every domain of a model, from document_sums of all its shards."""
    found = []
    for name in dict.fromkeys(domain for domain, _ in sums):
        tokens, measures = zip(*(sums[key] for key in sorted(sums) if key[0] == name), strict=True)
        found.append(
            Domain(
                model, name, np.array(tokens), {key: np.stack([each[key] for each in measures]) for key in measures[0]}
            )
        )
    return found


def numbers(means: dict[str, np.ndarray], layers: int, budgets: list[int]) -> stats.Numbers:
    """Shares of variance, Shapley values and what additive choices reach, each [replicates]; means as Domain.means.

    A share is one of means over tokens, of the variance over all routes of a token's loss (0 where nothing varies):
    by ("order", r), and by ("distance", d) the mean share of one pair of layers that far apart. Shapley values in
    nats by ("layer", layer). By name, at each budget with a choice, `additive_k-oracle_k` in nats and
    `additive_share_k`, (mean - additive) / (mean - oracle).
    """
    total = means["orders"].sum(axis=1)
    found = {("order", order): _share(part, total) for order, part in enumerate(means["orders"].T, 1)}
    found |= {
        ("distance", far): _share(part, total) / (layers - far) for far, part in enumerate(means["distances"].T, 1)
    }
    found |= {("layer", layer): part for layer, part in enumerate(means["shapley"].T)}
    for index, budget in enumerate(budgets):
        if comb(layers, budget) > 1:
            mean, additive, lowest = (means[name][:, index] for name in ("mean", "additive", "oracle"))
            found[f"additive_{budget}-oracle_{budget}"] = additive - lowest
            found[f"additive_share_{budget}"] = _share(mean - additive, mean - lowest)
    return found


def _share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)


def table(domain: Domain, found: dict, key: str) -> pa.Table:
    """Of one domain SPECTRUM (key "order"), SPECTRUM_DISTANCES ("distance") or SHAPLEY ("layer")."""
    return _table(domain, [{key: name[1], **found[name]._asdict()} for name in found if name[0] == key])


def statistics(domain: Domain, found: dict) -> pa.Table:
    """SPECTRUM_STATISTICS of one domain."""
    return _table(domain, [{"name": name, **found[name]._asdict()} for name in found if isinstance(name, str)])


def order_table(domain: Domain, found: dict, layers: int, budgets: list[int]) -> pa.Table:
    """ORDER_STATISTICS of one domain."""
    return _table(domain, order_statistics.rows(found, layers, budgets))


def _table(domain: Domain, rows: list[dict]) -> pa.Table:
    return pa.Table.from_pylist([{"model": domain.model, "domain": domain.name} | row for row in rows])
