"""How much of the teacher-informed gap routers close on held-out tokens: losses, differences, shares, with intervals.

The share of the teacher-informed gap that a policy closes is (fixed - policy) / (fixed - ceiling), of losses at exactly
a budget. Fixed is the best route of the domain, chosen on training documents as the routers learn from them. The
ceiling is the loss of the routes that the first teacher's predictions prefer without the label. Beside policies
stand the label-free routes of the other choosers, the model's own among them: a router that reads the model's states
knows no more than these. All are of the same tokens and replicates. No policy but these is known by name: what others
are is said by their column `role`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from itertools import combinations, product
from math import exp, nan
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from duo import stats
from duo.errors import InputError
from duo.routers.whole_budgets import comparable, oracle_budget
from duo.routes import RouteSpace
from duo.settings import OneRouter
from duo.stats import Interval, Intervals, Statistic, Study
from duo.studies import curves
from duo.tables.studies import GAP_CLOSED_CURVES, GAP_CLOSED_STATISTICS
from duo.terms import (
    AVERAGE,
    BASELINE,
    BIG,
    CEILING,
    CHOOSER,
    CHOOSERS,
    EXACT,
    FIXED,
    HARD,
    ISOLATED,
    JOINT,
    LEARNED,
    NONE,
    PAPER,
)


@dataclass(frozen=True, order=True)
class PolicyVariant:
    """What chooses routes: a policy, and which input and network of it."""

    policy: str
    role: str
    input: str
    network: str


@dataclass(frozen=True)
class PolicyLoss:
    """Key of the mean loss of a variant that is held to a budget; kind: isolated or joint."""

    variant: PolicyVariant
    constraint: str
    budget: int
    kind: str

    @property
    def columns(self) -> dict[str, Any]:
        rest = {"constraint": self.constraint, "budget": self.budget, "kind": self.kind}
        return asdict(self.variant) | rest


@dataclass(frozen=True)
class BesideLoss:
    """Key of a number beside such a loss.

    measure: big (layers per token), from_fixed (the loss less fixed's), or share (of the gap closed).
    """

    loss: PolicyLoss
    measure: str


@dataclass(frozen=True)
class PolicySums:
    """Sums over the tokens of each document, [documents]."""

    losses: np.ndarray  # nats
    big: np.ndarray  # big layers


FIXED_ROUTE = PolicyVariant(FIXED, BASELINE, NONE, NONE)
CEILING_ROUTES = PolicyVariant(CEILING, CEILING, NONE, NONE)
PAPER_ROUTER = PolicyVariant(PAPER, PAPER, "layers", "linear")
CHOOSER_ROUTES = [PolicyVariant(name, CHOOSER, NONE, NONE) for name in CHOOSERS]
# Columns of POLICY_ROUTES.
VARIANT = [column.name for column in fields(PolicyVariant)]
KEYS = [*VARIANT, "constraint", "budget"]


class GapClosed(Study):
    """One domain of one model, summed by document, documents in order of id.

    tokens [documents]. chosen: of each policy the variant that is best on validation; the choice is kept in every
    replicate.
    """

    stream = ("policies",)

    def __init__(
        self,
        model: str,
        domain: str,
        tokens: np.ndarray,
        sums: dict[PolicyLoss, PolicySums],
        chosen: set[PolicyVariant],
    ) -> None:
        self.ids = {"model": model, "domain": domain}
        self.tokens, self.sums, self.chosen = tokens, sums, chosen
        self.clusters = len(tokens)

    def numbers(self, weights: np.ndarray) -> stats.Numbers:
        tokens = stats.weighted_sums(weights, self.tokens)
        means = {key: stats.weighted_sums(weights, sums.losses) / tokens for key, sums in self.sums.items()}
        numbers = dict(means)
        for key, sums in self.sums.items():
            fixed, ceiling = (
                means[PolicyLoss(variant, EXACT, key.budget, ISOLATED)] for variant in (FIXED_ROUTE, CEILING_ROUTES)
            )
            numbers[BesideLoss(key, "big")] = stats.weighted_sums(weights, sums.big) / tokens
            numbers[BesideLoss(key, "from_fixed")] = means[key] - fixed
            if key.constraint == EXACT:
                gap = fixed - ceiling
                share = np.divide(fixed - means[key], gap, out=np.full_like(gap, nan), where=gap != 0)
                numbers[BesideLoss(key, "share")] = share
        return numbers | self._of_chosen(numbers) | self._between_learned(means)

    def _of_chosen(self, numbers: stats.Numbers) -> stats.Numbers:
        """Differences from fixed, and shares of the gap, of each policy's chosen variant."""
        chosen = {}
        for key in self.sums:
            if key.variant in self.chosen and key.variant.policy != FIXED:
                name = (key.variant.policy, key.budget, key.kind)
                chosen[less_fixed(*name, key.constraint)] = numbers[BesideLoss(key, "from_fixed")]
                if key.constraint == EXACT and key.variant != CEILING_ROUTES:
                    chosen[share_closed(*name)] = numbers[BesideLoss(key, "share")]
        return chosen

    def _between_learned(self, means: stats.Numbers) -> stats.Numbers:
        """Isolated differences between the policies that learned from the losses, two at a time, and their spread."""
        numbers = {}
        for budget in self._budgets():
            losses = {
                variant.policy: means[PolicyLoss(variant, EXACT, budget, ISOLATED)] for variant in self._learned()
            }
            for first, second in combinations(losses, 2):
                numbers[difference(first, second, budget)] = losses[first] - losses[second]
            if losses:
                numbers[spread(budget)] = np.ptp(list(losses.values()), axis=0)
        return numbers

    def agreement(self, estimates: Intervals) -> dict[Statistic, Interval]:
        """Whether the good policies differ. Of the pairs of learned policies that are both surely better than fixed:
        how many there are, how many of these are not told apart, and the largest difference with its interval.

        Counts follow from the intervals of all documents, so they have none of their own: its ends are the count.
        """
        counted = {}
        for budget in self._budgets():
            good = [
                variant.policy
                for variant in self._learned()
                if estimates[less_fixed(variant.policy, budget, ISOLATED)].high < 0
            ]
            pairs = [estimates[difference(*pair, budget)] for pair in combinations(good, 2)]
            alike = [pair for pair in pairs if pair.low <= 0 <= pair.high]
            counted[good_pairs(budget)] = Interval(*[float(len(pairs))] * 3)
            counted[good_pairs_alike(budget)] = Interval(*[float(len(alike))] * 3)
            if pairs:
                counted[largest_difference(budget)] = max(map(_positive, pairs), key=lambda pair: pair.value)
        return counted

    def tables(self, estimates: Intervals) -> dict[Any, Any]:
        return {
            GAP_CLOSED_CURVES: [self._curve_row(key, estimates) for key in self.sums],
            GAP_CLOSED_STATISTICS: self.rows({**estimates, **self.agreement(estimates)}, Statistic),
        }

    def headline(self, estimates: Intervals) -> dict[str, dict[str, dict[str, float]]]:
        """GAP_CLOSED_METRICS of this domain: by policy and loss, the difference from fixed with its interval."""
        budgets, differences = self._budgets(), {}
        for policy, kind in product(
            dict.fromkeys(variant.policy for variant in sorted(self.chosen)), (ISOLATED, JOINT)
        ):
            statistic = less_fixed(policy, budgets[len(budgets) // 2], kind)
            if statistic in estimates:
                differences.setdefault(policy, {})[kind] = estimates[statistic]._asdict()
        return differences

    def _learned(self) -> list[PolicyVariant]:
        return [variant for variant in sorted(self.chosen) if variant.role == LEARNED]

    def _budgets(self) -> list[int]:
        return list(dict.fromkeys(key.budget for key in self.sums))

    def _curve_row(self, key: PolicyLoss, estimates: Intervals) -> dict[str, Any]:
        loss = estimates[key]
        row = self.ids | key.columns | {"chosen": key.variant in self.chosen}
        row |= {"loss": loss.value, "low": loss.low, "high": loss.high, "perplexity": exp(loss.value)}
        row["big"] = estimates[BesideLoss(key, "big")].value
        for measure in ("from_fixed", "share"):
            row |= stats.ends(measure, estimates.get(BesideLoss(key, measure), curves.NO_NUMBER))
        return row


def less_fixed(policy: str, budget: int, kind: str, constraint: str = EXACT) -> Statistic:
    """The loss of a policy's chosen variant, less that of the fixed route at exactly the same budget."""
    average = constraint == AVERAGE
    words = (
        f"routes of {_policy(policy)} with {budget} big layers{' on average' if average else ''}, {kind}, less fixed"
    )
    family = f"{kind}_difference_on_average" if average else f"{kind}_difference"
    return Statistic(family, policy, FIXED, budget, words=words)


def share_closed(policy: str, budget: int, kind: str) -> Statistic:
    """The share of the teacher-informed gap that a policy's chosen variant closes, at exactly a budget."""
    words = f"share of the teacher-informed gap that {_policy(policy)} closes at budget {budget}, {kind}"
    return Statistic(f"{kind}_gap_closed", policy, CEILING, budget, words=words)


def difference(first: str, second: str, budget: int) -> Statistic:
    """The isolated loss of one learned policy less that of another, both at exactly the budget."""
    words = f"routes of {_policy(first)} less those of {_policy(second)}, at budget {budget}, isolated"
    return Statistic(f"{ISOLATED}_difference", first, second, budget, words=words)


def spread(budget: int) -> Statistic:
    """The highest loss of all learned policies less the lowest."""
    words = f"highest less lowest isolated loss at budget {budget} of all that learn from the losses of all routes"
    return Statistic(f"{ISOLATED}_spread", LEARNED, budget=budget, words=words)


def good_pairs(budget: int) -> Statistic:
    """How many pairs of learned policies are both surely better than fixed."""
    words = f"number of pairs of learned policies whose intervals both lie below fixed at budget {budget}"
    return Statistic("good_pairs", LEARNED, FIXED, budget, words=words)


def good_pairs_alike(budget: int) -> Statistic:
    """How many of good_pairs are not told apart."""
    words = f"number of these pairs at budget {budget} whose difference has an interval that holds 0"
    return Statistic("good_pairs_alike", LEARNED, FIXED, budget, words=words)


def largest_difference(budget: int) -> Statistic:
    """The largest difference between the two of any of good_pairs; missing where there is none."""
    words = f"largest difference between two of these at budget {budget}, isolated"
    return Statistic("largest_difference", LEARNED, FIXED, budget, words=words)


def _policy(name: str) -> str:
    kind = "chooser" if name in CHOOSERS else "policy"
    return f"{kind} {name.replace('_', ' ')}"


def _positive(interval: Interval) -> Interval:
    """A difference the other way round, where it is below 0."""
    value, low, high = interval
    return Interval(-value, -high, -low, interval.error) if value < 0 else interval


def gather(
    model: str,
    layers: int,
    routes: Iterable[pa.Table],
    settings: Iterable[pa.Table],
    choices: pa.Table,
    teacher: str,
    routers: Mapping[str, OneRouter],
    routed: Mapping[str, pa.Table],
) -> list[GapClosed]:
    """The study of every domain of a model, from POLICY_ROUTES, POLICY_SETTINGS, CHOICES, and ROUTED by router.

    teacher: the chooser whose routes are the ceiling; those of CHOOSERS are taken too, as far as there are any.

    Of the routers, which the paper's way trained, those are taken that compare with the oracle. InputError where
    anything was scored on other documents than the rest.
    """
    big, chosen = RouteSpace(layers).counts(BIG), _best(settings) | {CEILING_ROUTES, PAPER_ROUTER, *CHOOSER_ROUTES}
    parts = [_policy_rows(table, big) for table in routes]
    parts += _chooser_rows(choices.filter(pc.equal(choices["model"], model)), teacher)
    of_model = {name: router for name, router in routers.items() if router.model == model}
    parts += [_paper_rows(routed[name], oracle_budget(of_model[name])) for name in comparable(of_model)]
    rows = pa.concat_tables(parts)
    rows = rows.filter(pc.is_in(rows["budget"], pc.unique(parts[0]["budget"])))
    domains = parts[0]["domain"].unique().to_pylist()
    return [_study(model, domain, rows.filter(pc.equal(rows["domain"], domain)), chosen) for domain in domains]


def _policy_rows(table: pa.Table, big: np.ndarray) -> pa.Table:
    """Sums of POLICY_ROUTES by cluster; big [routes]: how many big layers."""
    table = table.append_column("big", pa.array(big[table["route"].to_numpy()].astype(np.float64)))
    return pa.concat_tables([_sums(table, "loss", ISOLATED), _sums(table, "joint", JOINT)])


def _chooser_rows(choices: pa.Table, teacher: str) -> list[pa.Table]:
    """The same of the choices of the teacher, and of each of CHOOSERS that there are choices of."""
    variants = {teacher: CEILING_ROUTES} | {variant.policy: variant for variant in CHOOSER_ROUTES}
    parts = []
    for chooser in choices["chooser"].unique().to_pylist():
        if chooser in variants:
            chosen = choices.filter(pc.equal(choices["chooser"], chooser))
            columns = {"loss": chosen["loss"], "big": chosen["budget"].cast(pa.float64())}
            table = chosen.select(["domain", "cluster", "budget"])
            table = _with(table, asdict(variants[chooser]) | {"constraint": EXACT} | columns)
            parts.append(_sums(table, "loss", ISOLATED))
    return parts


def _paper_rows(table: pa.Table, budget: int) -> pa.Table:
    """The same of a router of the paper's, hard and exact: its tokens were routed together."""
    parts = []
    for kind, constraint in {HARD: AVERAGE, EXACT: EXACT}.items():
        scored = table.filter(pc.equal(table["kind"], kind))
        columns = {"constraint": constraint, "budget": pa.scalar(budget, pa.int32())}
        columns |= {"big": scored["big"].cast(pa.float64())}
        part = _with(scored.select(["domain", "cluster", "loss"]), asdict(PAPER_ROUTER) | columns)
        parts.append(_sums(part, "loss", JOINT))
    return pa.concat_tables(parts)


def _with(table: pa.Table, columns: Mapping[str, object]) -> pa.Table:
    """The table with more columns, of which a word or a scalar stands in every row."""
    for name, column in columns.items():
        column = pa.repeat(column, len(table)) if isinstance(column, str | pa.Scalar) else column
        table = table.append_column(
            name, column if isinstance(column, pa.ChunkedArray | pa.Array) else pa.array(column)
        )
    return table


def _sums(table: pa.Table, column: str, kind: str) -> pa.Table:
    """Tokens, sums of losses and of big layers by cluster and policy, of one kind of loss."""
    keys = [*KEYS, "domain", "cluster"]
    grouped = table.select([*keys, column, "big"]).group_by(keys, use_threads=False)
    sums = grouped.aggregate([(column, "sum"), ("big", "sum"), (column, "count")])
    columns = dict(zip([*keys, "loss", "big", "tokens"], sums.columns, strict=True))
    # A new table, as fields that may and that may not be empty don't go together.
    return pa.table(columns | {"kind": pa.repeat(kind, len(sums))})


def _best(settings: Iterable[pa.Table]) -> set[PolicyVariant]:
    """Of each policy, the variant with the lowest validation loss, mean over the budgets met exactly."""
    losses: dict[str, dict[PolicyVariant, list[float]]] = {}
    for row in pa.concat_tables(settings).to_pylist():
        if row["constraint"] == EXACT:
            variant = PolicyVariant(*(row[name] for name in VARIANT))
            losses.setdefault(variant.policy, {}).setdefault(variant, []).append(row["validation"])
    return {min(variants, key=lambda variant: np.mean(variants[variant])) for variants in losses.values()}


def _study(model: str, domain: str, rows: pa.Table, chosen: set[PolicyVariant]) -> GapClosed:
    by_key: dict[PolicyLoss, list[dict]] = {}
    for row in rows.sort_by("cluster").to_pylist():
        variant = PolicyVariant(*(row[name] for name in VARIANT))
        by_key.setdefault(PolicyLoss(variant, row["constraint"], row["budget"], row["kind"]), []).append(row)
    documents = {key: [(row["cluster"], row["tokens"]) for row in part] for key, part in by_key.items()}
    first = next(iter(documents.values()))
    for key, scored in documents.items():
        if scored != first:
            raise InputError(
                f"{key.variant.policy} at budget {key.budget}: scored on other documents of domain {domain!r} than "
                "the others"
            )
    sums = {
        key: PolicySums(*(np.array([row[column] for row in part]) for column in ("loss", "big")))
        for key, part in by_key.items()
    }
    return GapClosed(model, domain, np.array([tokens for _, tokens in first]), sums, chosen)
