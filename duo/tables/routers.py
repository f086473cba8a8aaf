"""Routers and policies: file names and schemas with units."""

import pyarrow as pa

from duo.tables import fields
from duo.tables.fields import field, table
from duo.tables.files import File, Metrics, Table
from duo.tables.training import HISTORY

# A router's weights, and the backbone's where that was trained too (duo.routers.gate).
ROUTER = File("router/{router}/router.safetensors")

ROUTER_HISTORY = Table("router/{router}/history.parquet", HISTORY.schema)

_SCORING = field(
    "kind",
    pa.string(),
    "how a router is scored: hard (likeliest choice), exact (its budget for every token) or soft (the mix)",
)

# One row per held-out token and kind.
ROUTED = table(
    "router/{router}/tokens.parquet",
    _SCORING,
    fields.DOMAIN,
    fields.DOCUMENT,
    fields.CLUSTER,
    fields.POSITION,
    field("loss", pa.float32(), "of the token, all tokens being routed together", "nats"),
    field("big", pa.float32(), "big layers of the token; for soft, its total weight on big"),
    field("skip", pa.float32(), "skipped layers of the token; for soft, its total weight on skip"),
    field("route", pa.int64(), "code in the router's own choices, of which OPT has 3^24; -1 for soft"),
)

# Losses and layers used by domain and kind, and FLOPs per token of hard routing against all big and all small.
ROUTER_METRICS = Metrics("router/{router}/metrics.json")

# One row per held-out token, policy, constraint and budget; of the first model whose routes are enumerated.
POLICY_ROUTES = table(
    "policies/{router}/routes.parquet",
    *fields.POLICY,
    fields.DOMAIN,
    fields.DOCUMENT,
    fields.CLUSTER,
    fields.POSITION,
    *fields.CONSTRAINED,
    field("route", pa.int32(), "the chosen route"),
    field(
        "loss",
        pa.float32(),
        "isolated: in context shared, from ROUTE_LOSSES; of random, the mean over all routes of the budget",
        "nats",
    ),
    field("joint", pa.float32(), "all tokens of the document running their chosen routes together", "nats"),
)

# How each policy came about: one row per policy, constraint and budget.
POLICY_SETTINGS = table(
    "policies/{router}/settings.parquet",
    *fields.POLICY,
    *fields.CONSTRAINED,
    field(
        "steps",
        pa.int32(),
        "of training, after which the weights were best on validation; 0: as they began, the best fixed route, or of a "
        "policy that duo does not train",
    ),
    field(
        "setting",
        pa.float64(),
        "chosen on validation: temperature in nats, or number of neighbours; no number where there is none",
    ),
    field(
        "price",
        pa.float64(),
        "of a big layer, in the policy's own unit; meets the average on the training documents, else no number",
    ),
    field("validation", pa.float64(), "loss on the validation documents, isolated", "nats per token"),
)

BASELINE_ROUTES = Table("baselines/{baseline}/routes.parquet", POLICY_ROUTES.schema)

BASELINE_SETTINGS = Table("baselines/{baseline}/settings.parquet", POLICY_SETTINGS.schema)
