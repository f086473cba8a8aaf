"""Verdicts, figures and the page: file names and schemas with units."""

import pyarrow as pa

from duo.tables import fields
from duo.tables.fields import field, table
from duo.tables.files import File, Metrics

# The paper's claims and what became of them: one row per claim, domain, test and model.
CLAIMS = table(
    "results/claims.parquet",
    field("claim", pa.string(), "C1 to C19"),
    field("words", pa.string(), "what the paper says, in our words"),
    field("figure", pa.string(), "name of the picture that the claim rests on"),
    field("link", pa.string(), "that picture's place in the report"),
    fields.DOMAIN,
    fields.MODEL,
    field("seed", pa.int32(), "of that model's training"),
    *fields.STATISTIC,
    field("statistic", pa.string(), "the statistic in plain English"),
    field("estimate", pa.float64(), "no number where the statistic is missing"),
    field("low", pa.float64(), "lower end of the interval over documents"),
    field("high", pa.float64(), "upper end of the interval over documents"),
    field("supports", pa.string(), "where the interval must lie for the claim to hold, or why there is none"),
    field("verdict", pa.string(), "of this row: holds, fails or undecided"),
    field("claim_verdict", pa.string(), "of the claim on this domain, over all its rows"),
    field("seeds", pa.string(), "of the models that differ from this one by their seed alone, itself included"),
    field("seed_low", pa.float64(), "lowest estimate over these seeds"),
    field("seed_high", pa.float64(), "highest estimate over these seeds"),
)

# Every statistic of a run, of all its studies: what a reader may filter, pivot and compare with another run's.
RUN_STATISTICS = table(
    "results/statistics.parquet",
    field("study", pa.string(), "folder of the study's own table"),
    fields.MODEL,
    field("seed", pa.int32(), "of that model's training"),
    fields.DOMAIN,
    *fields.STATISTIC,
    *fields.VALUE_INTERVAL,
    fields.ERROR,
    fields.CLUSTERS,
    fields.WORDS,
)

# Verdicts by claim and domain, and how often each was given.
CLAIM_METRICS = Metrics("results/metrics.json")

FIGURE = File("figures/{name}.{format}")

REPORT = File("report/index.html")

# Which claims on the oracle are more than selection bias: one row per claim, domain, test and model.
CORRECTED_CLAIMS = table(
    "gain/corrected_claims.parquet",
    field("claim", pa.string(), "as in CLAIMS"),
    field("words", pa.string(), "what the paper says, in our words"),
    fields.DOMAIN,
    fields.MODEL,
    *fields.STATISTIC[:-1],
    field("statistic", pa.string(), "the statistic in plain English"),
    field("supports", pa.string(), "where an interval must lie for the claim"),
    *(
        field(f"{name}{end}", pa.float64(), f"{words}{meaning}")
        for name, meaning in {
            "true": "the statistic on the true labels, as the claim has it",
            "null": "the statistic on the sampled labels",
            "corrected": "the statistic with selection bias taken off",
        }.items()
        for end, words in {
            "": "",
            "_low": "lower end of the interval of ",
            "_high": "upper end of the interval of ",
        }.items()
    ),
    field("verdict", pa.string(), "of this row, on true labels and corrected: survives, does not, or undecided"),
    field("claim_verdict", pa.string(), "of the claim on this domain, over all its rows"),
)
