"""What the oracle gains, and how much of that anybody could foresee; with intervals over clusters.

The oracle chooses by the loss on the true label. How much of its gain is luck depends on who is asked: for a chooser
(duo.oracle.choosers), whose prediction of the next token is q, at budget k, in nats per token, with L the loss of the
reference route, O the oracle's and F that of the route which the chooser expects to be best:

    gain(k)         L - O
    foreseeable(k)  L - F: no label was used to choose, so it is a lower bound of what can be foreseen by somebody who
                    knows as much, however well or badly the prediction is calibrated
    beyond(k)       F - O, the rest of the gain
    luck(k)         what the rest would be in expectation if labels came as q says; exact, nothing is sampled
    unexplained(k)  beyond - luck: 0 in expectation where q is right. Else q is miscalibrated, or some route knows more
                    than the chooser; this number can't tell which
    matched(k)      what the oracle gains, in the same context, on words that surprise the model as much as the true
                    label does; gain - matched is 0 in expectation where these words are exchangeable, whatever q is
    cells(k)        the same across contexts, on words of like surprisal in contexts of like entropy

Nobody knows how good a prediction can get, so there is no upper bound on what is foreseeable. The placebo asks
the same of labels that were sampled from the model's own prediction: there nothing is foreseeable, and nothing beyond
luck. All numbers are of the same tokens, replicate by replicate.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import product
from math import exp
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from duo import stats
from duo.routes import RouteSpace, route_name
from duo.stats import Intervals, Statistic, Study
from duo.studies import curves as shapes
from duo.studies import joint
from duo.studies.documents import part
from duo.studies.gain_statistics import (
    FORESEEN,
    NORMALISED,
    NULL,
    best_chooser,
    beyond,
    calibration,
    cells_covered,
    cells_excess,
    cross_entropy,
    difference,
    foreseeable,
    gain,
    luck,
    matched_excess,
    other_mass,
    share_foreseeable,
    share_of_luck,
    unexplained,
)
from duo.studies.oracle_curves import OracleCurves
from duo.tables.studies import GAIN_CURVES, GAIN_HEAT_MAPS, GAIN_LAYERS, GAIN_STATISTICS
from duo.terms import BIG, EXCESS, FIXED, ISOLATED, MATCHED, MEAN, ORACLE, PLACEBO, SAMPLED, TRUE

Mean = Callable[[np.ndarray], np.ndarray]  # [replicates, ...] mean over tokens of sums [clusters, ...]
SHOWN = (ORACLE, FORESEEN, NULL, FIXED, NORMALISED)  # strategies of GAIN_CURVES, in order


@dataclass(frozen=True)
class GainLoss:
    """Key of a mean loss at a budget; chooser: whose prediction chooses or is taken to be right, if anybody's."""

    strategy: str
    budget: int
    chooser: str = ""


@dataclass(frozen=True)
class LabelShare:
    """Key of the share of tokens (and sets of labels) whose oracle route is big at a layer, or a difference of them."""

    labels: str
    budget: int
    layer: int


@dataclass(frozen=True)
class Places:
    """Where the oracle is big at one budget, on labels of one kind: true, sampled or matched."""

    big: np.ndarray  # [clusters, layers] tokens, a mean over sets of labels
    heat: np.ndarray  # [layers, positions] share of windows and sets


@dataclass(frozen=True)
class AtChoice:
    """What one chooser does at one budget, as sums [clusters] in nats."""

    foreseen: np.ndarray  # loss of the routes that it chooses, on the true labels
    placebo: np.ndarray  # on the first sampled labels
    expected: np.ndarray  # what it expects of them
    null: np.ndarray  # what it expects of the oracle


@dataclass(frozen=True)
class AtGain:
    """What the oracle does at one budget, as sums [clusters] in nats; gains are over the reference route."""

    matched: np.ndarray  # gain on the matched words
    other_mass: np.ndarray  # share of their chance that is not the true label's
    normaliser: np.ndarray  # log Z
    placebo: np.ndarray  # gain on the first sampled labels
    placebo_matched: np.ndarray  # gain on labels matched to these
    # [clusters, cells] of labels that are alike across contexts
    cell_weight: np.ndarray  # chance of all words
    cell_null: np.ndarray  # their gain, by their chance
    cell_count: np.ndarray  # true labels
    cell_gain: np.ndarray  # their gain


@dataclass(frozen=True)
class Known:
    """How well one chooser knows the labels, as sums [clusters] in nats."""

    surprisal: np.ndarray
    entropy: np.ndarray


class Gain(Study):
    """One model's gain on one domain: sums by cluster, clusters in order of id.

    reference: the reference route, as params give it; references: sums of its losses, on true labels and on the first
    sampled ones (PLACEBO).
    """

    stream = OracleCurves.stream  # of the same replicates as the numbers that the claims rest on

    def __init__(
        self,
        curves: OracleCurves,
        reference: str | int,
        references: Mapping[str, np.ndarray],
        choices: Mapping[tuple[str, int], AtChoice],
        gains: Mapping[int, AtGain],
        known: Mapping[str, Known],
        places: Mapping[tuple[str, int], Places],
    ) -> None:
        self.ids, self.clusters = curves.ids, curves.clusters
        self.curves, self.reference, self.references = curves, route_name(reference), references
        space = curves.space
        self._reference_budget = int(space.count(np.array(space.named(reference)), BIG))
        self.choices, self.gains, self.known, self.places = choices, gains, known, places
        self.layers, self.choosers = curves.layers, list(known)
        self.budgets = [k for k in curves.budgets if 0 < k < curves.layers]  # that leave a choice

    def numbers(self, weights: np.ndarray) -> stats.Numbers:
        tokens = stats.weighted_sums(weights, self.curves.tokens)

        def mean(sums: np.ndarray) -> np.ndarray:
            totals = stats.weighted_sums(weights, sums)
            return totals / tokens.reshape(-1, *[1] * (totals.ndim - 1))

        losses = self._losses(mean)
        numbers = losses | self._known(mean) | self._relative(weights) | self._shares(mean)
        for budget in self.budgets:
            numbers |= self._of_gain(budget, losses, mean) | self._of_cells(budget, weights)
            for chooser in self.choosers:
                numbers |= self._of_chooser(chooser, budget, losses, mean)
        return numbers

    def tables(self, estimates: Intervals) -> dict[Any, Any]:
        order = {strategy: index for index, strategy in enumerate((*SHOWN, self.reference))}
        curves = sorted(self.rows(estimates, GainLoss, "loss"), key=lambda row: order[row["strategy"]])
        return {
            GAIN_CURVES: [row | {"perplexity": exp(row["loss"])} for row in curves],
            GAIN_STATISTICS: self.rows(estimates, Statistic),
            GAIN_HEAT_MAPS: [row for budget in self.curves.budgets for row in self._heat_maps(budget)],
            GAIN_LAYERS: self.rows(estimates, LabelShare, "share"),
        }

    def _heat_maps(self, budget: int) -> list[dict[str, Any]]:
        """Rows of GAIN_HEAT_MAPS at a budget."""
        maps = {labels: self.places[labels, budget].heat for labels in (TRUE, SAMPLED, MATCHED)}
        maps[EXCESS] = maps[TRUE] - maps[MATCHED]
        return [
            self.ids | {"labels": labels, "budget": budget, "layer": layer, "position": position, "share": share}
            for labels, heat in maps.items()
            for layer, shares in enumerate(heat)
            for position, share in enumerate(shares.tolist())
        ]

    def _shares(self, mean: Mean) -> stats.Numbers:
        """Shares of big by LabelShare."""
        shares = {key: mean(places.big).T for key, places in self.places.items()}
        for budget in self.curves.budgets:
            shares[EXCESS, budget] = shares[TRUE, budget] - shares[MATCHED, budget]
        return {
            LabelShare(labels, budget, layer): values
            for (labels, budget), by_layer in shares.items()
            for layer, values in enumerate(by_layer)
        }

    def _losses(self, mean: Mean) -> stats.Numbers:
        """Losses by GainLoss."""
        losses = {GainLoss(self.reference, self._reference_budget): mean(self.references[TRUE])}
        for budget in self.curves.budgets:
            oracle, fixed = (mean(self.curves.budgets[budget].losses[name]) for name in (ORACLE, FIXED))
            losses |= {GainLoss(ORACLE, budget): oracle, GainLoss(FIXED, budget): fixed}
            losses[GainLoss(NORMALISED, budget)] = oracle + mean(self.gains[budget].normaliser)
            for chooser in self.choosers:
                choice = self.choices[chooser, budget]
                losses[GainLoss(FORESEEN, budget, chooser)] = mean(choice.foreseen)
                losses[GainLoss(NULL, budget, chooser)] = mean(choice.null)
        return losses

    def _known(self, mean: Mean) -> stats.Numbers:
        """Cross entropy and entropy of every chooser, and their difference."""
        numbers = {}
        for chooser, known in self.known.items():
            surprisal, entropy = mean(known.surprisal), mean(known.entropy)
            numbers |= {cross_entropy(chooser): surprisal, calibration(chooser): entropy - surprisal}
        return numbers

    def _relative(self, weights: np.ndarray) -> stats.Numbers:
        """What claims compare on the oracle's curve (C1 to C3), of the routes that the best chooser foresees."""
        best, numbers = best_chooser(self.choosers), {}
        budgets = self.curves.budgets
        numbers |= self.curves.relative(weights, best, {k: self.choices[best, k].foreseen for k in budgets})
        if {0, 1, self.layers} <= set(budgets):
            ends = [budgets[k].losses[MEAN] for k in (0, self.layers)]
            part = self.references[TRUE] - self.choices[best, 1].foreseen
            numbers[joint.single_big(best, ISOLATED)] = shapes.share_of_depth(weights, part, *ends)
        return numbers

    def _of_gain(self, budget: int, losses: stats.Numbers, mean: Mean) -> stats.Numbers:
        """The gain and what it is compared with, without a chooser."""
        reference, at = mean(self.references[TRUE]), self.gains[budget]
        gained = reference - losses[GainLoss(ORACLE, budget)]
        matched, placebo, placebo_matched = map(mean, (at.matched, at.placebo, at.placebo_matched))
        return {
            gain(self.reference, budget): gained,
            gain(self.reference, budget, MATCHED): matched,
            matched_excess(self.reference, budget): gained - matched,
            matched_excess(self.reference, budget, PLACEBO): placebo - placebo_matched,
            other_mass(budget): mean(at.other_mass),
            difference(FIXED, self.reference, budget): losses[GainLoss(FIXED, budget)] - reference,
            difference(NORMALISED, self.reference, budget): losses[GainLoss(NORMALISED, budget)] - reference,
        }

    def _of_cells(self, budget: int, weights: np.ndarray) -> stats.Numbers:
        """The gain less that of words alike in other contexts; of cells where the null has words, and their share."""
        at = self.gains[budget]
        weight, null, count, gained = (
            stats.weighted_sums(weights, each) for each in (at.cell_weight, at.cell_null, at.cell_count, at.cell_gain)
        )
        covered = np.where(weight > 0, count, 0)
        per_word = np.divide(null, weight, out=np.zeros_like(null), where=weight > 0)
        total = covered.sum(axis=1)
        excess = (np.where(weight > 0, gained, 0) - covered * per_word).sum(axis=1) / total
        return {cells_excess(self.reference, budget): excess, cells_covered(budget): total / count.sum(axis=1)}

    def _of_chooser(self, chooser: str, budget: int, losses: stats.Numbers, mean: Mean) -> stats.Numbers:
        """The gain taken apart by what the chooser foresees."""
        reference, choice = mean(self.references[TRUE]), self.choices[chooser, budget]
        oracle, foreseen = losses[GainLoss(ORACLE, budget)], losses[GainLoss(FORESEEN, budget, chooser)]
        gained, foresees, rest = reference - oracle, reference - foreseen, foreseen - oracle
        by_chance = mean(choice.expected) - mean(choice.null)
        placebo = mean(self.references[PLACEBO]) - mean(choice.placebo)

        def share(part: np.ndarray) -> np.ndarray:
            return np.divide(part, gained, out=np.full_like(part, np.nan), where=gained > 0)

        return {
            foreseeable(chooser, self.reference, budget): foresees,
            foreseeable(chooser, self.reference, budget, PLACEBO): placebo,
            share_foreseeable(chooser, budget): share(foresees),
            beyond(chooser, budget): rest,
            luck(chooser, budget): by_chance,
            share_of_luck(chooser, budget): share(by_chance),
            unexplained(chooser, budget): rest - by_chance,
            difference(chooser, FIXED, budget): foreseen - losses[GainLoss(FIXED, budget)],
        }


def gather(
    curves: OracleCurves,
    reference: str | int,
    choices: pa.Table,
    predictions: pa.Table,
    matched: pa.Table,
    cells: pa.Table,
    labels: pa.Table,
    selections: Mapping[int, pa.Table],
) -> Gain:
    """The gain of the curves' model and domain, from CHOICES, PREDICTIONS, MATCHED_GAINS, CELLS, LABEL_SELECTIONS, and
    SELECTIONS by budget; reference: the reference route, as params give it.
    """
    ids, space = (curves.ids["model"], curves.ids["domain"]), curves.space
    choices, predictions, matched, labels = (part(table, *ids) for table in (choices, predictions, matched, labels))
    cells = cells.filter(pc.and_(pc.equal(cells["model"], ids[0]), pc.equal(cells["domain"], ids[1])))
    first = matched.filter(pc.equal(matched["budget"], next(iter(curves.budgets))))
    sampled = labels.filter(pc.and_(pc.equal(labels["budget"], next(iter(curves.budgets))), _is(labels, SAMPLED)))
    references = {TRUE: _sums(first, "reference_loss"), PLACEBO: _sums(sampled, "reference_loss")}
    by_choice = {
        (chooser, budget): AtChoice(*(_sums(rows, name) for name in ("loss", "sampled_loss", "expected", "null")))
        for chooser, of_chooser in _by(choices, "chooser")
        for budget, rows in _by(of_chooser, "budget")
    }
    gains = {
        budget: _gain(
            matched.filter(pc.equal(matched["budget"], budget)),
            labels.filter(pc.equal(labels["budget"], budget)),
            cells.filter(pc.equal(cells["budget"], budget)),
        )
        for budget in curves.budgets
    }
    known = {
        chooser: Known(_sums(rows, "surprisal"), _sums(rows, "entropy"))
        for chooser, rows in _by(predictions, "chooser")
    }
    places = {(TRUE, budget): _places([part(table, *ids)], space) for budget, table in selections.items()}
    for name, budget in product((SAMPLED, MATCHED), curves.budgets):
        rows = labels.filter(pc.and_(pc.equal(labels["labels"], name), pc.equal(labels["budget"], budget)))
        places[name, budget] = _places([each for _, each in _by(rows, "sample")], space)
    return Gain(curves, reference, references, by_choice, gains, known, places)


def _places(sets: list[pa.Table], space: RouteSpace) -> Places:
    """Where the oracle's routes are big, from SELECTIONS of one budget on one set of labels each."""
    clusters, position = stats.Clusters(sets[0]["cluster"].to_numpy()), sets[0]["position"].to_numpy()
    big = np.mean([space.big(rows["oracle_route"].to_numpy()) for rows in sets], axis=0)  # [tokens, layers]
    heat = np.stack([np.bincount(position, layer) for layer in big.T]) / np.bincount(position)
    return Places(np.stack([clusters.sums(layer) for layer in big.T], axis=1), heat)


def _gain(matched: pa.Table, labels: pa.Table, cells: pa.Table) -> AtGain:
    """One budget's sums."""
    sampled, placebo = (labels.filter(_is(labels, name)) for name in (SAMPLED, PLACEBO))
    clusters, row = np.unique(cells["cluster"].to_numpy(), return_inverse=True)
    surprisal, entropy = (cells[name].to_numpy() for name in ("surprisal_cell", "entropy_cell"))
    cell = np.unique(np.stack([surprisal, entropy]), axis=1, return_inverse=True)[1].ravel()
    sums = np.zeros((4, len(clusters), cell.max() + 1))
    for values, name in zip(sums, ("weight", "null_gain", "count", "gain"), strict=True):
        np.add.at(values, (row, cell), cells[name].to_numpy())
    return AtGain(
        *(_sums(matched, name) for name in ("matched_gain", "other_mass", "log_normaliser")),
        *(_sums(part, "reference_loss") - _sums(part, "oracle_loss") for part in (sampled, placebo)),
        *sums,
    )


def _is(table: pa.Table, labels: str) -> pa.ChunkedArray:
    """Whether rows of LABEL_SELECTIONS are of the first set of these labels."""
    return pc.and_(pc.equal(table["labels"], labels), pc.equal(table["sample"], 0))


def _by(table: pa.Table, column: str) -> list[tuple[Any, pa.Table]]:
    """The rows of each value of a column, in order of appearance."""
    return [(value, table.filter(pc.equal(table[column], value))) for value in table[column].unique().to_pylist()]


def _sums(table: pa.Table, column: str) -> np.ndarray:
    """[clusters] sums of a column, in order of id."""
    return stats.Clusters(table["cluster"].to_numpy()).sums(table[column].to_numpy().astype(np.float64))
