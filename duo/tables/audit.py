"""What an audit of a model leaves in its folder: file names and schemas with units."""

import pyarrow as pa

from duo.tables.fields import POSITION, field, interval, table

NATS = "nats per token"
_DOCUMENT = field("document", pa.string(), "name of the text, from the first folder that differs")
_DEPARTURES = field("departures", pa.int32(), "at most so many layers, or blocks of them, are left out")
_ROUTE = "number of the route, a row of routes.parquet"

# Metadata of the schema: reference, the number of the route that others depart from; departures, a JSON list of how far
# each route is from it.
REFERENCE, DEPARTURES = "reference", "departures"

# The layout that `--losses` reads, too; there label and token may be missing.
AUDIT_LOSSES = table(
    "losses.parquet",
    _DOCUMENT,
    POSITION,
    field("labels", pa.string(), "true, or sampled from what the model predicts, all layers run, at its temperature"),
    field("token", pa.int64(), "id of the token at this position"),
    field("label", pa.int64(), "id of the token that follows, or that was sampled to follow"),
    field("losses", pa.list_(pa.float32()), "of the label under each route, in the order of routes.parquet", "nats"),
)
AUDIT_ROUTES = table(
    "routes.parquet",
    field("route", pa.int32(), "number of the route"),
    field("departures", pa.int32(), "how many layers, or blocks of them, it leaves out"),
    field("left_out", pa.list_(pa.int32()), "the layers whose FFN, or which whole, it leaves out; 0 is the first"),
)
AUDIT_CHOICES = table(
    "choices.parquet",
    _DOCUMENT,
    POSITION,
    _DEPARTURES,
    field("reference_loss", pa.float32(), "of the true label, all layers run", "nats"),
    field("oracle_route", pa.int32(), f"of lowest loss; {_ROUTE}"),
    field("oracle_loss", pa.float32(), "of the true label on it", "nats"),
    field("foreseen_route", pa.int32(), f"of lowest expected loss by the tempered prediction; {_ROUTE}"),
    field("foreseen_loss", pa.float32(), "of the true label on it", "nats"),
    field("null_gain", pa.float64(), "the oracle's if the label came as the tempered prediction says", "nats"),
    field("plain_null_gain", pa.float64(), "the same by the prediction as it is", "nats"),
)

_GAIN = interval("gain", "of the oracle, which takes each token's best route, over all layers run", NATS)
_SAMPLED_NULL = interval("null_gain", "the same on labels that the model's prediction could have made", NATS)
_SHARE = interval("share", "null_gain over gain")
_UNEXPLAINED = interval("unexplained", "gain less null_gain", NATS)
_FIXED = interval("fixed", "gain of the one route that is best on the other half of the documents", NATS)
_ROUTES = field("routes", pa.int32(), "routes that depart so far at most")

AUDIT = table(
    "by_departures.parquet",
    _DEPARTURES,
    _ROUTES,
    *_GAIN,
    *interval("null_gain", "the oracle's if labels came as the tempered prediction says; exact", NATS),
    *_UNEXPLAINED,
    *_SHARE,
    *interval("foreseen", "gain of the routes that the tempered prediction expects to be best", NATS),
    *_FIXED,
    *interval("plain_null_gain", "the null gain by the prediction as it is", NATS),
    *interval("plain_unexplained", "gain less that", NATS),
)
AUDIT_SAMPLED = table(
    "by_sampled.parquet", _DEPARTURES, _ROUTES, *_GAIN, *_SAMPLED_NULL, *_UNEXPLAINED, *_SHARE, *_FIXED
)
