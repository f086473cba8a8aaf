"""What became of claims. docs/claims.md has the rules, and their reasons.

A claim is judged by one statistic on a kind of text, over the models that differ by their seed alone; by a second
one, `beyond`, where the oracle chose by the label, whether it is more than luck. What else is shown is not judged. The
p-values of all claims and kinds of text are adjusted together, those of `beyond` for themselves.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from math import nan
from typing import Any

import numpy as np
import pyarrow as pa

from duo import verdicts
from duo.errors import InputError
from duo.report.claim import COLUMNS, Beside, Claim, Test
from duo.tables.files import Table
from duo.tables.report import CLAIMS, REPORT, RUN_STATISTICS
from duo.terms import EXCESS, PLACEBO
from duo.verdicts import (
    BEYOND,
    BEYOND_LUCK,
    CLAIMED,
    FAILS,
    FORESEEN_LITTLE,
    HOLDS,
    LESS,
    LIKE_LUCK,
    MORE,
    NO_EFFECT,
    NOT_APPLICABLE,
    NOT_JUDGED,
    SHOWN,
    VERDICTS,
)


@dataclass(frozen=True)
class Evidence:
    """What was measured on one kind of text, and on which models.

    statistics: rows by table. models: by duo.report.claim's STUDIED and SKIPPING, those that differ by their seed
    alone; seeds: of training, by model, in words where it is none of ours.
    """

    domain: str
    statistics: Mapping[Table, list[dict]]
    models: Mapping[str, Sequence[str]]
    seeds: Mapping[str, Any]

    def rows(self, wanted: Test | Beside, whose: str) -> list[dict]:
        """Of a table of statistics, those that a claim wants, of these models."""
        domains = getattr(wanted, "tasks", ()) or (self.domain,)
        return [
            row
            for row in self.statistics.get(wanted.table, [])
            if row["domain"] in domains and row["model"] in self.models[whose] and wanted.concerns(row)
        ]

    def of(self, rows: Iterable[Mapping[str, Any]]) -> dict[str, str]:
        """Columns of CLAIMS that say which models rows are of."""
        models = [row["model"] for row in rows]
        return {"models": ", ".join(models), "seeds": ", ".join(str(self.seeds[model]) for model in models)}


def judge(
    claims: Iterable[Claim],
    statistics: Mapping[Table, pa.Table],
    models: Mapping[str, Sequence[str]],
    seeds: Mapping[str, Any],
    confidence: float,
) -> pa.Table:
    """CLAIMS, from the tables of statistics, over the domains of the first; models and seeds as in Evidence.

    1 - confidence is the chance of any false verdict, of all claims and domains together. InputError, naming claim,
    statistic and domain, where a statistic is missing that the experiment should have.
    """
    domains = next(iter(statistics.values()))["domain"].unique().to_pylist()
    by_table = {table: found.to_pylist() for table, found in statistics.items()}
    rows = []
    for claim, domain in product(claims, domains):
        evidence = Evidence(domain, by_table, models, seeds)
        about = {"claim": claim.name, "words": claim.words, "figure": claim.figure, "domain": domain}
        about["link"] = f"{REPORT.place()}#{claim.figure}"
        found = [_tested(claim, role, test, evidence, confidence) for role, test in claim.tests.items()]
        rows += [about | row for row in [*found, *_shown(claim, evidence)]]
    _decide(rows, 1 - confidence)
    return pa.Table.from_pylist(rows, schema=CLAIMS.schema)


def _tested(claim: Claim, role: str, test: Test, evidence: Evidence, confidence: float) -> dict[str, Any]:
    """A row of CLAIMS of one test, with the verdict of the region that is shown best, and its own p-value."""
    rows = evidence.rows(test, test.whose)
    about = {"role": role, "statistic": test.words, "kind": test.kind, "delta": test.delta, "supports": test.supports}
    about |= {name: getattr(test.statistic, name) for name in COLUMNS} | evidence.of(rows)
    if not rows and test.there:
        names = ", ".join(f"{name} {getattr(test.statistic, name)}" for name in COLUMNS)
        raise InputError(
            f"{test.table.template}: no statistic for {test.words!r} ({names}) of model "
            f"{' or '.join(evidence.models[test.whose])} in domain {evidence.domain!r}, which claim {claim.name} rests "
            "on"
        )
    if not rows:
        missing = dict.fromkeys(("estimate", "low", "high", "error", "seed_error", "p", "seed_low", "seed_high"), nan)
        return about | missing | {"clusters": 0, "supports": f"needs {test.needs}", "verdict": NOT_APPLICABLE}
    values, errors = (np.array([row[name] for row in rows]) for name in ("value", "error"))
    values, errors, clusters = test.sign * values, test.inflation * errors, rows[0]["clusters"]
    estimate = verdicts.pooled(values, errors, clusters)
    verdict, p_value = verdicts.best_shown(estimate, test.kind, test.delta)
    low, high = verdicts.ends(estimate, confidence)
    numbers = {"estimate": estimate.value, "low": low, "high": high, "error": estimate.error, "p": p_value}
    numbers |= {"seed_error": np.sqrt(estimate.of_seeds), "seed_low": values.min(), "seed_high": values.max()}
    numbers = {name: float(number) for name, number in numbers.items()}
    return about | numbers | {"clusters": clusters, "verdict": str(verdict)}


def _shown(claim: Claim, evidence: Evidence) -> list[dict[str, Any]]:
    """Rows of CLAIMS of what stands beside a claim: one per statistic and model."""
    return [
        {name: row[name] for name in (*COLUMNS, "low", "high", "error", "clusters")}
        | evidence.of([row])
        | {"role": SHOWN, "statistic": f"{row['domain']}: {row['words']}" if beside.tasks else row["words"]}
        | {"estimate": row["value"], "kind": "", "supports": ""}
        | dict.fromkeys(("delta", "seed_error", "p"), nan)
        | {"seed_low": row["value"], "seed_high": row["value"], "verdict": ""}
        for beside in claim.shown
        for row in evidence.rows(beside, claim.primary.whose)
    ]


def _decide(rows: list[dict[str, Any]], alpha: float) -> None:
    """Adjust the p-values of each role among all claims and domains, but of the placebo; and settle the verdicts."""
    for role in (CLAIMED, BEYOND, PLACEBO):
        tested = [row for row in rows if row["role"] == role and row["verdict"] != NOT_APPLICABLE]
        p_values = np.array([row["p"] for row in tested])
        if role != PLACEBO and tested:
            p_values = verdicts.holm(p_values)
        settled = verdicts.given(np.array([row["verdict"] for row in tested]), p_values, alpha)
        for row, p_value, verdict in zip(tested, p_values, settled, strict=True):
            row |= {"p": float(p_value), "verdict": str(verdict)}
    # What a placebo finds, however little, is bias, which the excess has too.
    false = {(row["claim"], row["domain"]) for row in rows if row["role"] == PLACEBO and row["low"] > 0}
    for row in rows:
        if row["labels"] == EXCESS and row["role"] != SHOWN and (row["claim"], row["domain"]) in false:
            row["verdict"] = NOT_JUDGED
        elif row["role"] in (BEYOND, PLACEBO):
            row["verdict"] = beyond_luck(row["verdict"], row["labels"] in (EXCESS, PLACEBO))


def beyond_luck(verdict: str, compared: bool) -> str:
    """The verdict in words of luck; compared: whether with labels that luck would give, or shown without the label."""
    others = {NO_EFFECT: LIKE_LUCK, FAILS: LESS} if compared else dict.fromkeys((NO_EFFECT, FAILS), FORESEEN_LITTLE)
    return ({HOLDS: MORE} | others).get(verdict, verdict)


def summary(table: pa.Table) -> dict:
    """CLAIM_METRICS, from CLAIMS: verdicts by claim and domain, and how often each was given; both as claimed and
    beyond luck.
    """
    by_role: dict[str, dict[str, dict[str, str]]] = {CLAIMED: {}, BEYOND: {}}
    for row in table.to_pylist():
        if row["role"] in by_role:
            by_role[row["role"]].setdefault(row["claim"], {})[row["domain"]] = row["verdict"]
    given = {role: [each for found in by_role[role].values() for each in found.values()] for role in by_role}
    return {
        "verdicts": {verdict: given[CLAIMED].count(verdict) for verdict in (*VERDICTS, NOT_JUDGED)},
        "claims": by_role[CLAIMED],
        "beyond_luck": {verdict: given[BEYOND].count(verdict) for verdict in BEYOND_LUCK},
        "claims_beyond_luck": by_role[BEYOND],
    }


def of_the_run(statistics: Mapping[Table, pa.Table], seeds: Mapping[str, int]) -> pa.Table:
    """RUN_STATISTICS, from every study's statistics; seeds: of training, by model."""
    rows = [
        row | {"study": table.template.split("/")[0], "seed": seeds[row["model"]]}
        for table, rows in statistics.items()
        for row in rows.to_pylist()
    ]
    return pa.Table.from_pylist(rows, schema=RUN_STATISTICS.schema)
