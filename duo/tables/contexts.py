"""What choosers choose without the label while the other tokens do this or that: file names and schemas with units."""

import pyarrow as pa

from duo.tables import fields
from duo.tables.fields import field, table

CONTEXT = field(
    "context", pa.string(), "shared, reference or greedy: what the other tokens do while a token's routes are tried"
)
CHOOSER = field("chooser", pa.string(), "own, others, stack, or a key of params sampled_labels.teachers")

# One row per token, budget and chooser, of the documents of JOINT_LOSSES.
JOINT_CHOICES = table(
    "joint_choices/{context}.parquet",
    fields.MODEL,
    fields.DOMAIN,
    fields.DOCUMENT,
    fields.CLUSTER,
    fields.POSITION,
    fields.BUDGET,
    CHOOSER,
    field("route", pa.int32(), "the route of this budget of lowest expected loss in this context, by the chooser"),
    field("isolated", pa.float32(), "its loss in this context, on the true label", "nats"),
    field(
        "joint",
        pa.float32(),
        "the token's loss where all tokens run jointly, once, each on the chooser's route",
        "nats",
    ),
    field("expected", pa.float32(), "its expected loss in this context, by the chooser", "nats"),
    field("null", pa.float32(), "expected loss of the oracle in this context, by the chooser", "nats"),
    field("reference_loss", pa.float32(), "loss on the true label where all tokens take the reference route", "nats"),
    field("reference_expected", pa.float32(), "expected loss there, by the chooser", "nats"),
)
