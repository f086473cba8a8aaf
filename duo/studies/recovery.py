"""Whether measures of a token's difficulty recover the difficulty that is known by construction.

The measures are a token's loss with all layers small, its gap, which more compute takes off that loss, and the gap
with selection bias taken off. What is known of tokens of the synthetic domain says which of them to trust.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from duo import stats
from duo.data import synthetic
from duo.stats import Intervals, Statistic, Study
from duo.studies import difficulty
from duo.tables.oracle import MEASURED
from duo.tables.studies import SYNTHETIC_CLASSES, SYNTHETIC_STATISTICS

# Measures of difficulty, with their columns in SYNTHETIC_TOKENS.
MEASURES = {
    "loss": "all_small",
    "gap": "gap",
    "corrected_gap": "corrected_gap",
    "known_corrected_gap": "known_corrected_gap",
}
# A measure with one that knows less.
COMPARED = (("gap", "loss"), ("corrected_gap", "gap"), ("known_corrected_gap", "corrected_gap"))
_WORDS = {
    "loss": "loss with all layers small",
    "gap": "gap",
    "corrected_gap": "corrected gap",
    "known_corrected_gap": "gap corrected by the true selection bias",
}


@dataclass(frozen=True)
class SyntheticMean:
    """Key of a column's mean over the tokens of a kind and a known difficulty."""

    column: str
    kind: str
    difficulty: int


class Recovery(Study):
    """SYNTHETIC_TOKENS, by document: how well every measure recovers what is known of the tokens.

    What rank a token has, and what a measure calls difficult, is settled on all documents; only documents are drawn
    anew.
    """

    stream = (synthetic.NAME,)

    def __init__(self, table: pa.Table) -> None:
        self.ids = {"model": synthetic.NAME, "domain": synthetic.NAME}
        self.by_cluster = stats.Clusters(table["document"].to_numpy(zero_copy_only=False))
        self.clusters = len(self.by_cluster)
        kinds = table["kind"].to_numpy(zero_copy_only=False)
        self.difficulty, self.entropy = (table[name].to_numpy() for name in ("difficulty", "entropy"))
        self.values = {name: table[name].to_numpy().astype(np.float64) for name in MEASURED}
        self.kinds = {kind: kinds == kind for kind in synthetic.KINDS if kind in kinds}
        classes = {
            (kind, int(steps)): tokens & (self.difficulty == steps)
            for kind, tokens in self.kinds.items()
            for steps in np.unique(self.difficulty[tokens])
        }
        self.classes = {
            key: tokens for key, tokens in classes.items() if self.by_cluster.enough(tokens, difficulty.CLUSTERS)
        }

    def numbers(self, weights: np.ndarray) -> stats.Numbers:
        means = {
            SyntheticMean(name, kind, steps): self.by_cluster.mean(weights, values, tokens)
            for (kind, steps), tokens in self.classes.items()
            for name, values in self.values.items()
        }
        return means | self._bias_errors(weights) | self._correlations(weights) | self._false_alarms(weights)

    def tables(self, estimates: Intervals) -> dict[Any, Any]:
        rows = []
        for (kind, steps), tokens in self.classes.items():
            row = {"kind": kind, "difficulty": steps, "tokens": int(tokens.sum())}
            row["entropy"] = self.entropy[tokens].mean()
            for name in MEASURED:
                row |= stats.ends(name, estimates[SyntheticMean(name, kind, steps)])
            rows.append(row)
        return {SYNTHETIC_CLASSES: rows, SYNTHETIC_STATISTICS: self.rows(estimates, Statistic)}

    def _bias_errors(self, weights: np.ndarray) -> stats.Numbers:
        """By how much the selection bias is over- or underestimated, over all tokens and by kind."""
        error = self.values["selection_bias"] - self.values["known_bias"]
        every = {"": np.ones(len(error), bool)} | self.kinds
        return {bias_error(kind): self.by_cluster.mean(weights, error, tokens) for kind, tokens in every.items()}

    def _correlations(self, weights: np.ndarray) -> stats.Numbers:
        """Rank correlations of every measure with what is known, and their differences."""
        numbers = {}
        for name, (known, tokens) in self._known().items():
            ranks = {
                measure: self.by_cluster.rank_correlation(weights, self.values[column], known, tokens)
                for measure, column in MEASURES.items()
            }
            numbers |= {rank_correlation(measure, name): rank for measure, rank in ranks.items()}
            numbers |= {
                rank_correlation_difference(measure, other, name): ranks[measure] - ranks[other]
                for measure, other in COMPARED
            }
        return numbers

    def _known(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """By name, what is known of tokens [tokens], and which of them [tokens] bool it is compared on."""
        everything = np.ones(len(self.difficulty), bool)
        known = {"difficulty": (self.difficulty, everything)}
        if "sum" in self.kinds:
            known["carry"] = (self.difficulty, self.kinds["sum"])
        return known | {"entropy": (self.entropy, everything)}

    def _false_alarms(self, weights: np.ndarray) -> stats.Numbers:
        """Shares of the noise that each measure calls difficult, where there are noise and difficult tokens."""
        if "noise" not in self.kinds or not self.difficulty.any():
            return {}
        medians = {measure: np.median(self.values[column][self.difficulty > 0]) for measure, column in MEASURES.items()}
        return {
            false_alarms(measure): self.by_cluster.mean(
                weights, self.values[MEASURES[measure]] >= median, self.kinds["noise"]
            )
            for measure, median in medians.items()
        }


def rank_correlation(measure: str, known: str) -> Statistic:
    """Spearman's correlation of a measure with what is known: difficulty, carry (of a sum's digits) or entropy."""
    words = f"rank correlation of the {_WORDS[measure]} with the known {known}"
    return Statistic("rank_correlation", measure, known, words=words)


def rank_correlation_difference(measure: str, other: str, known: str) -> Statistic:
    """A measure's rank correlation with what is known, less another measure's."""
    words = f"rank correlation with the known {known}: of the {_WORDS[measure]}, less that of the {_WORDS[other]}"
    return Statistic(f"rank_correlation_difference_{known}", measure, other, words=words)


def false_alarms(measure: str) -> Statistic:
    """Share of the noise, which nothing helps to predict, that a measure calls difficult.

    It does so where it is at least its median over the tokens that something must be looked up for.
    """
    words = f"share of the noise whose {_WORDS[measure]} is at least the median of copies and sums"
    return Statistic("false_alarms", measure, words=words)


def bias_error(kind: str = "") -> Statistic:
    """Selection bias by the model's own calibrated prediction, less the true one; of all tokens or of a kind."""
    of = f"tokens of kind {kind}" if kind else "all tokens"
    words = f"selection bias that the model's own prediction gives, less the true one, {of}"
    return Statistic("bias_error", "own", kind, words=words)
