"""Which of the paper's claims on the oracle are more than luck of the label.

A claim's own test must hold of the statistic as claimed, on the true labels, and of the same statistic when luck is
taken off (duo.studies.gain, duo.studies.skips). By the rule of duo.report.claims, for each test and over the tests
and models of a claim: it survives where all hold, does not where any fails, and is undecided otherwise. A statistic
that luck cannot touch has no row.
"""

from collections.abc import Iterable, Mapping

import pyarrow as pa

from duo.report import claims
from duo.tables.report import CORRECTED_CLAIMS

VERDICTS = {claims.HOLDS: "survives", claims.FAILS: "does not", claims.UNDECIDED: claims.UNDECIDED}


def judge(listed: Iterable[claims.Claim], gains: pa.Table, skips: pa.Table) -> pa.Table:
    """CORRECTED_CLAIMS, from GAIN_STATISTICS and SKIP_STATISTICS, for every claim that rests on statistics which they
    correct for luck.
    """
    found: dict[str, dict[tuple[str, str], dict[str, dict]]] = {"gain": _by_domain(gains), "skips": _by_domain(skips)}
    rows = []
    for claim in listed:
        for domain in gains["domain"].unique().to_pylist():
            tested = [
                row
                for test in claim.tests
                for row in _tested(test, found["skips" if test.source == "skips" else "gain"], domain)
            ]
            rows += [
                {"claim": claim.name, "words": claim.words}
                | row
                | {"verdict": VERDICTS[row["verdict"]], "claim_verdict": VERDICTS[claims.over_models(tested)]}
                for row in tested
            ]
    return pa.Table.from_pylist(rows, schema=CORRECTED_CLAIMS.schema)


def _by_domain(statistics: pa.Table) -> dict[tuple[str, str], dict[str, dict]]:
    """Rows by name, by (model, domain)."""
    found: dict[tuple[str, str], dict[str, dict]] = {}
    for row in statistics.to_pylist():
        found.setdefault((row["model"], row["domain"]), {})[row["name"]] = row
    return found


def _tested(test: claims.Test, statistics: Mapping[tuple[str, str], dict[str, dict]], domain: str) -> list[dict]:
    """A row a model whose statistic of the test has a corrected one beside it, with the verdict in the words of
    duo.report.claims.
    """
    rows = []
    for (model, of), named in statistics.items():
        if of == domain and f"corrected_{test.name}" in named:
            kinds = {
                "true": named[test.name],
                "null": named[f"null_{test.name}"],
                "corrected": named[f"corrected_{test.name}"],
            }
            values = {
                f"{kind}{end}": row[end.strip("_") or "value"]
                for kind, row in kinds.items()
                for end in ("", "_low", "_high")
            }
            verdict = claims.joint(
                [test.verdict(kinds[kind]["low"], kinds[kind]["high"]) for kind in ("true", "corrected")]
            )
            ids = {"domain": domain, "model": model, "statistic": test.name, "supports": test.supports}
            rows.append(ids | values | {"verdict": verdict})
    return rows
