"""What studies find: file names and schemas with units."""

import pyarrow as pa

from duo.tables import contexts, fields, oracle, training
from duo.tables.fields import field, interval, table
from duo.tables.files import Json, Metrics, Table

_MODEL_AND_DOMAIN = [fields.MODEL, fields.DOMAIN]
_FROM_ALL_BIG = interval(
    "from_all_big", "the loss less that of all layers big on the same tokens; no number without them", "nats per token"
)
_FROM_FIXED = interval(
    "from_fixed",
    "the loss less that of the best fixed route of every token's budget, on the same tokens; no number without one",
    "nats per token",
)

ORACLE_CURVES = table(
    "oracle_curves/curves.parquet",
    *_MODEL_AND_DOMAIN,
    fields.STRATEGY,
    fields.BUDGET,
    *fields.LOSS_INTERVAL,
    *_FROM_ALL_BIG,
    *_FROM_FIXED,
    field("route", pa.int32(), "the chosen route where one serves all tokens, else -1"),
    fields.STRATEGY_WORDS,
)

ORACLE_HEAT_MAPS = table(
    "oracle_curves/heat_maps.parquet",
    *_MODEL_AND_DOMAIN,
    fields.BUDGET,
    fields.LAYER,
    fields.POSITION,
    field("share", pa.float64(), "share of documents whose oracle route is big here"),
)

# Share of big by layer alone, with its interval: what the heat maps' claims rest on.
ORACLE_LAYERS = table(
    "oracle_curves/layers.parquet",
    *_MODEL_AND_DOMAIN,
    fields.BUDGET,
    fields.LAYER,
    *interval("share", "share of tokens whose oracle route is big here", ends="bare"),
)

ORACLE_STATISTICS = Table("oracle_curves/statistics.parquet", fields.STATISTICS)

# The estimates of ORACLE_STATISTICS over models that differ by their seed alone, apart from their intervals by
# document.
SEED_SPREAD = table(
    "oracle_curves/seeds.parquet",
    fields.DOMAIN,
    *fields.STATISTIC,
    field("seeds", pa.int32(), "how many models"),
    field("mean", pa.float64(), "of their estimates"),
    field("deviation", pa.float64(), "standard deviation of their estimates; no number where there is one model"),
    field("low", pa.float64(), "lowest estimate"),
    field("high", pa.float64(), "highest estimate"),
    fields.WORDS,
)

# Headline numbers by model, then domain.
ORACLE_METRICS = Metrics("oracle_curves/metrics.json")

_SCHEDULE = field(
    "schedule", pa.string(), "of the budget: falling, rising, constant, or shuffled (falling's budgets in random order)"
)

_SCHEDULED = field("strategy", pa.string(), "oracle, or mean of all routes, of the budget at the token's position")

SCHEDULES = table("schedules/curves.parquet", fields.MODEL, fields.DOMAIN, _SCHEDULE, _SCHEDULED, *fields.LOSS_INTERVAL)

SCHEDULE_POSITIONS = table(
    "schedules/positions.parquet",
    *_MODEL_AND_DOMAIN,
    _SCHEDULE,
    _SCHEDULED,
    field("first", pa.int32(), "first position of a stretch of the sequence"),
    field("last", pa.int32(), "its last position"),
    field("budget", pa.float64(), "mean big layers per token there"),
    *fields.LOSS_INTERVAL[:-1],
)

SCHEDULE_STATISTICS = Table("schedules/statistics.parquet", fields.STATISTICS)

_CLASS = field("class", pa.string(), "kind of token, of duo.data.token_classes")

DIFFICULTY = table(
    "difficulty/tokens.parquet",
    *_MODEL_AND_DOMAIN,
    fields.DOCUMENT,
    fields.CLUSTER,
    fields.POSITION,
    _CLASS,
    field("line_start", pa.bool_(), "holds the first visible character of a line, the document's first line apart"),
    field("all_small", pa.float32(), "loss with all layers small", "nats"),
    field("all_big", pa.float32(), "loss with all layers big", "nats"),
    field("oracle", pa.float32(), "loss under the token's best route of difficulty.budget big layers", "nats"),
    field("gap", pa.float32(), "all_small less oracle: the token's difficulty", "nats"),
)

# Cells without tokens have no row.
DIFFICULTY_HISTOGRAM = table(
    "difficulty/histogram.parquet",
    *_MODEL_AND_DOMAIN,
    field("loss", pa.float64(), "lower edge of the cell in loss with all layers small", "nats"),
    field("gap", pa.float64(), "lower edge of the cell in gap", "nats"),
    field("width", pa.float64(), "of the cell, both ways", "nats"),
    field("tokens", pa.int32(), "in the cell"),
)

DIFFICULTY_CLASSES = table(
    "difficulty/classes.parquet",
    *_MODEL_AND_DOMAIN,
    _CLASS,
    field("tokens", pa.int32(), "of the class"),
    *interval("loss", "mean loss with all layers small", "nats per token"),
    *interval("gap", "mean gap", "nats per token"),
)

DIFFICULTY_STATISTICS = Table("difficulty/statistics.parquet", fields.STATISTICS)

# A list of one passage per domain, for the coloured text: domain, document, source, licence and tokens, each with its
# text (a character that several tokens share stands at the first of them), loss (all_small), oracle and gap in nats.
# Plain text, not escaped.
PASSAGES = Json("difficulty/passages.json")

ABLATION_CURVES = table(
    "ablation/curves.parquet",
    fields.MODEL,
    training.KIND,
    training.SEED,
    field("domain", pa.string(), "a key of params corpus, or the name of another task of the harness"),
    field("measure", pa.string(), "loss, or accuracy in multiple choice"),
    training.FLOPS_AS,
    training.FLOPS,
    *interval("value", "mean loss in nats per token, or share of right choices", ends="bare"),
    *interval("from_duo", "the value less that of Duo of the same seed there, on the same tokens or items"),
)

ABLATION_STATISTICS = Table("ablation/statistics.parquet", fields.STATISTICS)

_ROUTER = field("router", pa.string(), "a key of params routers")
_CHOICE = field("choice", pa.string(), "big or skip")

ROUTER_CURVES = table(
    "router_curves/curves.parquet",
    field("router", pa.string(), "a key of params routers; oracle for the oracle on average over a sequence"),
    *_MODEL_AND_DOMAIN,
    field("kind", pa.string(), "hard, exact or soft as in ROUTED; or oracle_average"),
    field("constraint", pa.string(), "exact: on every token; average: on the mean over a sequence"),
    field("target", pa.float64(), "big layers asked for", "layers per token"),
    field("big", pa.float64(), "big layers used", "layers per token"),
    field("skip", pa.float64(), "layers skipped", "layers per token"),
    *fields.LOSS_INTERVAL,
    *_FROM_ALL_BIG,
    *_FROM_FIXED,
)

ROUTER_HEAT_MAPS = table(
    "router_curves/heat_maps.parquet",
    _ROUTER,
    fields.DOMAIN,
    _CHOICE,
    fields.LAYER,
    fields.POSITION,
    field("share", pa.float64(), "share of documents, routed hard"),
)

ROUTER_STATISTICS = Table("router_curves/statistics.parquet", fields.STATISTICS)

SKIP_HEAT_MAPS = Table("skips/{model}/heat_maps.parquet", ORACLE_HEAT_MAPS.schema)
SKIP_LAYERS = Table("skips/{model}/layers.parquet", ORACLE_LAYERS.schema)
SKIP_STATISTICS = Table("skips/{model}/statistics.parquet", fields.STATISTICS)

_BIG_AND_SKIP = [
    field("big", pa.int32(), "big layers of the routes"),
    field("skip", pa.int32(), "skipped layers of the routes"),
]

THREE_WAY_CURVES = table(
    "three_way_curves/curves.parquet",
    *_MODEL_AND_DOMAIN,
    field("strategy", pa.string(), "oracle or mean of the routes"),
    *_BIG_AND_SKIP,
    *fields.LOSS_INTERVAL,
    *_FROM_ALL_BIG,
)

GAIN_CURVES = table(
    "gain/curves.parquet",
    *_MODEL_AND_DOMAIN,
    field(
        "strategy",
        pa.string(),
        "oracle; foreseen: the routes that a chooser expects to be best; null: the oracle, where labels come as a "
        "chooser predicts; fixed; normalised: the oracle as a proper distribution; or the name of the reference route",
    ),
    field("chooser", pa.string(), "whose prediction that is; empty where nobody's"),
    fields.BUDGET,
    *fields.LOSS_INTERVAL,
)

GAIN_STATISTICS = Table("gain/statistics.parquet", fields.STATISTICS)

_LABELS = field("labels", pa.string(), "true, sampled, matched, or excess: true less matched")

GAIN_HEAT_MAPS = table(
    "gain/heat_maps.parquet",
    *_MODEL_AND_DOMAIN,
    _LABELS,
    fields.BUDGET,
    fields.LAYER,
    fields.POSITION,
    field(
        "share",
        pa.float64(),
        "share of windows (and sets of labels) whose oracle route is big here, or difference of such shares",
    ),
)

GAIN_LAYERS = table(
    "gain/layers.parquet",
    *_MODEL_AND_DOMAIN,
    _LABELS,
    fields.BUDGET,
    fields.LAYER,
    *interval(
        "share",
        "share of tokens (and sets of labels) whose oracle route is big here, or difference of such shares",
        ends="bare",
    ),
)

# Statistics of the oracle's choices on the true labels, and of the same on labels that the model could have drawn.
EXCESS_STATISTICS = Table("excess/statistics.parquet", fields.STATISTICS)

# A route chosen by one model's oracle, scored by another; self where both are one.
CROSS_SEED = table(
    "cross_seed/curves.parquet",
    fields.DOMAIN,
    field("chooser", pa.string(), "a key of params models: whose oracle chose each token's route"),
    field("scorer", pa.string(), "a key of params models: whose losses these are"),
    fields.BUDGET,
    *fields.LOSS_INTERVAL,
)

CROSS_SEED_MEANS = table(
    "cross_seed/means.parquet",
    fields.DOMAIN,
    field(
        "strategy",
        pa.string(),
        "own: the scorer's own oracle; other: another model's, missing where there is one; fixed: best single route of "
        "other clusters; in_sample: best single route of all, as scored; mean: of all routes",
    ),
    fields.BUDGET,
    field("loss", pa.float64(), "mean over tokens, then over models, or pairs of them", "nats per token"),
    *fields.LOSS_INTERVAL[1:],
    *_FROM_FIXED,
)

CROSS_SEED_STATISTICS = Table("cross_seed/statistics.parquet", fields.STATISTICS)

# Walsh-Hadamard spectrum of each token's losses over all routes, and what follows from it.
SPECTRUM = table(
    "spectrum/orders.parquet",
    *_MODEL_AND_DOMAIN,
    field("order", pa.int32(), "how many layers interact"),
    *interval(
        "value",
        "share of the variance of a token's loss over all routes that interactions of so many layers cause",
        ends="bare",
    ),
)

SPECTRUM_DISTANCES = table(
    "spectrum/distances.parquet",
    *_MODEL_AND_DOMAIN,
    field("distance", pa.int32(), "layers from one to the other of a pair"),
    *interval(
        "value", "share of that variance that the interaction of one such pair causes, mean over the pairs", ends="bare"
    ),
)

SHAPLEY = table(
    "spectrum/shapley.parquet",
    *_MODEL_AND_DOMAIN,
    fields.LAYER,
    *interval(
        "value", "Shapley value of the layer's big FFN: its part of all small less all big", "nats per token", "bare"
    ),
)

SPECTRUM_STATISTICS = Table("spectrum/statistics.parquet", fields.STATISTICS)

# The oracle beside what it would get from independent normal losses of the same mean and deviation, token by token.
ORDER_STATISTICS = table(
    "spectrum/order_statistics.parquet",
    *_MODEL_AND_DOMAIN,
    fields.BUDGET,
    field("routes", pa.int32(), "of this budget"),
    field("expected_maximum", pa.float64(), "of so many independent standard normals"),
    field("mean", pa.float64(), "of a token's losses over the routes, mean over tokens", "nats per token"),
    field("deviation", pa.float64(), "their standard deviation over the routes, mean over tokens", "nats per token"),
    *interval("oracle", "lowest loss over the routes, mean over tokens", "nats per token"),
    *interval("predicted", "mean - expected_maximum * deviation", "nats per token"),
    *interval("oracle_from_mean", "oracle - mean", "nats per token"),
    *interval("predicted_from_mean", "predicted - mean", "nats per token"),
    *interval("effective", "how many independent routes would give the oracle's gain over the mean", "routes"),
)

# The gain of the best of some random routes against what it would be if their losses were independent and normal.
EXTRAPOLATION_CURVES = table(
    "extrapolation/curves.parquet",
    *_MODEL_AND_DOMAIN,
    fields.BUDGET,
    field("tries", pa.int32(), "different random routes of this budget, of which each token takes the best"),
    field("expected_maximum", pa.float64(), "of so many independent standard normals"),
    field("fitted", pa.bool_(), "whether the line of growth and remainder is fitted to this point"),
    *interval("gain", "mean of all routes of the budget less the best of these, mean over tokens", "nats per token"),
)

EXTRAPOLATION_STATISTICS = Table("extrapolation/statistics.parquet", fields.STATISTICS)

SYNTHETIC_CLASSES = table(
    "synthetic/classes.parquet",
    *oracle.KIND_AND_DIFFICULTY,
    field("tokens", pa.int32(), "of this kind and difficulty"),
    field("entropy", pa.float64(), "mean", "nats per token"),
    *(
        column
        for name, meaning in oracle.MEASURED.items()
        for column in interval(name, f"mean of: {meaning}", "nats per token")
    ),
)

SYNTHETIC_STATISTICS = Table("synthetic/statistics.parquet", fields.STATISTICS)

# Searches that may try few routes of a token, against the exact answer. Rows begin where every token has tried a route.
SEARCH_CURVES = table(
    "search/curves.parquet",
    *_MODEL_AND_DOMAIN,
    field("method", pa.string(), "one of params search.methods"),
    fields.BUDGET,
    field("evaluations", pa.int32(), "routes tried by each token, or as many layers run"),
    *interval("regret", "lowest loss met so far less the lowest there is, mean over tokens", "nats per token"),
    *interval("found", "share of tokens whose best route is found"),
)

SEARCH_STATISTICS = Table("search/statistics.parquet", fields.STATISTICS)

GAP_CLOSED_CURVES = table(
    "gap_closed/curves.parquet",
    *_MODEL_AND_DOMAIN,
    *fields.POLICY,
    field(
        "chosen",
        pa.bool_(),
        "of all inputs and networks of this policy the best on validation, mean over the budgets met exactly",
    ),
    field("kind", pa.string(), "isolated or joint: which loss, as in POLICY_ROUTES"),
    *fields.CONSTRAINED,
    field("big", pa.float64(), "big layers used", "layers per token"),
    *fields.LOSS_INTERVAL,
    *interval("from_fixed", "the loss less fixed's", "nats per token"),
    *interval("share", "(fixed - loss) / (fixed - ceiling); no number where the budget is met on average"),
)

# By domain and policy: loss less fixed's, isolated and joint, at exactly the middle one of the budgets.
GAP_CLOSED_METRICS = Metrics("gap_closed/metrics.json")

GAP_CLOSED_STATISTICS = Table("gap_closed/statistics.parquet", fields.STATISTICS)

JOINT_CURVES = table(
    "joint_curves/curves.parquet",
    fields.MODEL,
    fields.DOMAIN,
    contexts.CONTEXT,
    field(
        "selection",
        pa.string(),
        "who has one route: oracle, each token; sequence, all tokens of a document; fixed, all of a domain; foreseen, "
        "each token, what a chooser expects to be best; null: the oracle, where labels come as a chooser predicts",
    ),
    field("chooser", pa.string(), "whose prediction that is; empty where nobody's"),
    field("kind", pa.string(), "isolated or joint, as in JOINT_LOSSES"),
    fields.BUDGET,
    *fields.LOSS_INTERVAL,
)

JOINT_STATISTICS = Table("joint_curves/statistics.parquet", fields.STATISTICS)
