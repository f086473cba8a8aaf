"""What the oracle gains, and what is left of it once selection bias is taken off; with intervals over documents.

The oracle chooses by the loss on the true label, so part of its gain is selection bias: the lowest of many losses is
low even where routes differ by chance alone. Labels that are sampled from the model's own predictions under a reference
route measure it. In nats per token, at budget k, with L the loss of the reference route:

    gain(k)             L on the true labels, less the oracle's loss on them
    gain(k), sampled    L on the sampled labels, less the oracle's loss on them, mean over the samples
    selection bias(k)   on the sampled labels, loss of the route of lowest expected loss, less the oracle's loss
    corrected loss(k)   the oracle's loss on the true labels, plus the selection bias
    normalised loss(k)  the oracle's loss plus log Z, Z being the sum over the vocabulary of the highest probability of
                        any route of the budget
    ceiling(k)          loss, on the true labels, of the route of lowest expected loss under a teacher's predictions
    calibration         L on the sampled labels, less L on the true ones: below 0 where the model is overconfident; the
                        sampled labels are then easier to foresee than the true ones, and show less selection bias

On sampled labels no route is better in expectation than the reference route, so the gain there is all selection bias
and the price of the budget. True less sampled gain is 0 in expectation if the true labels came from the same
predictions; but the reference route has no budget to keep to, so both hold what fewer big layers cost. The selection
bias is of choosing alone, 0 where there is no choice. The corrected loss is no bound for a router: who knows more owes
less to selection bias, so the two don't add up. All numbers are of the same documents, replicate by replicate.

A statistic that a claim rests on stands here for true, for sampled labels, and corrected: for what is read off the
oracle's curve the same read off the corrected loss (`contrasts`), for the depth bias the difference of the two, for
tokens without gain see `without_gain`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import exp
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from duo import stats
from duo.routes import RouteSpace, route_name
from duo.settings import SampledLabels
from duo.stats import Intervals, Statistic, Study
from duo.studies import oracle_curves
from duo.studies.difficulty import HIGH, NO_GAIN, WITHOUT_GAIN
from duo.tables import files
from duo.tables.studies import GAIN_CURVES, GAIN_HEAT_MAPS, GAIN_LAYERS, GAIN_STATISTICS
from duo.terms import BIG, CORRECTED, DIFFERENCE, OTHERS, SAMPLED, TRUE

# What is said of a statistic's other labels.
ON_SAMPLED, WITHOUT_BIAS = "on sampled labels", "selection bias taken off"
BANDS = 20  # of equally many sampled labels, by loss: a true label's selection bias is that of the sampled in its band
SHOWN = ("oracle", "null", "corrected", "normalised", "fixed", "ceiling")  # strategies of GAIN_CURVES, in order


@dataclass(frozen=True)
class GainLoss:
    """Key of a mean loss at a budget; teacher: whose predictions choose, where the strategy is ceiling."""

    strategy: str
    budget: int
    teacher: str = ""


@dataclass(frozen=True)
class LabelShare:
    """Key of the share of tokens (and samples) whose oracle route is big at a layer, or of a difference of shares."""

    labels: str
    budget: int
    layer: int


class Gain(Study):
    """One model's gain on one domain: losses and big layers summed by document, documents in order of id."""

    stream = oracle_curves.OracleCurves.stream  # of the same replicates as the numbers that the claims rest on

    def __init__(
        self,
        curves: oracle_curves.OracleCurves,
        settings: SampledLabels,
        losses: dict[GainLoss, np.ndarray],
        references: dict[str, np.ndarray],
        big: dict[tuple[str, int], np.ndarray],
        heat: dict[tuple[str, int], np.ndarray],
        without_gain: dict[Statistic, Callable[[np.ndarray], np.ndarray]],
    ) -> None:
        """losses: [documents] nats by key. references: [documents] nats of the reference route, by labels. big:
        [documents, layers] tokens whose oracle route is big, by labels and budget; heat: [layers, positions] shares of
        documents, likewise. without_gain: functions of weights by statistic.
        """
        self.ids, self.clusters = curves.ids, curves.clusters
        self.curves, self.settings, self.losses, self.references = curves, settings, losses, references
        self.big, self.heat, self.without_gain = big, heat, without_gain
        self.budgets, self.layers = list(curves.budgets), curves.layers

    def numbers(self, weights: np.ndarray) -> stats.Numbers:
        tokens = stats.weighted_sums(weights, self.curves.tokens)
        losses = {key: stats.weighted_sums(weights, sums) / tokens for key, sums in self.losses.items()}
        references = {labels: stats.weighted_sums(weights, sums) / tokens for labels, sums in self.references.items()}
        means = self.curves.means(weights)
        for k in self.budgets:
            losses[GainLoss("fixed", k)] = means[oracle_curves.Loss("fixed", k)]
            corrected = losses[GainLoss("oracle", k)] + losses[GainLoss("label_free", k)] - losses[GainLoss("null", k)]
            losses[GainLoss("corrected", k)] = corrected
        shares = {key: stats.weighted_sums(weights, sums).T / tokens for key, sums in self.big.items()}
        for k in self.budgets:
            shares[DIFFERENCE, k] = shares[TRUE, k] - shares[SAMPLED, k]
        numbers = losses | {GainLoss(route_name(self.settings.reference), self._reference_budget): references[TRUE]}
        numbers |= {
            LabelShare(labels, budget, layer): values
            for (labels, budget), by_layer in shares.items()
            for layer, values in enumerate(by_layer)
        }
        numbers |= self._gains(losses, references) | self._contrasts(losses) | depth_biases(shares)
        return numbers | {statistic: share(weights) for statistic, share in self.without_gain.items()}

    def tables(self, estimates: Intervals) -> dict[Any, Any]:
        order = {strategy: index for index, strategy in enumerate((*SHOWN, route_name(self.settings.reference)))}
        curves = [row for row in self.rows(estimates, GainLoss, "loss") if row["strategy"] in order]
        curves.sort(key=lambda row: order[row["strategy"]])
        return {
            GAIN_CURVES: [row | {"perplexity": exp(row["loss"])} for row in curves],
            GAIN_STATISTICS: self.rows(estimates, Statistic),
            GAIN_HEAT_MAPS: [row for key, heat in self.heat.items() for row in self._cells(*key, heat)],
            GAIN_LAYERS: self.rows(estimates, LabelShare, "share"),
        }

    @property
    def _reference_budget(self) -> int:
        """Big layers of the reference route."""
        space = RouteSpace(self.layers)
        return int(space.counts(BIG)[space.named(self.settings.reference)])

    def _gains(self, losses: Mapping[GainLoss, np.ndarray], references: Mapping[str, np.ndarray]) -> stats.Numbers:
        """Gains, selection bias and ceilings at the budgets that leave a choice; and the calibration."""
        route = route_name(self.settings.reference)
        numbers = {calibration(route): references[SAMPLED] - references[TRUE]}
        for k in (budget for budget in self.budgets if 0 < budget < self.layers):
            true = references[TRUE] - losses[GainLoss("oracle", k)]
            null = references[SAMPLED] - losses[GainLoss("null", k)]
            numbers |= {gain(route, k): true, gain(route, k, SAMPLED): null, gain(route, k, DIFFERENCE): true - null}
            numbers[null_share(route, k)] = null / true
            numbers[selection_bias(k)] = losses[GainLoss("label_free", k)] - losses[GainLoss("null", k)]
            for strategy in ("corrected", "fixed", "normalised"):
                numbers[difference(strategy, route, k)] = losses[GainLoss(strategy, k)] - references[TRUE]
            for teacher in teachers(self.settings):
                ceiling = losses[GainLoss("ceiling", k, teacher)]
                numbers[ceiling_difference(teacher, "fixed", k)] = ceiling - losses[GainLoss("fixed", k)]
                numbers[ceiling_difference(teacher, route, k)] = ceiling - references[TRUE]
        return numbers

    def _contrasts(self, losses: Mapping[GainLoss, np.ndarray]) -> stats.Numbers:
        """`contrasts` of the true labels, of the sampled ones and of the corrected loss."""
        curves = {
            name: {k: losses[GainLoss(name, k)] for k in self.budgets} for name in ("oracle", "null", "corrected")
        }
        best = np.stack(list(curves["oracle"].values())).argmin(axis=0)
        labels = {"oracle": TRUE, "null": SAMPLED, "corrected": CORRECTED}
        return {
            labelled(statistic, labels[name]): values
            for name, curve in curves.items()
            for statistic, values in contrasts(curve, best, self.layers).items()
        }

    def _cells(self, labels: str, budget: int, heat: np.ndarray) -> list[dict[str, Any]]:
        """Rows of GAIN_HEAT_MAPS of some labels at a budget."""
        return [
            self.ids | {"labels": labels, "budget": budget, "layer": layer, "position": position, "share": share}
            for layer, shares in enumerate(heat)
            for position, share in enumerate(shares.tolist())
        ]


def gather(
    tokens: pa.Table,
    curves: oracle_curves.OracleCurves,
    space: RouteSpace,
    settings: SampledLabels,
    gap_budget: int,
) -> Gain:
    """The gain of the curves' model and domain, from SAMPLED_LABELS; gap_budget: of the oracle of C15's gap."""
    model, domain = curves.ids["model"], curves.ids["domain"]
    part = tokens.filter(pc.and_(pc.equal(tokens["model"], model), pc.equal(tokens["domain"], domain)))
    part = part.sort_by([("budget", "ascending"), ("document", "ascending"), ("position", "ascending")])
    by_budget = {budget: part.filter(pc.equal(part["budget"], budget)) for budget in curves.budgets}
    names = by_budget[0]["document"].to_numpy()
    clusters = stats.Clusters(names)
    losses, big, heat = {}, {}, {}
    for budget, rows in by_budget.items():
        losses |= {key: clusters.sums(values) for key, values in _losses(rows, budget, teachers(settings)).items()}
        routes = {TRUE: rows["oracle_route"].to_numpy()[:, None], SAMPLED: files.matrix(rows["null_route"])}
        position = rows["position"].to_numpy()
        for labels, codes in routes.items():
            chosen = space.big(codes).mean(axis=1)
            big[labels, budget] = np.stack([clusters.sums(layer) for layer in chosen.T], axis=1)
            counts = np.stack([np.bincount(position, layer) for layer in chosen.T])
            heat[labels, budget] = counts / np.bincount(position)
        heat[DIFFERENCE, budget] = heat[TRUE, budget] - heat[SAMPLED, budget]
    true, sampled = (
        [_by_label(by_budget[budget], column) for budget in (0, gap_budget)] for column in ("oracle_loss", "null_loss")
    )
    reference, null_reference = (_by_label(by_budget[0], name) for name in ("reference_loss", "null_reference_loss"))
    references = {TRUE: clusters.sums(reference[:, 0]), SAMPLED: clusters.sums(null_reference.mean(axis=1))}
    bias = _by_label(by_budget[gap_budget], "null_label_free_loss") - sampled[1]
    return Gain(curves, settings, losses, references, big, heat, without_gain(true, sampled, bias, names))


def _losses(rows: pa.Table, budget: int, names: Sequence[str]) -> dict[GainLoss, np.ndarray]:
    """Losses [tokens] in nats, from SAMPLED_LABELS at one budget."""
    oracle = rows["oracle_loss"].to_numpy().astype(np.float64)
    losses = {
        "oracle": oracle,
        "null": files.matrix(rows["null_loss"]).mean(axis=1, dtype=np.float64),
        "label_free": files.matrix(rows["null_label_free_loss"]).mean(axis=1, dtype=np.float64),
        "normalised": oracle + rows["log_normaliser"].to_numpy(),
    }
    keyed = {GainLoss(strategy, budget): values for strategy, values in losses.items()}
    ceilings = files.matrix(rows["ceiling_loss"]).T
    return keyed | {
        GainLoss("ceiling", budget, teacher): ceiling for teacher, ceiling in zip(names, ceilings, strict=True)
    }


def _by_label(rows: pa.Table, column: str) -> np.ndarray:
    """A column of losses of SAMPLED_LABELS, [tokens, labels]: one true label per token, or its samples."""
    listed = pa.types.is_fixed_size_list(rows[column].type)
    return (files.matrix(rows[column]) if listed else rows[column].to_numpy()[:, None]).astype(np.float64)


def without_gain(
    true: Sequence[np.ndarray], sampled: Sequence[np.ndarray], bias: np.ndarray, documents: np.ndarray
) -> dict[Statistic, Callable[[np.ndarray], np.ndarray]]:
    """C15: share of the labels of high loss that have no gain, as functions of weights [replicates, documents].

    true and sampled: losses with all layers small and of the oracle, nats, [tokens, labels] each; bias, of sampled's
    shape: selection bias of each sampled label; documents [tokens] ids. High is the top fifth of the losses, and a gap
    between the two below a tenth of the loss is no gain, as in duo.studies.difficulty. Corrected takes off a true
    label's gap the selection bias that sampled labels of like loss have: its loss times their mean bias over their mean
    loss. All of this is settled on the full sample.
    """
    small, oracle = true
    corrected = small, oracle + small * _bias_of_like(small, sampled[0], bias)
    shares = {}
    for labels, (loss, best) in {TRUE: true, SAMPLED: sampled, CORRECTED: corrected}.items():
        clusters = stats.Clusters(np.repeat(documents, loss.shape[1]))
        high = (loss >= np.percentile(loss, HIGH)).ravel()
        none = (loss - best < NO_GAIN * loss).ravel()
        shares[labelled(WITHOUT_GAIN, labels)] = partial(clusters.mean, values=none, tokens=high)
    return shares


def _bias_of_like(loss: np.ndarray, sampled_loss: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """Mean selection bias over mean loss of the sampled labels in the band of each loss, of loss's shape."""
    edges = np.quantile(sampled_loss, np.arange(1, BANDS) / BANDS)
    band = np.searchsorted(edges, sampled_loss.ravel())
    losses, biases = (np.bincount(band, values.ravel(), minlength=BANDS) for values in (sampled_loss, bias))
    return np.divide(biases, losses, out=np.zeros(BANDS), where=losses > 0)[np.searchsorted(edges, loss)]


def contrasts(curve: Mapping[int, np.ndarray], best: np.ndarray, layers: int) -> dict[Statistic, np.ndarray]:
    """What claims C2 and C3 compare, the statistics of oracle_curves, on a curve of losses [replicates] by budget.

    best: index [replicates] of the budget at which the oracle is best on true labels. Were it sought on the corrected
    loss itself, the lowest of what is left would lie below both ends by chance alone.
    """
    budgets, losses = list(curve), np.stack(list(curve.values()))
    at_best, half = losses[best, np.arange(len(best))], layers // 2
    numbers = {
        oracle_curves.BEST_BUDGET: np.array(budgets, np.float64)[losses.argmin(axis=0)],
        oracle_curves.at_best_budget("all_small"): at_best - curve[0],
        oracle_curves.at_best_budget("all_big"): at_best - curve[layers],
    }
    if 1 in curve:
        numbers[oracle_curves.less_all_big("oracle", 1)] = curve[1] - curve[layers]
    if half in curve:
        less_others = oracle_curves.less_best_other(losses, budgets.index(half))
        numbers[oracle_curves.less_other_budgets("oracle", half)] = less_others
    return numbers


def depth_biases(shares: Mapping[tuple[str, int], np.ndarray]) -> dict[Statistic, np.ndarray]:
    """Depth bias [replicates] of C7 to C9, from shares of big [layers, replicates] by (labels, budget)."""
    kinds = {TRUE: TRUE, SAMPLED: SAMPLED, DIFFERENCE: CORRECTED}
    return {
        labelled(oracle_curves.depth_bias(k), kinds[labels]): oracle_curves.upper_less_lower(share)
        for (labels, k), share in shares.items()
        if 0 < k < len(share)
    }


def labelled(statistic: Statistic, labels: str) -> Statistic:
    """The statistic of these labels, with words that say so."""
    return statistic.of(labels, {TRUE: "", SAMPLED: ON_SAMPLED, CORRECTED: WITHOUT_BIAS}[labels])


def teachers(settings: SampledLabels) -> list[str]:
    """Names of the teachers, in the order that SAMPLED_LABELS has them in."""
    return [*settings.teachers, OTHERS] if settings.others else settings.teachers


def route_words(name: str) -> str:
    """A reference route in words, of its name in a table (duo.routes.route_name)."""
    known = {"all_big": "all layers big", "all_small": "all layers small"}
    return known.get(name) or f"the route with code {name.removeprefix('route_')}"


def gain(route: str, budget: int, labels: str = TRUE) -> Statistic:
    """What the oracle gains over the reference route, on true or sampled labels, or the difference of both gains."""
    words = f"gain of the oracle at budget {budget} over {route_words(route)}"
    more = {TRUE: "", SAMPLED: ON_SAMPLED, DIFFERENCE: "on true less on sampled labels"}[labels]
    return Statistic("gain", "oracle", route, budget, words=words).of(labels, more)


def null_share(route: str, budget: int) -> Statistic:
    """The gain on sampled labels as a share of that on true ones."""
    words = f"gain of the oracle at budget {budget} on sampled labels, as a share of that on true ones"
    return Statistic("null_share", "oracle", route, budget, words=words)


def selection_bias(budget: int) -> Statistic:
    """What choosing by the label alone gives on sampled labels."""
    words = (
        f"selection bias of the oracle at budget {budget}: on sampled labels, the route of lowest expected loss, "
        "less the oracle"
    )
    return Statistic("selection_bias", "oracle", budget=budget, labels=SAMPLED, words=words)


def difference(strategy: str, route: str, budget: int) -> Statistic:
    """Loss of a strategy at a budget, less that of the reference route."""
    words = {
        "corrected": "oracle at budget {}, selection bias taken off",
        "fixed": "best fixed route at budget {}",
        "normalised": "oracle at budget {}, made a proper distribution",
    }[strategy]
    return Statistic("difference", strategy, route, budget, words=f"{words.format(budget)}, less {route_words(route)}")


def ceiling_difference(teacher: str, reference: str, budget: int) -> Statistic:
    """Loss of the routes that a teacher's predictions choose without the label, less that of `reference`."""
    less = "the best fixed route there" if reference == "fixed" else route_words(reference)
    words = f"routes of lowest expected loss at budget {budget} by teacher {teacher}, less {less}"
    return Statistic("ceiling_difference", teacher, reference, budget, words=words)


def calibration(route: str) -> Statistic:
    """Whether the reference route's predictions are as sure as they are right."""
    words = f"loss of {route_words(route)} on sampled labels, less that on true ones"
    return Statistic("calibration", route, words=words)
