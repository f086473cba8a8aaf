"""The trend over scale: file names and schemas with units."""

import pyarrow as pa

from duo.tables import data, fields, training
from duo.tables.fields import field, interval, table
from duo.tables.files import File, Metrics, Table

# Tokens of each vocabulary: what its points are trained on, as PACKED, and the same spans of the test split for all.
TREND_PACKED = Table("trend/tokens/{vocabulary}/packed.parquet", data.PACKED.schema)

SPANS = table(
    "trend/tokens/{vocabulary}/spans.parquet",
    fields.DOMAIN,
    fields.DOCUMENT,
    fields.CLUSTER,
    field("byte", pa.int32(), "index in the document of the first byte that is scored"),
    field("bytes", pa.int32(), "that are scored, the same for every vocabulary", "bytes"),
    field("context", pa.int32(), "how many of the tokens are read and not scored: they come first"),
    field("tokens", pa.list_(pa.uint16()), "of the span; as many as the vocabulary takes to spell it"),
)

# Spans, bytes, scored tokens and bytes per token of every domain.
SPAN_METRICS = Metrics("trend/tokens/{vocabulary}/metrics.json")

TREND_MODEL = File("trend/models/{point}/model.safetensors")
TREND_HISTORY = Table("trend/models/{point}/history.parquet", training.HISTORY.schema)
TREND_TRAINING = Metrics("trend/models/{point}/metrics.json")

POINT = field("point", pa.string(), "a key of params trend.points")
SHARE = field("share", pa.float64(), "of the layers that are big, before rounding to whole layers")
CHOOSER = field(
    "chooser",
    pa.string(),
    "whose prediction chooses routes without the label: own, a teacher's name, or stack (both pooled)",
)

# Sums over the scored tokens of a cluster.
TREND_LOSSES = table(
    "trend/losses/{point}.parquet",
    POINT,
    fields.DOMAIN,
    fields.CLUSTER,
    SHARE,
    fields.BUDGET,
    CHOOSER,
    field("tokens", pa.int64(), "that are scored"),
    field("bytes", pa.int64(), "that they spell", "bytes"),
    field("reference", pa.float64(), "loss with all layers big", "nats"),
    field("oracle", pa.float64(), "lowest loss among the budget's routes", "nats"),
    field("choice", pa.float64(), "loss of the route that the chooser expects to be best", "nats"),
    field("expected", pa.float64(), "its mean loss under the chooser's own prediction", "nats"),
    field("null", pa.float64(), "mean loss of the oracle under the chooser's prediction", "nats"),
    field("surprisal", pa.float64(), "of the true labels under the chooser's prediction", "nats"),
    field("gain", pa.float64(), "reference loss less oracle loss", "nats"),
    field("matched_gain", pa.float64(), "mean of that gain over words as surprising in the same context", "nats"),
)

# What the study of a line finds, a file for each factor.
_TREND = [
    fields.DOMAIN,
    field("factor", pa.string(), "what varies: tokens, width, layers, ratio or vocabulary"),
    field("measure", pa.string(), "what is measured, in short"),
    field("words", pa.string(), "the measure in plain English"),
    field("unit", pa.string(), "of the measure"),
    pa.field("share", pa.float64(), metadata={"meaning": "of the layers that are big; empty where it plays no part"}),
    field(
        "chooser",
        pa.string(),
        "whose prediction it is: own, a teacher's name, or stack (both pooled); empty where nobody's",
    ),
]

TREND_POINTS = table(
    "results/trend/{factor}/points.parquet",
    *_TREND,
    POINT,
    field("x", pa.float64(), "the point's value of the factor"),
    *fields.VALUE_INTERVAL,
    fields.ERROR,
    fields.CLUSTERS,
)

TREND_SLOPES = table(
    "results/trend/{factor}/slopes.parquet",
    *_TREND,
    field("points", pa.int32(), "that the line goes through"),
    *interval("value", "slope per doubling of the factor, by least squares", ends="bare"),
    fields.ERROR,
    fields.CLUSTERS,
)
