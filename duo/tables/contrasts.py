"""The gain on two kinds of text compared: file names and schemas with units."""

import pyarrow as pa

from duo.tables import fields
from duo.tables.fields import field, interval, table

# What is measured on one domain less the same on another, of one model: a row per model and statistic of the gain.
CONTRASTS = table(
    "results/contrasts/{name}.parquet",
    fields.MODEL,
    fields.DOMAIN,
    field("less", pa.string(), "the domain whose number is taken off"),
    *fields.STATISTIC,
    *interval("value", "on the domain, less on the other; Student's interval", ends="bare"),
    field("error", pa.float64(), "standard error over the clusters of both, which were drawn independently"),
    field("clusters", pa.int32(), "of the domain"),
    field("less_clusters", pa.int32(), "of the other"),
    fields.WORDS,
)
