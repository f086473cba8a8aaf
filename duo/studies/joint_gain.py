"""What the oracle gains in each context, isolated and joint, beside what choosers foresee there and what is luck.

As duo.studies.gain has it of context `shared` and all documents, here of every context and the documents that were run
jointly. With L the loss of the reference route, which all tokens take, O the oracle's isolated loss in the context, F
that of the route which a chooser expects to be best there, E what it expects, of that route or of the reference one,
and N what it expects of the oracle (the null, duo.oracle.contexts), in nats per token:

    isolated_gain   L - O, and L - F of a chooser: what it foresees, a lower bound whatever its calibration
    joint_gain      the same of the losses when all tokens run together on their chosen routes
    null_gain       E(reference) - N: what the oracle would gain if labels came as the chooser says
    beyond_null     L - O less that
    luck            E(F) - N: what the oracle would gain over the chooser's routes then
    unexplained     F - O less luck

All numbers are of the same tokens and of the same replicates as those of duo.studies.joint.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from duo import stats
from duo.errors import InputError
from duo.stats import Intervals, Study
from duo.studies.curves import share_of_depth
from duo.studies.documents import part
from duo.studies.gain_statistics import FORESEEN, NULL
from duo.studies.joint import ContextLoss, JointCurves, single_big, tabled
from duo.studies.joint_statistics import beyond_null, gain, luck, null_gain, unexplained
from duo.terms import ISOLATED, JOINT, ORACLE, SHARED


@dataclass(frozen=True)
class JointChoice:
    """What one chooser does in one context at one budget, as sums [clusters] in nats."""

    isolated: np.ndarray  # loss of its routes, on the true labels
    joint: np.ndarray  # the same, all run together
    expected: np.ndarray  # what it expects of them
    null: np.ndarray  # what it expects of the oracle
    reference: np.ndarray  # loss of the reference route on the true labels
    reference_expected: np.ndarray  # what it expects of that


class JointGain(Study):
    """One model and domain in every context, by cluster; choices: by context, chooser and budget."""

    stream = JointCurves.stream

    def __init__(self, curves: JointCurves, choices: Mapping[tuple[str, str, int], JointChoice]) -> None:
        self.ids, self.clusters = curves.ids, curves.clusters
        self.curves, self.choices = curves, choices
        self.reference = next(iter(choices.values())).reference  # all tokens take that route: of no context

    def numbers(self, weights: np.ndarray) -> stats.Numbers:
        tokens = stats.weighted_sums(weights, self.curves.tokens)
        numbers = {}
        for key, sums in self.curves.losses.items():
            gained = stats.weighted_sums(weights, self.reference - sums) / tokens
            numbers[gain(key.context, key.selection, key.kind, key.budget)] = gained
        for key in self.choices:
            numbers |= self._of_chooser(weights, tokens, *key)
        return numbers | self._single_big(weights)

    def _of_chooser(
        self, weights: np.ndarray, tokens: np.ndarray, context: str, chooser: str, budget: int
    ) -> stats.Numbers:
        """The losses and gains of a chooser in a context at a budget."""
        at, oracle = self.choices[context, chooser, budget], self.curves.losses
        by_chance, null = at.expected - at.null, at.reference_expected - at.null
        won = oracle[ContextLoss(context, ORACLE, ISOLATED, budget)]
        sums = {
            ContextLoss(context, FORESEEN, ISOLATED, budget, chooser): at.isolated,
            ContextLoss(context, FORESEEN, JOINT, budget, chooser): at.joint,
            ContextLoss(context, NULL, ISOLATED, budget, chooser): at.null,
            gain(context, chooser, ISOLATED, budget): self.reference - at.isolated,
            gain(context, chooser, JOINT, budget): self.reference - at.joint,
            null_gain(context, chooser, budget): null,
            beyond_null(context, chooser, budget): self.reference - won - null,
            luck(context, chooser, budget): by_chance,
            unexplained(context, chooser, budget): at.isolated - won - by_chance,
        }
        return {key: stats.weighted_sums(weights, each) / tokens for key, each in sums.items()}

    def _single_big(self, weights: np.ndarray) -> stats.Numbers:
        """`single_big` of every chooser's routes in context shared, joint, where budgets 0, 1 and all are there."""
        small, big = (self.curves.losses.get(ContextLoss(SHARED, ORACLE, JOINT, k)) for k in (0, self.curves.layers))
        return {
            single_big(chooser): share_of_depth(weights, big - at.joint, small, big)
            for (context, chooser, budget), at in self.choices.items()
            if (context, budget) == (SHARED, 1) and small is not None and big is not None
        }

    def tables(self, estimates: Intervals) -> dict[Any, Any]:
        return tabled(self, estimates)


def gather(curves: list[JointCurves], tables: Mapping[str, pa.Table]) -> list[JointGain]:
    """The gains beside every study of joint losses, from JOINT_CHOICES by context.

    InputError where a context has other tokens there.
    """
    return [JointGain(study, _choices(study, tables)) for study in curves]


def _choices(study: JointCurves, tables: Mapping[str, pa.Table]) -> dict[tuple[str, str, int], JointChoice]:
    """By context, chooser and budget."""
    found = {}
    for context, table in tables.items():
        rows = part(table, study.ids["model"], study.ids["domain"])
        for chooser in rows["chooser"].unique().to_pylist():
            mine = rows.filter(pc.equal(rows["chooser"], chooser))
            for budget in mine["budget"].unique().to_pylist():
                at = mine.filter(pc.equal(mine["budget"], budget))
                clusters = stats.Clusters(at["cluster"].to_numpy())
                if not np.array_equal(clusters.sums(np.ones(len(at))), study.tokens):
                    raise InputError(
                        f"model {study.ids['model']!r}, domain {study.ids['domain']!r}, context {context!r}: the "
                        "choosers have other tokens than the joint losses; should be the same"
                    )
                names = (ISOLATED, JOINT, "expected", "null", "reference_loss", "reference_expected")
                sums = (clusters.sums(at[name].to_numpy().astype(np.float64)) for name in names)
                found[context, chooser, budget] = JointChoice(*sums)
    return found
