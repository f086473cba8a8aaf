"""Ablations (paper, figure 8): Duo at a chance of the big FFN against dense models of equal FLOPs, and against a Duo
whose big FFNs were trained first and frozen. Models are compared with the Duo of their seed.

Two questions: what does sharing one set of weights among all routes cost, and must the big FFNs know that the small
ones exist? At every layer each token takes the big FFN with that chance. The random numbers depend on the seed and on
what is read, never on the model or on the chance, so the routes at a smaller chance are those at a larger one with
some big layers made small.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from duo import stats
from duo.data.evaluation_set import EvaluationSet
from duo.errors import InputError
from duo.stats import Interval, Intervals, Statistic, Study
from duo.studies import curves
from duo.tables.studies import ABLATION_CURVES, ABLATION_STATISTICS
from duo.training import variants

DUO = "duo"  # the kind of model that the others are compared with
WORDS = {"loss": "loss", "accuracy": "share of right choices"}  # of each measure


@dataclass(frozen=True)
class Compared:
    """One model in the comparison, and where it stands on the axis, which is Duo's chance of the big FFN."""

    name: str
    kind: str  # duo, dense or frozen, as in ABLATION_LOSSES
    seed: int  # of training
    chances: dict[float, float]  # by place on the axis, the chance of the big FFN that the model runs at there
    flops: dict[float, float]  # by place on the axis, floating-point operations per token


@dataclass(frozen=True)
class MeanCost:
    """Key of a model's mean cost at a place on the axis."""

    model: str
    p_big: float


def duo_against_dense(measure: str, budget: float) -> Statistic:
    """How much worse Duo is than the dense model of equal FLOPs, with so many big layers on average."""
    return _worse(measure, budget, {"duo": "Duo", "dense": "the dense model of equal FLOPs"})


def frozen_against_scratch(measure: str, budget: float) -> Statistic:
    """How much worse small FFNs added to a frozen model are than both trained at once, with so many big layers."""
    return _worse(measure, budget, {"frozen": "small FFNs added to a frozen model", "duo": "both FFNs from scratch"})


def _worse(measure: str, budget: float, names: dict[str, str]) -> Statistic:
    """How much worse the first kind of model is than the second, names their words: above 0 where it is worse.

    For losses its own less the other's, for accuracies the other's less its own.
    """
    worse, better = names
    subject, reference = (worse, better) if measure == "loss" else (better, worse)
    words = f"{WORDS[measure]} of {names[subject]}, less that of {names[reference]}"
    words += f", {budget:g} big layers per token on average"
    return Statistic(f"{measure}_difference", subject, reference, budget, words=words)


def nearness(measure: str) -> Statistic:
    """How much worse than a dense model Duo is with all layers big, as a share of that with all layers small.

    Below 1 where Duo nears dense as it takes more big FFNs; 1 where it is not behind with all layers small.
    """
    words = f"{WORDS[measure]}: how far Duo is behind dense models, all layers big, as a share of that, all small"
    return Statistic(f"{measure}_nearness", "duo", "dense", words=words)


NEARNESS = nearness("loss")
FROZEN_COST = Statistic(
    "frozen_cost",
    "frozen",
    "duo",
    words="loss of small FFNs added to a frozen model, less that of both FFNs from scratch, at the chance of the big "
    "FFN in training, as a share of what all layers big gain over all small",
)


def chances(kind: str, width: int, axis: Sequence[float], small: int, big: int) -> dict[float, float]:
    """By place on the axis, the chance of the big FFN that a model of this kind runs at there.

    A dense model, whose FFNs have the inner width `width`, stands where Duo does the same FLOPs; all others stand
    everywhere. small and big are the inner widths of Duo's FFNs.
    """
    if kind == "dense":
        return {variants.equal_chance(axis, width, small, big): 1.0}
    return {p_big: p_big for p_big in axis}


def compared(losses: pa.Table) -> list[Compared]:
    """The models of ABLATION_LOSSES, in the order of their rows."""
    columns = (losses[name].to_pylist() for name in ("model", "kind", "seed", "p_big", "chance", "flops"))
    models: dict[str, Compared] = {}
    for name, kind, seed, place, chance, flops in zip(*columns, strict=True):
        model = models.setdefault(name, Compared(name, kind, seed, {}, {}))
        model.chances[place], model.flops[place] = chance, flops
    return list(models.values())


def by_seed(models: Sequence[Compared]) -> list[list[Compared]]:
    """Models of one seed together, in order: its Duo, then what is compared with it."""
    groups = {model.seed: [model] for model in models if model.kind == "duo"}
    for model in models:
        if model.kind != "duo":
            groups[model.seed].append(model)
    return list(groups.values())


def loss_table(model: Compared, sample: EvaluationSet, losses: Mapping[float, np.ndarray]) -> pa.Table:
    """Columns of ABLATION_LOSSES for one model, from its losses [documents, length] in nats by place on the axis."""
    parts = []
    for place, chance in model.chances.items():
        count, length = losses[place].shape
        ids = {"model": [model.name] * count, "kind": [model.kind] * count, "seed": np.full(count, model.seed)}
        ids |= {
            "p_big": np.full(count, place),
            "chance": np.full(count, chance),
            "flops": np.full(count, model.flops[place]),
        }
        sizes = {"tokens": np.full(count, length), "loss_sum": losses[place].sum(axis=1)}
        parts.append(
            pa.table(ids | {"domain": sample.domains, "document": sample.documents, "cluster": sample.clusters} | sizes)
        )
    return pa.concat_tables(parts)


class AblationCosts(Study):
    """One domain by one measure, summed by cluster: what every model of a seed costs at every place on the axis.

    A cost is a token's loss in nats, or a wrong choice: 1 less the accuracy, so that less is better by both measures.
    models: Duo, then those that it is compared with; layers: Duo's; trained_at: the chance of the big FFN that it was
    trained at. sums [clusters] by MeanCost; counts [clusters]: over how many tokens or items a sum is.
    """

    def __init__(
        self,
        domain: str,
        measure: str,
        models: Sequence[Compared],
        layers: int,
        trained_at: float,
        sums: dict[MeanCost, np.ndarray],
        counts: np.ndarray,
    ) -> None:
        self.ids = {"model": models[0].name, "domain": domain}
        self.stream = ("ablation", measure)
        self.measure, self.models, self.layers, self.trained_at = measure, models, layers, trained_at
        self.sums, self.counts, self.clusters = sums, counts, len(counts)

    def means(self, weights: np.ndarray) -> stats.Numbers:
        """Mean costs by MeanCost, each [replicates], under weights [replicates, clusters]."""
        total = stats.weighted_sums(weights, self.counts)
        return {key: stats.weighted_sums(weights, sums) / total for key, sums in self.sums.items()}

    def numbers(self, weights: np.ndarray) -> stats.Numbers:
        means, duo = self.means(weights), self.models[0].name
        from_duo = curves.paired(means, {DUO: {key: means[MeanCost(duo, key.p_big)] for key in means}})
        return means | from_duo | contrasts(means, self.models, self.measure, self.layers) | self._frozen_cost(means)

    def _frozen_cost(self, means: stats.Numbers) -> stats.Numbers:
        """FROZEN_COST, where there is a frozen model, and Duo stands at the chance of training and at both ends."""
        duo = self.models[0].name
        frozen = [model.name for model in self.models if model.kind == "frozen"]
        ends = [MeanCost(duo, place) for place in (0.0, 1.0)]
        if self.measure != "loss" or not frozen or not {*ends, MeanCost(duo, self.trained_at)} <= set(means):
            return {}
        cost = means[MeanCost(frozen[0], self.trained_at)] - means[MeanCost(duo, self.trained_at)]
        depth = means[ends[0]] - means[ends[1]]
        return {FROZEN_COST: np.divide(cost, depth, out=np.zeros_like(cost), where=depth > 0)}

    def tables(self, estimates: Intervals) -> dict[Any, Any]:
        return {
            ABLATION_CURVES: [self._row(model, place, estimates) for model in self.models for place in model.chances],
            ABLATION_STATISTICS: self.rows(estimates, Statistic),
        }

    def _row(self, model: Compared, place: float, estimates: Intervals) -> dict[str, Any]:
        """Row of ABLATION_CURVES of one model at one place."""
        cost = MeanCost(model.name, place)
        (value, low, high), paired = estimates[cost], estimates[curves.LossFrom(cost, DUO)]
        if self.measure == "accuracy":
            value, low, high = 1 - value, 1 - high, 1 - low
            paired = Interval(-paired.value, -paired.high, -paired.low)
        ids = {"model": model.name, "kind": model.kind, "seed": model.seed, "p_big": place, "flops": model.flops[place]}
        measured = {"measure": self.measure, "value": value, "low": low, "high": high}
        return self.ids | ids | measured | stats.ends("from_duo", paired)


def gather(
    losses: pa.Table, answers: pa.Table, models: Sequence[Compared], layers: int, trained_at: float
) -> Iterable[AblationCosts]:
    """The study of every domain and seed of ABLATION_LOSSES by loss, then of HARNESS by accuracy."""
    for measured, costs in ((losses, loss_costs), (answers, error_costs)):
        for domain in measured["domain"].unique().to_pylist():
            part = measured.filter(pc.equal(measured["domain"], domain))
            for group in by_seed(models):
                of_group = pc.is_in(part["model"], pa.array([model.name for model in group]))
                yield costs(part.filter(of_group), domain, group, layers, trained_at)


def loss_costs(
    part: pa.Table, domain: str, models: Sequence[Compared], layers: int, trained_at: float
) -> AblationCosts:
    """The study of models of one seed on one domain by loss, from their part of ABLATION_LOSSES."""
    sums, counts = _summed(part, part["p_big"].to_numpy(), part["loss_sum"].to_numpy(), part["tokens"].to_numpy())
    return AblationCosts(domain, "loss", models, layers, trained_at, sums, counts)


def error_costs(
    part: pa.Table, domain: str, models: Sequence[Compared], layers: int, trained_at: float
) -> AblationCosts:
    """The study of models of one seed on one domain by accuracy, from their part of HARNESS."""
    places = {(model.name, p_big): place for model in models for place, p_big in model.chances.items()}
    runs = zip(part["model"].to_pylist(), part["p_big"].to_pylist(), strict=True)
    at = np.array([places[run] for run in runs])
    sums, counts = _summed(part, at, ~part["correct"].to_numpy(), np.ones(len(part)))
    return AblationCosts(domain, "accuracy", models, layers, trained_at, sums, counts)


def _summed(
    table: pa.Table, place: np.ndarray, cost: np.ndarray, count: np.ndarray
) -> tuple[dict[MeanCost, np.ndarray], np.ndarray]:
    """Costs by MeanCost and counts, [clusters] each, from rows of a model, cluster, place, cost and count."""
    names, model = np.unique(table["model"].to_numpy(), return_inverse=True)
    _, cluster = np.unique(table["cluster"].to_numpy(), return_inverse=True)
    sums = {}
    for index, name in enumerate(names):
        for at in np.unique(place[model == index]):
            rows = (model == index) & (place == at)
            sums[MeanCost(str(name), float(at))] = np.bincount(cluster[rows], cost[rows])
    return sums, np.bincount(cluster[rows], count[rows])  # the same tokens and items for every model and place


def contrasts(means: stats.Numbers, models: Sequence[Compared], measure: str, layers: int) -> stats.Numbers:
    """What claims C17 and C18 compare, from AblationCosts.means; each [replicates].

    InputError where two models of one kind stand at one place: their statistics could not be told apart.
    """
    duo, numbers = models[0].name, {}
    for model in models[1:]:
        for place in model.chances:
            mine, its = means[MeanCost(duo, place)], means[MeanCost(model.name, place)]
            if model.kind == "dense":
                key, worse = duo_against_dense(measure, place * layers), mine - its
            else:
                key, worse = frozen_against_scratch(measure, place * layers), its - mine
            if key in numbers:
                raise InputError(f"model {model.name}: another {model.kind} one stands at p_big {place:g}; compare one")
            numbers[key] = worse
    small, big = (duo_against_dense(measure, budget) for budget in (0.0, float(layers)))
    if {small, big} <= set(numbers):
        behind = numbers[small]
        numbers[nearness(measure)] = np.divide(numbers[big], behind, out=np.ones_like(behind), where=behind > 0)
    return numbers
