"""Ablations (paper, figure 8): Duo at a chance of the big FFN against dense models of equal FLOPs, and against frozen
big FFNs.

At every layer each token takes the big FFN with that chance. The draws depend on the seed and on what is read, never
on the model or on the chance, so the routes at a smaller chance are those at a larger one with some big layers made
small.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
import torch.nn.functional as F
from torch import Tensor

from duo import stats
from duo.data.evaluation_set import Sample
from duo.model.device import Device
from duo.model.transformer import Duo, Shape, forward_flops
from duo.seeds import stream
from duo.settings import Ablation, Bootstrap
from duo.training import pretrain

BATCH = 16  # documents computed at once


@dataclass(frozen=True)
class Compared:
    """One model in the comparison, and where it stands."""

    name: str
    kind: str  # duo, dense or frozen, as artifacts.ABLATION_LOSSES
    shape: Shape
    chances: dict[float, float]  # place on the axis: chance of the big FFN that the model is run at


def compared(name: str, kind: str, shape: Shape, settings: Ablation, small: int, big: int) -> Compared:
    """A dense model stands where Duo, whose FFNs have the inner widths small and big, does the same FLOPs; the others
    at every chance.
    """
    if kind == "dense":
        return Compared(name, kind, shape, {settings.chance(shape.big, small, big): 1.0})
    return Compared(name, kind, shape, {p: p for p in settings.p_big})


@torch.no_grad()
def final_streams(model: Duo, tokens: Tensor, draws: np.ndarray, p_big: float) -> Tensor:
    """Last residual streams [batch, time, width] of tokens [batch, time], big where draws [batch, time, layers] are
    below p_big.
    """
    by_layer = draws.reshape(-1, draws.shape[-1]).T
    positions = model.positions(tokens.shape[1])
    x = model.embed(tokens)
    for layer, grouping in zip(model.layers, pretrain.group(by_layer, p_big, 0.0, tokens.device), strict=True):
        x = layer(x, positions, grouping)
    return x


def losses(model: Duo, sample: Sample, p_big: float, draws: int, device: Device, seed: int) -> np.ndarray:
    """Loss in nats of every token of the sample, [documents, time]: the mean over `draws` random routings."""
    shape = (sample.labels.shape[1], len(model.layers))
    tokens, labels = (torch.from_numpy(each).to(device.name) for each in (sample.tokens, sample.labels))
    tried = draws if 0 < p_big < 1 else 1  # else there is one route
    total = np.zeros(sample.labels.shape)
    for draw in range(tried):
        documents = zip(sample.domains, sample.documents, strict=True)
        routing = np.stack([stream(seed, "routes", draw, *names).random(shape, np.float32) for names in documents])
        for start in range(0, len(tokens), BATCH):
            part = slice(start, start + BATCH)
            with device.autocast():
                logits = model.logits(final_streams(model, tokens[part], routing[part], p_big))
            total[part] += F.cross_entropy(logits.float().transpose(1, 2), labels[part], reduction="none").cpu().numpy()
    return total / tried


def loss_table(of: Compared, model: Duo, sample: Sample, draws: int, device: Device, seed: int) -> pa.Table:
    """Columns of artifacts.ABLATION_LOSSES for one model."""
    parts = []
    for place, p_big in of.chances.items():
        sums = losses(model, sample, p_big, draws, device, seed).sum(axis=1)
        count = len(sums)
        ids = {"model": [of.name] * count, "kind": [of.kind] * count, "p_big": np.full(count, place)}
        sizes = {"tokens": np.full(count, sample.labels.shape[1]), "loss_sum": sums}
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
    """Losses in nats, of one domain of artifacts.ABLATION_LOSSES."""
    part = table.filter(pc.equal(table["domain"], domain))
    return _costs(part, part["p_big"].to_numpy(), part["loss_sum"].to_numpy(), part["tokens"].to_numpy())


def error_costs(table: pa.Table, domain: str, models: list[Compared]) -> Costs:
    """Wrong choices, of one domain of artifacts.HARNESS: 1 less the accuracy, and so a cost like a loss."""
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
    """Columns of artifacts.ABLATION_CURVES of one domain and measure, from `evaluate`."""
    rows = []
    for of in models:
        for place, p_big in of.chances.items():
            value, low, high = found[of.name, place]
            if measure == "accuracy":
                value, low, high = 1 - value, 1 - high, 1 - low
            flops = forward_flops(of.shape, of.shape.sequence, p_big * of.shape.layers)
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
    """Columns of artifacts.ABLATION_STATISTICS of one domain and measure, from `evaluate`."""
    ids = {"model": models[0].name, "domain": domain}
    return pa.Table.from_pylist(
        [ids | {"name": name} | found[name]._asdict() for name in found if isinstance(name, str)]
    )
