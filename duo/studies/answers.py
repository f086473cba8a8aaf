"""What does it say that some route makes the right answer win? How often one makes a wrong answer win.

A search that is told the answer stops at the first route that gives it. Told a wrong answer, it would do the same. So
beside the share of questions on which the right answer can be had stands, on the same questions and by the same routes,
that on which a given wrong one can, and one that is drawn as the model's own scores say: what would be found if the
model knew no more than it says. Scores of whole answers are too sure of themselves, so that one is also drawn as they
say when tempered, by the temperature that makes the right answers of the other half of the questions likeliest. A route
makes an answer win if it gives it the highest score.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from scipy.optimize import minimize_scalar
from scipy.special import gammaln, log_softmax, softmax

from duo import stats
from duo.routes import RouteSpace
from duo.stats import Intervals, Study
from duo.tables.answers import ANSWER_CURVES
from duo.tables.files import matrix
from duo.terms import ALL_BIG, BIG

ALL, MISSED = "all", "missed"  # questions
RIGHT, WRONG, SAMPLED, TEMPERED = TARGETS = ("right", "wrong", "sampled", "tempered")  # which answer is wanted
DIFFERENCES = {target: f"right_less_{target}" for target in (WRONG, SAMPLED, TEMPERED)}


@dataclass(frozen=True)
class Had:
    """Key of the share of questions on which an answer can be had, as ANSWER_CURVES has it."""

    questions: str
    target: str
    departures: int
    tried: int


class AnswerOracle(Study):
    """One model on one task.

    scores: of each question [answers, routes], routes in order of the space's codes; right: the index of the right
    answer of each.
    """

    stream = ("answers", "intervals")

    def __init__(self, ids: dict[str, str], scores: Sequence[np.ndarray], right: Sequence[int], space: RouteSpace):
        self.ids, self.clusters = ids, len(scores)
        departures, (reference,) = space.places - space.counts(BIG), np.flatnonzero(space.codes == space.named(ALL_BIG))
        plain = [each[:, reference] for each in scores]
        asked = list(zip(plain, right, sharpness(plain, right), strict=True))
        missed = [own.argmax() != answer and len(own) > 2 for own, answer, _ in asked]
        self.counts = {ALL: np.ones(len(scores)), MISSED: np.array(missed, np.float64)}
        targets = {ALL: [wanted(*each) for each in asked]}
        if any(missed):
            # Of the other questions only the shape matters: they count for nothing.
            few = zip(asked, missed, targets[ALL], strict=True)
            targets[MISSED] = [
                wanted(*each, but=int(each[0].argmax())) if counts else other for each, counts, other in few
            ]
        self.shares: dict[tuple[str, int, int], dict[str, np.ndarray]] = {}
        for most in range(departures.max() + 1):
            among = departures <= most
            wins = [winners(each[:, among]) for each in scores]
            for tried in tries(among.sum()):
                there = [
                    chances(won.sum(axis=1), own.argmax(), among.sum(), tried)
                    for won, own in zip(wins, plain, strict=True)
                ]
                for questions, weights in targets.items():
                    by_question = [weight @ chance for weight, chance in zip(weights, there, strict=True)]
                    self.shares[questions, most, tried] = dict(zip(TARGETS, np.transpose(by_question), strict=True))

    def numbers(self, weights: np.ndarray) -> stats.Numbers:
        numbers = {}
        for (questions, *place), shares in self.shares.items():
            counts = self.counts[questions]
            total = stats.weighted_sums(weights, counts)
            means = {
                target: np.divide(
                    stats.weighted_sums(weights, counts * values),
                    total,
                    out=np.full(len(weights), values[counts > 0].mean()),  # where a replicate has none of them
                    where=total > 0,
                )
                for target, values in shares.items()
            }
            means |= {name: means[RIGHT] - means[other] for other, name in DIFFERENCES.items()}
            numbers |= {Had(questions, target, *place): values for target, values in means.items()}
        return numbers

    def tables(self, estimates: Intervals) -> dict[Any, Any]:
        rows = self.rows(estimates, Had)
        return {ANSWER_CURVES: [row | {"count": int(self.counts[row["questions"]].sum())} for row in rows]}


def gather(ids: dict[str, str], table: pa.Table, space: RouteSpace) -> AnswerOracle:
    """The study of ANSWER_SCORES; ids: columns name, model and task."""
    questions, scores = table["question"].to_numpy(), matrix(table["scores"])
    starts = np.flatnonzero(np.append(True, questions[1:] != questions[:-1]))
    parts = [slice(*ends) for ends in zip(starts, np.append(starts[1:], len(questions)), strict=True)]
    right = table["right"].to_numpy(zero_copy_only=False)
    return AnswerOracle(ids, [scores[part] for part in parts], [int(right[part].argmax()) for part in parts], space)


def sharpness(own: Sequence[np.ndarray], right: Sequence[int]) -> np.ndarray:
    """[questions] one over the temperature, at most one, that makes the right answers of the other half of the
    questions likeliest, every other one being a half; own: of each question [answers], the model's own scores.
    """

    def surprise(sharp: float, half: slice) -> float:
        return -sum(log_softmax(sharp * each)[answer] for each, answer in zip(own[half], right[half], strict=True))

    halves = slice(0, None, 2), slice(1, None, 2)
    found = [minimize_scalar(surprise, bounds=(0, 1), method="bounded", args=(half,)).x for half in reversed(halves)]
    return np.resize(found, len(own))


def wanted(own: np.ndarray, right: int, sharp: float, but: int | None = None) -> np.ndarray:
    """[targets, answers] how likely each answer is wanted, by which of TARGETS is.

    own [answers]: the model's own scores; sharp: one over their temperature, where they are tempered; but: an answer
    that is never wanted, the model's own.
    """
    others = np.arange(len(own)) != but
    wrong = others & (np.arange(len(own)) != right)
    sampled, tempered = (softmax(np.where(others, factor * own, -np.inf)) for factor in (1, sharp))
    return np.stack([np.arange(len(own)) == right, wrong / wrong.sum(), sampled, tempered])


def winners(scores: np.ndarray) -> np.ndarray:
    """[answers, routes] bool: which answer has the highest score under each route; of equal ones the first."""
    return scores.argmax(axis=0) == np.arange(len(scores))[:, None]


def chances(wins: np.ndarray, own: int, routes: int, tried: int) -> np.ndarray:
    """[answers] chance that one of the routes tried makes each answer win: all big, which gives the answer `own`, and
    tried - 1 of the others, drawn without replacement.

    wins [answers]: how many of the routes make each answer win. Exact: none of the drawn ones is among w of n others
    with a chance of C(n - w, m) / C(n, m).
    """
    others, drawn = routes - 1, tried - 1
    rest = others - wins
    none = _log_ways(np.maximum(rest, drawn), drawn) - _log_ways(others, drawn)
    had = 1 - np.where(rest < drawn, 0, np.exp(none))
    had[own] = 1
    return had


def _log_ways(of: np.ndarray | int, drawn: int) -> np.ndarray:
    """log of how many ways there are to draw so many `of` others."""
    return gammaln(np.add(of, 1)) - gammaln(np.add(of, 1) - drawn) - gammaln(drawn + 1)


def tries(routes: int) -> list[int]:
    """1, 2, 4, ... below the number of routes, and this."""
    return [2**power for power in range(64) if 2**power < routes] + [int(routes)]
