"""Trained models: file names and schemas with units."""

import pyarrow as pa

from duo.tables import fields
from duo.tables.fields import field, table
from duo.tables.files import File, Metrics, Table

MODEL = File("pretrain/{model}/model.safetensors")

HISTORY = table(
    "pretrain/{model}/history.parquet",
    field("step", pa.int32(), "optimizer steps done"),
    field("tokens", pa.int64(), "training tokens seen"),
    field(
        "series",
        pa.string(),
        "train, learning_rate, gradient_norm or one of the objective's own, as validation/DOMAIN/all_big",
    ),
    field("value", pa.float64(), "value of the series", "nats per token, for losses"),
)

PRETRAIN_METRICS = Metrics("pretrain/{model}/metrics.json")

# Of a model whose final norm is divided by a temperature: that temperature, and the mean loss in nats on validation
# text, before and after.
RECALIBRATION = Metrics("pretrain/{model}/recalibration.json")

# Multiple-choice items: one beginning, four ends, of which one is its document's own.
_ITEM = field("item", pa.int32(), "index of the item in its domain")

_LABEL = field("label", pa.int32(), "index of the true ending")

# What the evaluation harness made of the items and questions; of tasks other than ours each item is a document of its
# own.
HARNESS = table(
    "harness/{model}.parquet",
    fields.MODEL,
    field("p_big", pa.float64(), "chance of the big FFN"),
    field("domain", pa.string(), "a key of params corpus, or the name of another task"),
    fields.DOCUMENT,
    fields.CLUSTER,
    _ITEM,
    _LABEL,
    field("choice", pa.int32(), "index of the ending with the highest log-likelihood per character"),
    field("correct", pa.bool_(), "the harness's acc_norm"),
    field("likeliest", pa.int32(), "index of the ending with the highest log-likelihood, the harness's acc"),
    field("log_likelihoods", pa.list_(pa.float64()), "of the endings", "nats"),
    field("lengths", pa.list_(pa.int32()), "of the endings", "characters"),
)

# Of what the ablations compare: held-out losses under random routes.
KIND = field(
    "kind", pa.string(), "duo: all FFNs trained together; dense: one FFN; frozen: small FFNs added to frozen others"
)
SEED = field("seed", pa.int32(), "of training")
FLOPS_AS = field(
    "p_big", pa.float64(), "chance of the big FFN; of a dense model, the one at which Duo does the same FLOPs"
)

FLOPS = field("flops", pa.float64(), "of the forward pass over a whole sequence", "floating-point operations per token")

ABLATION_LOSSES = table(
    "ablation_losses/{model}.parquet",
    fields.MODEL,
    KIND,
    SEED,
    FLOPS_AS,
    field("chance", pa.float64(), "chance of the big FFN that the model runs at: p_big, of a dense model 1"),
    FLOPS,
    fields.DOMAIN,
    fields.DOCUMENT,
    fields.CLUSTER,
    field("tokens", pa.int32(), "of the document in the evaluation set"),
    field("loss_sum", pa.float64(), "sum of the tokens' losses, each the mean over the random routings", "nats"),
)

CHECKPOINT = File("checkpoints/{fingerprint}.safetensors")

# The model of the synthetic domain, as MODEL, HISTORY and PRETRAIN_METRICS.
SYNTHETIC_MODEL = File("synthetic_model/model.safetensors")

SYNTHETIC_HISTORY = Table("synthetic_model/history.parquet", HISTORY.schema)

SYNTHETIC_METRICS = Metrics("synthetic_model/metrics.json")
