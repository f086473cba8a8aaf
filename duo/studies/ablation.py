"""Ablations (paper, figure 8): Duo under random routes against dense models of equal FLOPs, and against a Duo whose
big FFNs were trained first and frozen.

Two questions: what does sharing one set of weights among all routes cost, and must the big FFNs know that the small
ones exist? duo.training.ablation_losses computes the losses that are compared here.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from duo import stats
from duo.data.evaluation_set import EvaluationSet
from duo.seeds import stream
from duo.settings import Ablation, Bootstrap


@dataclass(frozen=True)
class Compared:
    """One model in the comparison, and where it stands on the axis, which is Duo's chance of the big FFN."""

    name: str
    kind: str  # duo, dense or frozen, as in ABLATION_LOSSES
    chances: dict[float, float]  # by place on the axis, the chance of the big FFN that the model runs at there
    flops: dict[float, float]  # by place on the axis, floating-point operations per token


def chances(kind: str, width: int, settings: Ablation, small: int, big: int) -> dict[float, float]:
    """By place on the axis, the chance of the big FFN that a model of this kind runs at there.

    A dense model, whose FFNs have the inner width `width`, stands where Duo does the same FLOPs; all others stand at
    every chance of `settings`. small and big are the inner widths of Duo's FFNs.
    """
    if kind == "dense":
        return {settings.chance(width, small, big): 1.0}
    return {p_big: p_big for p_big in settings.p_big}


def loss_table(model: Compared, sample: EvaluationSet, losses: Mapping[float, np.ndarray]) -> pa.Table:
    """Columns of ABLATION_LOSSES for one model, from its losses [documents, length] in nats by place on the axis."""
    parts = []
    for place in model.chances:
        count, length = losses[place].shape
        ids = {"model": [model.name] * count, "kind": [model.kind] * count, "p_big": np.full(count, place)}
        sizes = {"tokens": np.full(count, length), "loss_sum": losses[place].sum(axis=1)}
        parts.append(pa.table(ids | {"domain": sample.domains, "document": sample.documents} | sizes))
    return pa.concat_tables(parts)


Key = tuple[str, float]  # a model's name and its place on the axis


@dataclass(frozen=True)
class Costs:
    """One domain, by document: a cost summed over each document for every model and place, and over how many tokens
    or items.
    """

    sums: dict[Key, np.ndarray]  # [documents]
    counts: np.ndarray  # [documents]

    def numbers(self, weights: np.ndarray) -> dict[Key, np.ndarray]:
        """Mean cost of every model and place, [replicates], under weights [replicates, documents]."""
        total = stats.weighted_sums(weights, self.counts)
        return {key: stats.weighted_sums(weights, each) / total for key, each in self.sums.items()}


def loss_costs(table: pa.Table, domain: str) -> Costs:
    """Losses in nats, of one domain of ABLATION_LOSSES."""
    part = table.filter(pc.equal(table["domain"], domain))
    return _costs(part, part["p_big"].to_numpy(), part["loss_sum"].to_numpy(), part["tokens"].to_numpy())


def error_costs(table: pa.Table, domain: str, models: list[Compared]) -> Costs:
    """Wrong choices, of one domain of HARNESS: 1 less the accuracy, and so a cost like a loss."""
    part = table.filter(pc.equal(table["domain"], domain))
    places = {(of.name, p_big): place for of in models for place, p_big in of.chances.items()}
    run = zip(part["model"].to_pylist(), part["p_big"].to_pylist(), strict=True)
    return _costs(part, np.array([places[each] for each in run]), ~part["correct"].to_numpy(), np.ones(len(part)))


def _costs(table: pa.Table, place: np.ndarray, cost: np.ndarray, count: np.ndarray) -> Costs:
    names, model = np.unique(table["model"].to_numpy(), return_inverse=True)
    _, document = np.unique(table["document"].to_numpy(), return_inverse=True)
    sums = {}
    for index, name in enumerate(names):
        for each in np.unique(place[model == index]):
            rows = (model == index) & (place == each)
            sums[str(name), float(each)] = np.bincount(document[rows], cost[rows])
    return Costs(sums, np.bincount(document[rows], count[rows]))  # the same tokens and items for every model and place


# What is compared, worse first where the cost is a loss; for accuracy the names turn, and the difference of errors
# stays the same.
_NAMES = {
    ("dense", "loss"): "duo-dense",
    ("dense", "accuracy"): "dense-duo",
    ("frozen", "loss"): "frozen-scratch",
    ("frozen", "accuracy"): "scratch-frozen",
}


def contrasts(means: dict[Key, np.ndarray], models: list[Compared], measure: str) -> dict[str, np.ndarray]:
    """What claims C17 and C18 compare, from Costs.numbers; the names end in the place on the axis and the measure.

    Positive where Duo is worse than a dense model, and where a frozen one is worse than Duo. nearness_MEASURE is
    Duo's deficit to dense at chance 1 less half of that at chance 0: negative where Duo nears dense as it takes more
    big FFNs.
    """
    duo, found, deficits = models[0].name, {}, {}
    for of in models[1:]:
        for place in of.chances:
            worse, better = ((duo, place), (of.name, place)) if of.kind == "dense" else ((of.name, place), (duo, place))
            difference = means[worse] - means[better]
            found[f"{_NAMES[of.kind, measure]}_{place:.2f}_{measure}"] = difference
            if of.kind == "dense":
                deficits[place] = difference
    if {0.0, 1.0} <= set(deficits):
        found[f"nearness_{measure}"] = deficits[1.0] - deficits[0.0] / 2
    return found


def evaluate(costs: Costs, models: list[Compared], measure: str, settings: Bootstrap, seed: int) -> dict:
    """Intervals of the mean costs, by Key, and of the contrasts, by name, from the same replicates."""

    def statistic(weights: np.ndarray) -> stats.Numbers:
        means = costs.numbers(weights)
        return means | contrasts(means, models, measure)

    return stats.intervals(
        statistic, len(costs.counts), settings.resamples, settings.confidence, stream(seed, "ablation", measure)
    )


def curves(domain: str, measure: str, found: dict, models: list[Compared]) -> pa.Table:
    """Columns of ABLATION_CURVES of one domain and measure, from `evaluate`."""
    rows = []
    for of in models:
        for place, flops in of.flops.items():
            value, low, high = found[of.name, place]
            if measure == "accuracy":
                value, low, high = 1 - value, 1 - high, 1 - low
            row = {
                "model": of.name,
                "kind": of.kind,
                "domain": domain,
                "measure": measure,
                "p_big": place,
                "flops": flops,
            }
            rows.append(row | {"value": value, "low": low, "high": high})
    return pa.Table.from_pylist(rows)


def statistics(domain: str, found: dict, models: list[Compared]) -> pa.Table:
    """Columns of ABLATION_STATISTICS of one domain and measure, from `evaluate`."""
    ids = {"model": models[0].name, "domain": domain}
    return pa.Table.from_pylist(
        [ids | {"name": name} | found[name]._asdict() for name in found if isinstance(name, str)]
    )
