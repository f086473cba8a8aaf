"""Pretrained models with small FFNs beside their own, and routers over them: file names and schemas with units.

The column tokens of their history counts tokens of the model's own tokenizer.
"""

import pyarrow as pa

from duo.tables import fields, routers
from duo.tables.fields import field, table
from duo.tables.files import File, Metrics, Table
from duo.tables.training import HISTORY

# What training reads, as PACKED.
ADAPTED_PACKED = table(
    "adapted/{model}/packed.parquet",
    fields.DOMAIN,
    field("split", pa.string(), "train or validation"),
    field("tokens", pa.list_(pa.uint32()), "a context and the token after it: sequence + 1 ids"),
)
SMALL_FFNS = File("adapted/{model}/small.safetensors")
ADAPTED_HISTORY = Table("adapted/{model}/history.parquet", HISTORY.schema)
# Layers; tokens trained on; by domain and route the validation loss before training, fitted, and trained.
ADAPTED_METRICS = Metrics("adapted/{model}/metrics.json")

ADAPTED_ROUTER = File("adapted_router/{router}/router.safetensors")
ADAPTED_ROUTER_HISTORY = Table("adapted_router/{router}/history.parquet", HISTORY.schema)
ADAPTED_ROUTED = Table("adapted_router/{router}/tokens.parquet", routers.ROUTED.schema)
ADAPTED_ROUTER_METRICS = Metrics("adapted_router/{router}/metrics.json")
