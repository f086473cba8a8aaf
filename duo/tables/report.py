"""Verdicts, figures and the page: file names and schemas with units."""

import pyarrow as pa

from duo.tables import fields
from duo.tables.fields import field, table
from duo.tables.files import File, Metrics

# The paper's claims and what became of them: one row per claim, domain and role; of the role shown, per statistic and
# model.
CLAIMS = table(
    "results/claims.parquet",
    field("claim", pa.string(), "C1 to C19"),
    field("words", pa.string(), "what the paper says, in our words"),
    field("figure", pa.string(), "name of the picture that the claim rests on"),
    field("link", pa.string(), "that picture's place in the report"),
    fields.DOMAIN,
    field(
        "role",
        pa.string(),
        "claimed: judges the claim; beyond luck: whether that is more than luck; placebo: the same test where all is "
        "luck; shown: stands beside, not judged",
    ),
    field("models", pa.string(), "that the estimate is a mean over, which differ by their seed alone"),
    field("seeds", pa.string(), "of their training"),
    *fields.STATISTIC,
    field("statistic", pa.string(), "the statistic in plain English"),
    field("estimate", pa.float64(), "mean over the models; no number where the statistic is missing"),
    field("low", pa.float64(), "lower end of the interval over clusters and seeds, of this statistic alone"),
    field("high", pa.float64(), "upper end of the interval over clusters and seeds, of this statistic alone"),
    field("error", pa.float64(), "standard error over clusters and, of several models, seeds"),
    field("clusters", pa.int32(), "how many clusters the error is over"),
    field("seed_error", pa.float64(), "the part of it that is over seeds; 0 of one model"),
    field("kind", pa.string(), "effect, above, below or within: where the statistic must lie, seen from delta"),
    field("delta", pa.float64(), "smallest effect of interest, bound or margin"),
    field("supports", pa.string(), "where the statistic must lie for the claim to hold, or what is missing"),
    field("p", pa.float64(), "of the verdict that is shown best, adjusted for the number of tests of this role"),
    field(
        "verdict",
        pa.string(),
        "of claimed: holds, no such effect, fails, undecided, not applicable or not judged; of the others more than, "
        "like or less than luck, too little foreseen, undecided or not judged; of shown none",
    ),
    field("seed_low", pa.float64(), "lowest estimate over the models"),
    field("seed_high", pa.float64(), "highest estimate over the models"),
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

# By domain, what duo.report.numbers.headline names: the few numbers that runs are compared by.
HEADLINE = Metrics("results/headline.json")

FIGURE = File("figures/{name}.{format}")

REPORT = File("report/index.html")
