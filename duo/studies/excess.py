"""Which statistics of the oracle's choices are more than luck.

The oracle chooses by the label, so what its choices look like comes in part from the lowest of many losses being low
by chance. The same statistic is therefore read off other labels of the same tokens, which the model itself could have
drawn (duo.oracle.null):

    true      the labels of the text
    sampled   drawn from the model's own prediction, mean over the sets
    matched   drawn from it among the words that surprise the model as much as the true label does
    excess    true less matched: what the truth of the labels adds. 0 in expectation where all is luck
    placebo   what the excess is where a sampled label plays the truth, less the set that is matched to that one: where
              it is not 0, the test itself is at fault

All are of the same replicates, so that differences are paired.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from duo import stats
from duo.stats import Intervals, Statistic, Study
from duo.tables.studies import EXCESS_STATISTICS
from duo.terms import EXCESS, MATCHED, PLACEBO, SAMPLED, TRUE

WORDS = {
    TRUE: "",
    SAMPLED: "on sampled labels",
    MATCHED: "on labels matched to the true ones",
    EXCESS: "true less matched labels",
    PLACEBO: "sampled labels less labels matched to them",
}


class Excess(Study):
    """One question asked of the true labels, and of others of the same tokens.

    sets: by labels, the same study of each set: one of TRUE, MATCHED (to the true ones) and PLACEBO (matched to the
    first of SAMPLED), any number of SAMPLED. All are over the same clusters.
    """

    def __init__(self, sets: Mapping[str, Sequence[Study]]) -> None:
        self.sets = sets
        true = sets[TRUE][0]
        self.ids, self.clusters, self.stream = true.ids, true.clusters, true.stream

    def numbers(self, weights: np.ndarray) -> stats.Numbers:
        """Every Statistic of the study, of all labels, each [replicates]."""
        found = {labels: [study.numbers(weights) for study in studies] for labels, studies in self.sets.items()}
        numbers = {}
        for statistic in (key for key in found[TRUE][0] if isinstance(key, Statistic)):
            values = {labels: np.mean([each[statistic] for each in sets], axis=0) for labels, sets in found.items()}
            values[EXCESS] = values[TRUE] - values[MATCHED]
            values[PLACEBO] = found[SAMPLED][0][statistic] - values[PLACEBO]
            numbers |= {statistic.of(labels, WORDS[labels]): value for labels, value in values.items()}
        return numbers

    def tables(self, estimates: Intervals) -> dict[Any, Any]:
        return {EXCESS_STATISTICS: self.rows(estimates, Statistic)}
