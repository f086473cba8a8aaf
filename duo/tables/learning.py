"""How much a router gains from more supervision: file names and schemas with units."""

import pyarrow as pa

from duo.tables import fields
from duo.tables.fields import field, interval, table
from duo.tables.files import Table

# What routers learn from: rows of text that the backbone has not seen, each with the losses of a few random routes.
SUPERVISION = table(
    "supervision/{domain}.parquet",
    fields.DOMAIN,
    field("row", pa.int32(), "index of the row of text"),
    field("tokens", pa.list_(pa.uint16()), "a context and the token after it: tokens.sequence + 1 ids"),
    field(
        "routes", pa.list_(pa.int32()), "codes of the row's routes: learning.routes of every one of learning.budgets"
    ),
    field("losses", pa.list_(pa.float32()), "of every token under each of these routes, token by token", "nats"),
    field("expected", pa.list_(pa.float32()), "the same, as the first teacher expects them", "nats"),
)

LEARNED_FROM = field("learned_from", pa.int32(), "tokens of each domain that the router and the fixed route learn from")
_LEARNER = [
    field(
        "policy",
        pa.string(),
        "what chooses: fixed, the route that is best for the domain in what is learned from; a router, by what it is "
        "trained for; or a chooser, by a prediction of the label",
    ),
    field(
        "supervision",
        pa.string(),
        "whose losses a router is told: true, of the true labels; expected, as the first teacher expects them; "
        "shuffled, the true ones of other tokens; empty for a chooser",
    ),
    field("input", pa.string(), "what a router reads: layers, the hidden states; random, noise; none"),
]

# Sums over the held-out tokens of a cluster; a router has the network that is better on validation.
LEARNED = table(
    "learning/{tokens}/losses.parquet",
    fields.MODEL,
    fields.DOMAIN,
    fields.CLUSTER,
    LEARNED_FROM,
    *_LEARNER,
    field("network", pa.string(), "linear, mlp or none"),
    fields.BUDGET,
    field("tokens", pa.int64(), "of the cluster"),
    field("loss", pa.float64(), "sum over them, isolated: in context shared", "nats"),
)

LEARNING_CURVES = table(
    "learning_curves/curves.parquet",
    fields.MODEL,
    fields.DOMAIN,
    field(
        "learned_from",
        pa.int32(),
        "tokens of each domain that it learns from; of a chooser, that the fixed route beside it learns from",
    ),
    *_LEARNER,
    pa.field("budget", pa.float64(), metadata={"meaning": "big layers per token; empty for the mean over budgets"}),
    *fields.LOSS_INTERVAL,
    *interval("from_fixed", "the loss less that of the fixed route that learns from as much", "nats per token"),
)

LEARNING_STATISTICS = Table("learning_curves/statistics.parquet", fields.STATISTICS)
