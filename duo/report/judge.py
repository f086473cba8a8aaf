"""What became of claims. docs/claims.md has the rules, and their reasons.

A claim is judged by one statistic on a kind of text, over the models that differ by their seed alone; by a second
one, `beyond`, where the oracle chose by the label, whether it is more than luck. What else is shown is not judged. The
p-values of all claims and kinds of text are adjusted together, those of `beyond` for themselves.
"""

from collections.abc import Iterable, Mapping, Sequence
from math import nan
from typing import Any

import numpy as np
import pyarrow as pa

from duo import verdicts
from duo.errors import InputError
from duo.report.claim import COLUMNS, Claim, Test
from duo.tables.files import Table
from duo.tables.report import CLAIMS, REPORT, RUN_STATISTICS
from duo.terms import EXCESS, PLACEBO
from duo.verdicts import (
    BEYOND,
    BEYOND_LUCK,
    CLAIMED,
    FAILS,
    HOLDS,
    LESS,
    MORE,
    NO_EFFECT,
    NO_MORE,
    NOT_APPLICABLE,
    NOT_FORESEEN,
    NOT_JUDGED,
    SHOWN,
    VERDICTS,
)


def judge(
    claims: Iterable[Claim],
    statistics: Mapping[Table, pa.Table],
    models: Mapping[str, Sequence[str]],
    seeds: Mapping[str, int],
    confidence: float,
) -> pa.Table:
    """CLAIMS, from the tables of statistics, over the domains of the first.

    models: by STUDIED and SKIPPING, those that differ by their seed alone; seeds: of training, by model. 1 - confidence
    is the chance of any false verdict, of all claims and domains together. InputError, naming claim, statistic and
    domain, where a statistic is missing that the experiment should have.
    """
    domains = next(iter(statistics.values()))["domain"].unique().to_pylist()
    by_table = {table: found.to_pylist() for table, found in statistics.items()}
    rows = []
    for claim in claims:
        for domain in domains:
            of_domain = {table: [row for row in found if row["domain"] == domain] for table, found in by_table.items()}
            about = {
                "claim": claim.name,
                "words": claim.words,
                "figure": claim.figure,
                "link": f"{REPORT.place()}#{claim.figure}",
                "domain": domain,
            }
            found = [
                _tested(claim, role, test, of_domain, models[test.whose], seeds, confidence)
                for role, test in claim.tests.items()
            ]
            found += _shown(claim, of_domain, models[claim.primary.whose], seeds)
            rows += [about | row for row in found]
    _decide(rows, 1 - confidence)
    return pa.Table.from_pylist(rows, schema=CLAIMS.schema)


def _tested(
    claim: Claim,
    role: str,
    test: Test,
    statistics: Mapping[Table, list[dict]],
    models: Sequence[str],
    seeds: Mapping[str, int],
    confidence: float,
) -> dict[str, Any]:
    """A row of CLAIMS of one test, with the verdict of the region that is shown best, and its own p-value."""
    rows = [row for row in statistics.get(test.table, []) if row["model"] in models and test.concerns(row)]
    row = {name: getattr(test.statistic, name) for name in COLUMNS} | {
        "role": role,
        "statistic": test.words,
        "kind": test.kind,
        "delta": test.delta,
        "supports": test.supports,
    }
    if not rows:
        if test.there:
            names = ", ".join(f"{name} {getattr(test.statistic, name)}" for name in COLUMNS)
            raise InputError(
                f"{test.table.template}: no statistic for {test.words!r} ({names}) of model {' or '.join(models)}, "
                f"which claim {claim.name} rests on"
            )
        missing = dict.fromkeys(("estimate", "low", "high", "error", "seed_error", "p", "seed_low", "seed_high"), nan)
        empty = {"models": "", "seeds": "", "clusters": 0}
        return row | missing | empty | {"supports": f"needs {test.needs}", "verdict": NOT_APPLICABLE}
    values, errors = (
        test.sign * np.array([row["value"] for row in rows]),
        test.inflation * np.array([row["error"] for row in rows]),
    )
    clusters = rows[0]["clusters"]
    estimate = verdicts.pooled(values, errors, clusters)
    verdict, p_value = verdicts.best_shown(estimate, test.kind, test.delta)
    low, high = verdicts.ends(estimate, confidence)
    numbers = {"estimate": estimate.value, "low": low, "high": high, "error": estimate.error}
    numbers |= {
        "seed_error": np.sqrt(estimate.of_seeds),
        "p": p_value,
        "seed_low": values.min(),
        "seed_high": values.max(),
    }
    return (
        row
        | _of_models([row["model"] for row in rows], seeds)
        | {name: float(number) for name, number in numbers.items()}
        | {"clusters": clusters, "verdict": str(verdict)}
    )


def _of_models(models: Sequence[str], seeds: Mapping[str, int]) -> dict[str, str]:
    return {"models": ", ".join(models), "seeds": ", ".join(str(seeds[model]) for model in models)}


def _shown(
    claim: Claim, statistics: Mapping[Table, list[dict]], models: Sequence[str], seeds: Mapping[str, int]
) -> list[dict[str, Any]]:
    """Rows of CLAIMS of what stands beside a claim: one per statistic and model."""
    return [
        {name: row[name] for name in (*COLUMNS, "low", "high", "error", "clusters")}
        | _of_models([row["model"]], seeds)
        | {"role": SHOWN, "statistic": row["words"], "estimate": row["value"], "kind": "", "supports": ""}
        | dict.fromkeys(("delta", "seed_error", "p"), nan)
        | {"seed_low": row["value"], "seed_high": row["value"], "verdict": ""}
        for shown in claim.shown
        for row in statistics.get(shown.table, [])
        if row["model"] in models and shown.concerns(row)
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
    false = {(row["claim"], row["domain"]) for row in rows if (row["role"], row["verdict"]) == (PLACEBO, HOLDS)}
    for row in rows:
        if row["labels"] == EXCESS and row["role"] != SHOWN and (row["claim"], row["domain"]) in false:
            row["verdict"] = NOT_JUDGED
        elif row["role"] in (BEYOND, PLACEBO):
            row["verdict"] = beyond_luck(row["verdict"], row["labels"] in (EXCESS, PLACEBO))


def beyond_luck(verdict: str, compared: bool) -> str:
    """The verdict in words of luck; compared: whether with labels that luck would give, or shown without the label."""
    others = {NO_EFFECT: NO_MORE, FAILS: LESS} if compared else dict.fromkeys((NO_EFFECT, FAILS), NOT_FORESEEN)
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
