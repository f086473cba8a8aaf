"""How much of the teacher-informed gap routers would close with more supervision, and what stands in their way.

Three routers are compared where they learn from most, by what they gain over the fixed route, mean over budgets. T is
told the losses of true labels, N those that the teacher expects, which no label makes noisy, and G is the teacher's own
choice, by its prediction of the very token. G - T is what a router misses of the teacher-informed gap. N - T is the
part of it that label noise stands for, which goes with enough labels. G - N is the part that is left without noise:
all else, such as what the states don't hold, or hold in a form that the router can't read, or can't learn from so much
text. Which of the two parts is the larger one is what their difference, (N - T) - (G - N), says. What the chooser
`own` gains beyond N is beside it: the model itself knows that much of the token, so its states hold it.

Controls are routers that learn from the losses of other tokens, and that read noise: they should gain nothing. How much
a router's loss falls with ten times the tokens is said of the loss itself, as the fixed route gets better too.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import exp
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from duo import stats
from duo.stats import Intervals, Statistic, Study
from duo.studies import curves
from duo.studies.curves import LossFrom
from duo.tables.learning import LEARNING_CURVES, LEARNING_STATISTICS
from duo.terms import EXPECTED, FIXED, NONE, OWN, TRUE


@dataclass(frozen=True)
class LearnedLoss:
    """Key of the mean loss of what chooses, with what it has learned from; without a budget, the mean over budgets."""

    learned_from: int
    policy: str
    supervision: str
    input: str
    budget: float | None


class LearningCurves(Study):
    """One domain of one model, by cluster.

    tokens [clusters]; losses: sums [clusters], nats, of every policy and chooser at every budget. teacher: the chooser
    whose expected losses routers were told.
    """

    stream = ("learning curves",)

    def __init__(
        self, model: str, domain: str, tokens: np.ndarray, losses: Mapping[LearnedLoss, np.ndarray], teacher: str
    ) -> None:
        self.ids = {"model": model, "domain": domain}
        self.tokens, self.losses, self.teacher = tokens, losses, teacher
        self.clusters = len(tokens)

    def numbers(self, weights: np.ndarray) -> stats.Numbers:
        tokens = stats.weighted_sums(weights, self.tokens)
        means = {key: stats.weighted_sums(weights, sums) / tokens for key, sums in self.losses.items()}
        by_learner: dict[LearnedLoss, list[np.ndarray]] = {}
        for key, mean in means.items():
            by_learner.setdefault(_over_budgets(key), []).append(mean)
        means |= {key: np.mean(each, axis=0) for key, each in by_learner.items()}
        numbers = dict(means)
        fixed = {key: means[LearnedLoss(key.learned_from, FIXED, TRUE, NONE, key.budget)] for key in means}
        numbers |= curves.paired(means, {FIXED: fixed})
        return numbers | self._statistics(numbers)

    def _statistics(self, numbers: stats.Numbers) -> stats.Numbers:
        """Of the means over budgets: gains where most is learned from, slopes, and what a router misses and why."""
        losses = {key: number for key, number in numbers.items() if isinstance(key, LearnedLoss) and key.budget is None}
        gains = {
            key.loss: -number
            for key, number in numbers.items()
            if isinstance(key, LossFrom) and key.loss.budget is None and key.loss.policy != FIXED
        }
        most = max(key.learned_from for key in gains)
        found = {gain_of(key): gain for key, gain in gains.items() if key.learned_from == most}
        routers = dict.fromkeys((key.policy, key.supervision, key.input) for key in gains if key.input != NONE)
        for router in routers:
            along = {key.learned_from: -loss for key, loss in losses.items() if _router(key) == router}
            decades = np.log10(list(along))[:, None]
            found[slope(*router)] = stats.slopes(decades, np.stack(list(along.values())))
        own = gains[LearnedLoss(most, OWN, "", NONE, None)]
        ceiling = gains[LearnedLoss(most, self.teacher, "", NONE, None)]
        for policy, reads in dict.fromkeys((policy, reads) for policy, told, reads in routers if told == EXPECTED):
            true, noiseless = (gains[LearnedLoss(most, policy, told, reads, None)] for told in (TRUE, EXPECTED))
            found[missed(policy, self.teacher)] = ceiling - true
            found[by_noise(policy, self.teacher)] = noiseless - true
            found[without_noise(policy, self.teacher)] = ceiling - noiseless
            found[noise_less_rest(policy, self.teacher)] = 2 * noiseless - true - ceiling
            found[own_beyond(policy)] = own - noiseless
        return found

    def tables(self, estimates: Intervals) -> dict[Any, Any]:
        keys = [key for key in estimates if isinstance(key, LearnedLoss)]
        losses = [
            row | {"perplexity": exp(row["loss"])} | curves.differences(estimates, key, FIXED)
            for key, row in zip(keys, self.rows(estimates, LearnedLoss, "loss"), strict=True)
        ]
        return {LEARNING_CURVES: losses, LEARNING_STATISTICS: self.rows(estimates, Statistic)}


def _over_budgets(key: LearnedLoss) -> LearnedLoss:
    return LearnedLoss(key.learned_from, key.policy, key.supervision, key.input, None)


def _router(key: LearnedLoss) -> tuple[str, str, str]:
    return key.policy, key.supervision, key.input


def gain_of(key: LearnedLoss) -> Statistic:
    """What a router or a chooser gains over the fixed route that learns from as much, mean over budgets."""
    if key.input == NONE:
        words = f"gain of chooser {key.policy} over the fixed route, mean over budgets"
        return Statistic("chooser_gain", key.policy, FIXED, words=words)
    words = f"gain of {_words(*_router(key))} from {key.learned_from} tokens over the fixed route, mean over budgets"
    return Statistic("learned_gain", name(*_router(key)), FIXED, words=words)


def slope(policy: str, supervision: str, reads: str) -> Statistic:
    """How much a router's loss falls with ten times as many tokens, by least squares."""
    words = f"how much the loss of {_words(policy, supervision, reads)} falls with ten times the tokens"
    return Statistic("learned_slope", name(policy, supervision, reads), words=words)


def missed(policy: str, teacher: str) -> Statistic:
    """G - T of the module's words."""
    words = f"what the routes of {_label(policy)} told true losses miss of the gain of chooser {teacher}"
    return Statistic("missed", policy, teacher, words=words)


def by_noise(policy: str, teacher: str) -> Statistic:
    """N - T of the module's words."""
    words = f"part of it that goes where {_label(policy)} is told the losses that {teacher} expects"
    return Statistic("missed_by_noise", policy, teacher, words=words)


def without_noise(policy: str, teacher: str) -> Statistic:
    """G - N of the module's words."""
    words = f"part of it that stays where {_label(policy)} is told the losses that {teacher} expects"
    return Statistic("missed_without_noise", policy, teacher, words=words)


def noise_less_rest(policy: str, teacher: str) -> Statistic:
    """(N - T) - (G - N) of the module's words."""
    words = f"the part of what {_label(policy)} misses that label noise stands for, less the rest"
    return Statistic("noise_less_rest", policy, teacher, words=words)


def own_beyond(policy: str) -> Statistic:
    """What chooser `own` gains beyond N."""
    words = f"gain of chooser {OWN} beyond {_label(policy)} told expected losses"
    return Statistic("own_beyond", OWN, policy, words=words)


def name(policy: str, supervision: str, reads: str) -> str:
    """A router as the subject of a statistic."""
    return f"{policy}, {supervision}, {reads}"


def _label(policy: str) -> str:
    return f"router {policy.replace('_', ' ')}"


def _words(policy: str, supervision: str, reads: str) -> str:
    told = {TRUE: "told true losses", EXPECTED: "told expected losses"}.get(supervision, "told other tokens' losses")
    return f"{_label(policy)} {told}, reading {reads}"


def gather(model: str, learned: pa.Table, choices: pa.Table, teacher: str) -> list[LearningCurves]:
    """The study of every domain, from LEARNED of all amounts of supervision and CHOICES of the model.

    Of the choosers it takes the budgets that routers have. teacher: the chooser that is compared with.
    """
    most = pc.max(learned["learned_from"]).as_py()
    wanted = pc.is_in(choices["budget"], pc.unique(learned["budget"]))
    of_choosers = choices.filter(wanted).group_by(["domain", "cluster", "chooser", "budget"], use_threads=False)
    of_choosers = of_choosers.aggregate([("loss", "sum"), ("loss", "count")]).to_pylist()
    studies = []
    for domain in learned["domain"].unique().to_pylist():
        rows = learned.filter(pc.equal(learned["domain"], domain)).to_pylist()
        for row in of_choosers:
            if row["domain"] == domain:
                ids = {"learned_from": most, "policy": row["chooser"], "supervision": "", "input": NONE}
                sums = {"loss": row["loss_sum"], "tokens": row["loss_count"]}
                rows.append(ids | {"cluster": row["cluster"], "budget": row["budget"]} | sums)
        studies.append(_study(model, domain, rows, teacher))
    return studies


def _study(model: str, domain: str, rows: list[dict], teacher: str) -> LearningCurves:
    clusters = {row["cluster"]: row["tokens"] for row in sorted(rows, key=lambda row: row["cluster"])}
    sums: dict[LearnedLoss, dict[str, float]] = {}
    for row in rows:
        names = ("learned_from", "policy", "supervision", "input")
        key = LearnedLoss(*(row[name] for name in names), float(row["budget"]))
        sums.setdefault(key, {})[row["cluster"]] = row["loss"]
    losses = {key: np.array([each[name] for name in clusters]) for key, each in sums.items()}
    return LearningCurves(model, domain, np.array([*clusters.values()], float), losses, teacher)
