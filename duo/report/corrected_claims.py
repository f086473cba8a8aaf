"""Which of the paper's claims on the oracle are more than selection bias.

A claim's own test must hold of the statistic on the true labels and of the same statistic with selection bias taken off
(duo.studies.gain, duo.studies.skips). By the rule of duo.report.claims, for each test and over the tests and models of
a claim: it survives where all hold, does not where any fails, and is undecided otherwise. A statistic that selection
bias cannot touch has no row.
"""

from collections.abc import Iterable, Mapping

import pyarrow as pa

from duo.report import claims
from duo.stats import Interval, ends
from duo.tables.report import CORRECTED_CLAIMS
from duo.tables.studies import SKIP_STATISTICS

VERDICTS = {claims.HOLDS: "survives", claims.FAILS: "does not", claims.UNDECIDED: claims.UNDECIDED}
LABELS = {"true": "true", "sampled": "null", "corrected": "corrected"}  # columns of CORRECTED_CLAIMS


def judge(listed: Iterable[claims.Claim], gains: pa.Table, skips: pa.Table) -> pa.Table:
    """CORRECTED_CLAIMS, from GAIN_STATISTICS and SKIP_STATISTICS, for every claim that rests on statistics which they
    correct for selection bias.
    """
    rows = []
    for claim in listed:
        for domain in gains["domain"].unique().to_pylist():
            tested = [
                row
                for test in claim.tests
                for row in _tested(test, skips if test.table is SKIP_STATISTICS else gains, domain)
            ]
            rows += [
                {"claim": claim.name, "words": claim.words}
                | row
                | {"verdict": VERDICTS[row["verdict"]], "claim_verdict": VERDICTS[claims.over_models(tested)]}
                for row in tested
            ]
    return pa.Table.from_pylist(rows, schema=CORRECTED_CLAIMS.schema)


def _tested(test: claims.Test, statistics: pa.Table, domain: str) -> list[dict]:
    """A row per model whose statistic has a corrected one beside it, with the verdict of duo.report.claims."""
    by_model: dict[str, dict[str, Mapping]] = {}
    for row in statistics.to_pylist():
        if row["domain"] == domain and row["labels"] in LABELS and test.concerns(row | {"labels": "true"}):
            by_model.setdefault(row["model"], {})[row["labels"]] = row
    rows = []
    for model, by_labels in by_model.items():
        if by_labels.keys() == LABELS.keys():
            true, corrected = by_labels["true"], by_labels["corrected"]
            verdicts = [test.verdict(row["low"], row["high"]) for row in (true, corrected)]
            columns = {name: true[name] for name in claims.COLUMNS if name != "labels"}
            columns |= {"domain": domain, "model": model, "statistic": true["words"], "supports": test.supports}
            for labels, name in LABELS.items():
                columns |= ends(name, Interval(*(by_labels[labels][end] for end in ("value", "low", "high"))))
            rows.append(columns | {"verdict": claims.over_tests(verdicts)})
    return rows
