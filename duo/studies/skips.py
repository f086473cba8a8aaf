"""Figure 2d and claims C10, C19: what the oracle skips where every layer has its big FFN or none.

All routes with exactly k of the layers kept (big) are tried for every token; each token takes its best. The numbers
are over kept [documents, time, layers] bool, in which every token keeps k layers.
"""

import numpy as np
import pyarrow as pa

from duo import seeds, stats
from duo.data.evaluation_set import Sample
from duo.errors import InputError
from duo.oracle import select as oracle
from duo.routes import RouteSpace
from duo.terms import BIG, SKIP

CHOICES = (SKIP, BIG)


def select(model: str, sample: Sample, losses: np.ndarray, routes: np.ndarray, seed: int) -> pa.Table:
    """SKIPS of one model: each token's best route, among ties by chance, and what the route that serves a domain best
    gets.

    losses [documents, time, routes] nats of the sample's tokens under the routes with codes [routes]. InputError
    where one is not finite.
    """
    for domain, document, part in zip(sample.domains, sample.documents, losses, strict=True):
        if not np.isfinite(part).all():
            raise InputError(
                f"model {model}, domain {domain}, document {document}: a loss is not finite; train the model again"
            )
    rng = seeds.stream(seed, "skips")  # the same for every model, so that models differ by their losses alone
    flat = losses.reshape(-1, len(routes))
    own = oracle.lowest(flat, rng)
    domains = np.array(sample.domains)
    best = {
        domain: losses[domains == domain].mean(axis=(0, 1), dtype=np.float64).argmin()
        for domain in dict.fromkeys(sample.domains)
    }
    fixed = np.repeat([best[domain] for domain in sample.domains], losses.shape[1])
    rows = np.arange(len(flat))
    chosen = {
        "oracle_route": routes[own],
        "oracle_loss": flat[rows, own],
        "fixed_route": routes[fixed],
        "fixed_loss": flat[rows, fixed],
        "mean_loss": flat.mean(axis=1, dtype=np.float64).astype(np.float32),
    }
    return pa.table({"model": [model] * len(flat)} | sample.columns() | chosen)


def kept(selected: pa.Table, layers: int, documents: int) -> np.ndarray:
    """[documents, time, layers] bool: where the oracle's routes in a part of SKIPS, document by document, are big."""
    return _big(selected["oracle_route"].to_numpy(), layers).reshape(documents, -1, layers)


def kept_by_luck(losses: np.ndarray, routes: np.ndarray, layers: int, seed: int) -> np.ndarray:
    """[draws, documents, time, layers] bool: where the oracle's routes for sampled labels (duo.oracle.null) are big.

    losses [draws, documents, time, routes] nats of the sampled labels under the routes with codes [routes].
    """
    rng = seeds.stream(seed, "skips", "drawn labels")
    own = [oracle.lowest(each.reshape(-1, len(routes)), rng) for each in losses]
    return _big(routes[np.stack(own)], layers).reshape(*losses.shape[:-1], layers)


def _big(routes: np.ndarray, layers: int) -> np.ndarray:
    """[..., layers] bool of route codes [...]."""
    return RouteSpace(layers, CHOICES).big(routes)


def intervals(
    losses: np.ndarray, keeps: np.ndarray, by_luck: np.ndarray, resamples: int, confidence: float, seed: int
) -> dict:
    """Every number of one domain as an Interval: statistics by name, layers' kept shares by ("share", layer).

    losses [documents, time, routes] are nats; the fixed route is chosen anew in each replicate. by_luck is from
    `kept_by_luck`.
    """
    measured = [
        losses_of(losses),
        shares(keeps),
        consistency(keeps),
        early_exit(keeps),
        halves(keeps),
        consecutive(keeps),
    ]
    measured.append(consistency_less_luck(keeps, by_luck))

    def statistic(weights: np.ndarray) -> stats.Numbers:
        return {name: value for each in measured for name, value in each(weights).items()}

    return stats.intervals(statistic, len(keeps), resamples, confidence, seeds.stream(seed, "skips", "intervals"))


def losses_of(losses: np.ndarray):
    """Mean losses in nats a token of the oracle, the fixed route and the mean route; and oracle-fixed."""
    by_route = losses.mean(axis=1, dtype=np.float64)
    lowest = losses.min(axis=2).mean(axis=1, dtype=np.float64)

    def statistic(weights: np.ndarray) -> stats.Numbers:
        routes = _mean(weights, by_route)
        found = {"oracle": _mean(weights, lowest), "fixed": routes.min(axis=1), "mean": routes.mean(axis=1)}
        return found | {"oracle-fixed": found["oracle"] - found["fixed"]}

    return statistic


def shares(keeps: np.ndarray):
    """Share of tokens that keep each layer."""
    by_document = keeps.mean(axis=1)
    return lambda weights: {("share", layer): share for layer, share in enumerate(_mean(weights, by_document).T)}


def consistency(keeps: np.ndarray):
    """C10: variance between layers of the share of tokens that keep them, estimated without bias.

    Shares that chance alone sets apart would have a variance above 0 as well; the products of a layer's deviations in
    two different documents have the mean 0 then. The paper sees layers mostly kept and layers mostly skipped (figure
    2d): above 0.
    """
    deviations = keeps.mean(axis=1) - keeps.mean()  # every token keeps as many layers, so the mean is no estimate
    return lambda weights: {"consistency": _pairs(weights, deviations, deviations).mean(axis=1)}


def consistency_less_luck(keeps: np.ndarray, by_luck: np.ndarray):
    """C10: `consistency` of the oracle's choices for sampled labels by_luck [draws, documents, time, layers], and
    what is left without it.

    On sampled labels no choice is better than all big (duo.oracle.null); so layers that are kept there too are kept
    for their noise.
    """
    own, sampled = consistency(keeps), [consistency(each) for each in by_luck]

    def statistic(weights: np.ndarray) -> stats.Numbers:
        null = np.mean([each(weights)["consistency"] for each in sampled], axis=0)
        return {"null_consistency": null, "corrected_consistency": own(weights)["consistency"] - null}

    return statistic


def early_exit(keeps: np.ndarray):
    """C10: share of a token's (kept, skipped) pairs of layers in which the kept one lies below, less 0.75.

    1 is early exit, 0.5 no order; above 0 is nearer to early exit, below 0 nearer to no order, as the paper sees it
    (figure 2d).
    """
    skipped_above = (~keeps)[..., ::-1].cumsum(axis=-1)[..., ::-1]
    ordered = (keeps * skipped_above).sum(axis=-1)
    pairs = keeps.sum(axis=-1) * (~keeps).sum(axis=-1)
    by_document = (ordered / pairs).mean(axis=1)
    return lambda weights: {"early_exit": _mean(weights, by_document) - 0.75}


def halves(keeps: np.ndarray):
    """C19: correlation, over documents and layers, of a layer's skip share in the first and in the second half of the
    sequence.

    `halves` counts what layers have in common in all documents; its mean is 0 where each document's layers are
    shuffled. `halves-shuffled` is less the same where, for each layer apart, the positions of the second half are
    those of another document (exactly, over all pairs of documents): what is left is of the same sequence.
    `within_layer_halves-shuffled` takes the deviations from each layer's own mean, so that the preferred layers don't
    swell the variance that the correlation is of.
    """
    time = keeps.shape[1]
    first, second = (1 - keeps[:, half].mean(axis=1) for half in (slice(time // 2), slice(time // 2, None)))
    overall = 1 - keeps.mean()

    def statistic(weights: np.ndarray) -> stats.Numbers:
        together, apart = _mean(weights, first * second), _pairs(weights, first, second)
        means = _mean(weights, first), _mean(weights, second)
        squares = _mean(weights, first**2), _mean(weights, second**2)
        around_overall = [
            (square - 2 * overall * mean + overall**2).mean(axis=1) for square, mean in zip(squares, means, strict=True)
        ]
        around_own = [
            (square - _pairs(weights, half, half)).mean(axis=1)
            for square, half in zip(squares, (first, second), strict=True)
        ]
        beyond = (together - apart).mean(axis=1)
        return {
            "halves": _correlation((together - overall * sum(means) + overall**2).mean(axis=1), *around_overall),
            "halves-shuffled": _correlation(beyond, *around_overall),
            "within_layer_halves-shuffled": _correlation(beyond, *around_own),
        }

    return statistic


def consecutive(keeps: np.ndarray):
    """C19: correlation, over documents, positions and layers, of skipping a layer at a token and at the next one.

    `consecutive` counts what layers have in common; `consecutive-shuffled` is less the same where each document's
    positions are shuffled for each layer (exactly, over all orders), which keeps how often a document skips each
    layer: what is left is of neighbours. `within_layer_consecutive-shuffled` takes the deviations from each layer's
    own mean.
    """
    skipped = (~keeps).astype(np.float64)
    time = keeps.shape[1]
    overall = skipped.mean()
    totals = skipped.sum(axis=1)
    share = totals / time
    neighbours = (skipped[:, :-1] * skipped[:, 1:]).mean(axis=1)
    ends = (skipped[:, :-1] + skipped[:, 1:]).mean(axis=1) / 2
    any_two = totals * (totals - 1) / (time * (time - 1))  # mean product of two different positions

    def statistic(weights: np.ndarray) -> stats.Numbers:
        means = {
            name: _mean(weights, values)
            for name, values in (("share", share), ("pair", neighbours), ("end", ends), ("any", any_two))
        }

        def beyond_shuffled(centre: np.ndarray | float) -> np.ndarray:
            covariance = means["pair"] - means["any"] - 2 * centre * (means["end"] - means["share"])
            return _ratio(covariance.mean(axis=1), variance(centre))

        def variance(centre: np.ndarray | float) -> np.ndarray:
            return (means["share"] - 2 * centre * means["share"] + centre**2).mean(axis=1)

        return {
            "consecutive": _ratio(
                (means["pair"] - 2 * overall * means["end"] + overall**2).mean(axis=1), variance(overall)
            ),
            "consecutive-shuffled": beyond_shuffled(overall),
            "within_layer_consecutive-shuffled": beyond_shuffled(means["share"]),
        }

    return statistic


def _mean(weights: np.ndarray, by_document: np.ndarray) -> np.ndarray:
    """[replicates, ...] means of by_document [documents, ...]; all documents have as many tokens."""
    total = weights.sum(axis=1).reshape(-1, *[1] * (by_document.ndim - 1))
    return stats.weighted_sums(weights, by_document) / total


def _pairs(weights: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """[replicates, layers] means of first[d] * second[e] over all pairs of different documents, of [documents,
    layers] each.

    A document sampled twice makes no pair with itself. 0 in a replicate of one document alone.
    """
    squares = weights**2
    products = stats.weighted_sums(weights, first) * stats.weighted_sums(weights, second) - stats.weighted_sums(
        squares, first * second
    )
    return _ratio(products, (weights.sum(axis=1) ** 2 - squares.sum(axis=1))[:, None])


def _correlation(covariance: np.ndarray, *variances: np.ndarray) -> np.ndarray:
    """[replicates] from [replicates] each; a variance estimated below 0 is none."""
    first, second = (np.sqrt(np.maximum(variance, 0)) for variance in variances)
    return _ratio(covariance, first * second)


def _ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """numerator / denominator; 0 where nothing varies, and so nothing can go together."""
    numerator, denominator = np.broadcast_arrays(numerator, denominator)
    varies = denominator > 1e-12
    return np.divide(numerator, denominator, out=np.zeros_like(numerator), where=varies)


def heat_map(domain: str, keeps: np.ndarray, budget: int) -> pa.Table:
    """SKIP_HEAT_MAPS of one domain, without its model."""
    time, layers = keeps.shape[1:]
    cells = {"layer": np.repeat(np.arange(layers), time), "position": np.tile(np.arange(time), layers)}
    cells |= {"share": keeps.mean(axis=0).T.ravel()}
    return pa.table({"domain": [domain] * (time * layers), "budget": np.full(time * layers, budget)} | cells)


def layer_shares(domain: str, found: dict, budget: int) -> pa.Table:
    """SKIP_LAYERS of one domain, without its model."""
    shown = {name: interval for name, interval in found.items() if isinstance(name, tuple)}
    rows = [
        {"domain": domain, "budget": budget, "layer": layer} | _ends("share", each)
        for (_, layer), each in shown.items()
    ]
    return pa.Table.from_pylist(rows)


def statistics(domain: str, found: dict) -> pa.Table:
    """SKIP_STATISTICS of one domain, without its model."""
    shown = {name: interval for name, interval in found.items() if isinstance(name, str)}
    return pa.Table.from_pylist(
        [{"domain": domain, "name": name} | _ends("value", each) for name, each in shown.items()]
    )


def _ends(name: str, interval: stats.Interval) -> dict[str, float]:
    return {name: interval.value, "low": interval.low, "high": interval.high}
