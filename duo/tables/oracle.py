"""What routes cost when all are tried: file names and schemas with units."""

import pyarrow as pa

from duo.tables import fields
from duo.tables.fields import field, table

ROUTE_LOSSES = table(
    "route_losses/{model}-{shard}.parquet",
    fields.DOMAIN,
    fields.DOCUMENT,
    fields.CLUSTER,
    fields.POSITION,
    field("token", pa.int32(), "id of the context's last token"),
    field("label", pa.int32(), "id of the predicted token"),
    field("losses", pa.list_(pa.float32()), "loss under every route, in order of route code", "nats"),
)

# One row per token. Losses in nats; routes as codes of duo.routes.
SELECTIONS = table(
    "oracle/{budget}/tokens.parquet",
    fields.MODEL,
    fields.DOMAIN,
    fields.DOCUMENT,
    fields.CLUSTER,
    fields.POSITION,
    field("oracle_route", pa.int32(), "the token's best route of this budget"),
    field("oracle_loss", pa.float32(), "its loss", "nats"),
    field("mean_loss", pa.float32(), "mean over all routes of this budget", "nats"),
)

# One row per strategy and document: what a strategy's mean loss, and its interval over clusters, need. A file of its
# own, so that one more strategy changes no other table.
STRATEGY_SUMS = table(
    "strategies/{budget}.parquet",
    fields.MODEL,
    fields.DOMAIN,
    fields.DOCUMENT,
    fields.CLUSTER,
    fields.STRATEGY,
    field("tokens", pa.int32(), "tokens of the document"),
    field("loss_sum", pa.float64(), "sum of the tokens' losses", "nats"),
    fields.STRATEGY_WORDS,
)

# One row per document and route of this budget: all that choosing one route for many tokens needs.
ROUTE_SUMS = table(
    "oracle/{budget}/routes.parquet",
    fields.MODEL,
    fields.DOMAIN,
    fields.DOCUMENT,
    fields.CLUSTER,
    field("route", pa.int32(), "code"),
    field("drawn", pa.bool_(), "one of the n random routes that are tried for all tokens alike"),
    field("tokens", pa.int32(), "tokens of the document"),
    field("loss_sum", pa.float64(), "sum of the tokens' losses", "nats"),
)

# Figure 2d. One row per token: routes of {skip, big} with skips.big big layers, codes in base 2 with a 1 for every big
# layer.
SKIPS = table(
    "skips/{model}/tokens.parquet",
    fields.MODEL,
    fields.DOMAIN,
    fields.DOCUMENT,
    fields.CLUSTER,
    fields.POSITION,
    field("oracle_route", pa.int32(), "the token's best route"),
    field("oracle_loss", pa.float32(), "its loss", "nats"),
    field("fixed_route", pa.int32(), "the route that serves the domain best"),
    field("fixed_loss", pa.float32(), "the token's loss under it", "nats"),
    field("mean_loss", pa.float32(), "mean over all routes", "nats"),
)

_BIG_AND_SKIP = [
    field("big", pa.int32(), "big layers of the routes"),
    field("skip", pa.int32(), "skipped layers of the routes"),
]

# One row per token and cell: all routes of {small, big, skip} with so many big and so many skipped layers.
THREE_WAY = table(
    "three_way/{domain}.parquet",
    fields.MODEL,
    fields.DOMAIN,
    fields.DOCUMENT,
    fields.CLUSTER,
    fields.POSITION,
    *_BIG_AND_SKIP,
    field("routes", pa.int32(), "how many routes those are"),
    field(
        "oracle_route",
        pa.int32(),
        "the best of them, the lowest code among ties; base 3 digits: 0 small, 1 big, 2 skip",
    ),
    field("oracle_loss", pa.float32(), "its loss", "nats"),
    field("loss_sum", pa.float64(), "sum over the routes", "nats"),
)

# How the choosers' predictions are calibrated (duo.oracle.choosers). One row per domain, chooser and member; what is
# said of a chooser is repeated.
_CHOOSER = field("chooser", pa.string(), "own, others, stack, or a key of params sampled_labels.teachers")

CALIBRATION = table(
    "calibration/{model}.parquet",
    fields.MODEL,
    fields.DOMAIN,
    _CHOOSER,
    field("member", pa.string(), "whose log-probabilities it is pooled of"),
    field("weight", pa.float64(), "of them; of a single member, one over the temperature"),
    field("plain_cross_entropy", pa.float64(), "on validation text, with equal weights of sum 1", "nats per token"),
    field("plain_entropy", pa.float64(), "of the predictions, likewise", "nats per token"),
    field("cross_entropy", pa.float64(), "on validation text, which the weights are fitted on", "nats per token"),
    field("entropy", pa.float64(), "of the predictions, likewise", "nats per token"),
)

_IDS = [fields.MODEL, fields.DOMAIN, fields.DOCUMENT, fields.CLUSTER, fields.POSITION]

# What choosers choose without the label. One row per token, budget and chooser.
CHOICES = table(
    "sampled_labels/{model}-{shard}/choices.parquet",
    *_IDS,
    fields.BUDGET,
    _CHOOSER,
    field("route", pa.int32(), "the route of this budget of lowest expected loss under the chooser's prediction"),
    field("loss", pa.float32(), "its loss on the true label", "nats"),
    field("sampled_loss", pa.float32(), "its loss on the first sampled label", "nats"),
    field("expected", pa.float32(), "its expected loss under the chooser's prediction", "nats"),
    field("null", pa.float32(), "expected loss of the oracle, which knows the label, under that prediction", "nats"),
)

# How well choosers know the labels. One row per token and chooser.
PREDICTIONS = table(
    "sampled_labels/{model}-{shard}/predictions.parquet",
    *_IDS,
    _CHOOSER,
    field("surprisal", pa.float32(), "of the true label under the chooser's prediction", "nats"),
    field("entropy", pa.float32(), "of that prediction", "nats"),
    field("sampled_surprisal", pa.float32(), "of the first sampled label", "nats"),
)

# What the oracle gains over the reference route on the true label, and on the words of the same context that surprise
# the model as much. One row per token and budget.
MATCHED_GAINS = table(
    "sampled_labels/{model}-{shard}/matched.parquet",
    *_IDS,
    fields.BUDGET,
    field("reference_loss", pa.float32(), "loss of the reference route on the true label", "nats"),
    field("gain", pa.float32(), "that, less the oracle's loss", "nats"),
    field("matched_gain", pa.float32(), "mean of the same over the matched words, each by its chance", "nats"),
    field("other_mass", pa.float32(), "share of the matched words' chance that is not the true label's"),
    field(
        "log_normaliser",
        pa.float32(),
        "log of the sum over the vocabulary of the highest probability that any route of the budget gives",
        "nats",
    ),
)

# The same across contexts: sums over all words of all contexts of a cluster whose surprisal and whose context's entropy
# fall in one cell (duo.oracle.null), by their chances, and over the true labels.
CELLS = table(
    "sampled_labels/{model}-{shard}/cells.parquet",
    fields.MODEL,
    fields.DOMAIN,
    fields.CLUSTER,
    fields.BUDGET,
    field("surprisal_cell", pa.int32(), "index among the cells of surprisal, the lowest first"),
    field("entropy_cell", pa.int32(), "index among the cells of entropy, the lowest first"),
    field("weight", pa.float64(), "sum of the chances of its words under the model's own prediction"),
    field("null_gain", pa.float64(), "sum of these chances times what the oracle gains on the words", "nats"),
    field("count", pa.float64(), "how many true labels it has"),
    field("gain", pa.float64(), "sum of what the oracle gains on these", "nats"),
)

# What the oracle chooses on labels that the model itself could have drawn, as SELECTIONS. One row per token, budget and
# label.
LABEL_SELECTIONS = table(
    "sampled_labels/{model}-{shard}/selections.parquet",
    fields.MODEL,
    fields.DOMAIN,
    fields.DOCUMENT,
    fields.CLUSTER,
    fields.POSITION,
    fields.BUDGET,
    field(
        "labels",
        pa.string(),
        "sampled: from the model's own tempered prediction; matched: from it, among words that surprise the model as "
        "much as the true label does; placebo: the same, with sample 0 in place of the true label",
    ),
    field("sample", pa.int32(), "which of the labels of this kind, from 0"),
    field("label", pa.int32(), "id of the token"),
    field("surprisal", pa.float32(), "of this label under the prediction that it is sampled from", "nats"),
    field("reference_loss", pa.float32(), "its loss under the reference route", "nats"),
    field("oracle_route", pa.int32(), "the route of this budget with the lowest loss on it"),
    field("oracle_loss", pa.float32(), "that loss", "nats"),
    field("mean_loss", pa.float32(), "mean over all routes of this budget", "nats"),
)

# Losses of all routes on documents that the backbone has not seen and that nothing is judged on, as ROUTE_LOSSES: what
# routers with exact supervision learn from.
TRAIN_LOSSES = table(
    "train_losses/{domain}.parquet",
    fields.DOMAIN,
    field("split", pa.string(), "routing or validation"),
    fields.DOCUMENT,
    fields.CLUSTER,
    fields.POSITION,
    field("token", pa.int32(), "id of the context's last token"),
    field("label", pa.int32(), "id of the predicted token"),
    field("losses", pa.list_(pa.float32()), "loss under every route, in order of route code", "nats"),
)

SELECTION = field(
    "selection",
    pa.string(),
    "who has one route: oracle, each token; sequence, all tokens of a document; fixed, all of a domain",
)

# One row per token, budget and selection.
JOINT_LOSSES = table(
    "joint/{context}.parquet",
    fields.MODEL,
    fields.DOMAIN,
    fields.DOCUMENT,
    fields.CLUSTER,
    fields.POSITION,
    fields.BUDGET,
    SELECTION,
    field("route", pa.int32(), "the chosen route"),
    field("isolated", pa.float32(), "its loss in this context, which it was chosen by", "nats"),
    field(
        "joint", pa.float32(), "the token's loss where all tokens run jointly, once, each on its chosen route", "nats"
    ),
)

# The domain of known difficulty.
KIND_AND_DIFFICULTY = [
    field("kind", pa.string(), "structure, noise, column, copy or sum: the part of the sequence that is predicted"),
    field(
        "difficulty",
        pa.int32(),
        "known by construction: 0 nothing to look up, 1 a copy, 2 and more a sum's digit, by its carry",
    ),
]

MEASURED = {
    "all_small": "loss with all layers small",
    "all_big": "loss with all layers big",
    "oracle": "loss under the token's best route of the budget",
    "gap": "all_small less oracle",
    "selection_bias": "expected loss of the route that the model's own calibrated prediction chooses at this budget, "
    "less that of the oracle, both under this prediction",
    "known_bias": "the same under the true distribution, which is known here",
    "corrected_gap": "gap less selection_bias",
    "known_corrected_gap": "gap less known_bias",
}

SYNTHETIC_TOKENS = table(
    "synthetic/tokens.parquet",
    fields.DOCUMENT,
    fields.CLUSTER,
    fields.POSITION,
    field("token", pa.int32(), "id of the context's last token"),
    field("label", pa.int32(), "id of the predicted token"),
    *KIND_AND_DIFFICULTY,
    field("entropy", pa.float32(), "of the distribution that the token is sampled from, given all before it", "nats"),
    *(field(name, pa.float32(), meaning, "nats") for name, meaning in MEASURED.items()),
)
