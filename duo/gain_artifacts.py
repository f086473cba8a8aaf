"""Every artifact of the second part, whether the oracle's gain is real: its file name and its schema with units."""

import pyarrow as pa

from duo import artifacts, columns
from duo.columns import field, table
from duo.files import File, Metrics, Table

# How much of the oracle's gain is luck of the label (duo.luck). One row a token and budget. Draws are labels drawn for the token from the
# predictions of the route params luck.labels; lists over teachers are in the order of params luck.teachers.
LUCK_TOKENS = table(
    "luck/{model}-{shard}.parquet",
    columns.MODEL,
    columns.DOMAIN,
    columns.DOCUMENT,
    columns.POSITION,
    columns.BUDGET,
    field("oracle_route", pa.int32(), "the route of this budget with the lowest loss on the true label"),
    field("oracle_loss", pa.float32(), "that loss", "nats"),
    field("log_normaliser", pa.float32(), "log of the sum over the vocabulary of the highest probability that any route gives", "nats"),
    field("source_loss", pa.float32(), "loss, on the true label, of the route whose predictions the others are drawn from", "nats"),
    field("null_source_loss", pa.list_(pa.float32()), "for each draw, its loss on the drawn label", "nats"),
    field("null_route", pa.list_(pa.int32()), "for each draw, the route with the lowest loss on the drawn label"),
    field("null_loss", pa.list_(pa.float32()), "for each draw, that loss", "nats"),
    field("foreseen_route", pa.int32(), "the route with the lowest loss that the predictions which labels are drawn from let expect"),
    field("null_foreseen_loss", pa.list_(pa.float32()), "for each draw, the loss of that route on the drawn label", "nats"),
    field("ceiling_route", pa.list_(pa.int32()), "for each teacher, the route with the lowest loss that its predictions let expect"),
    field("ceiling_loss", pa.list_(pa.float32()), "for each teacher, the loss of that route on the true label", "nats"),
)
GAIN_CURVES = table(
    "gain/curves.parquet",
    columns.MODEL,
    columns.DOMAIN,
    field(
        "strategy",
        pa.string(),
        "oracle, null (the oracle on drawn labels), corrected, normalised, fixed, ceiling_TEACHER, or the route of luck.labels",
    ),
    columns.BUDGET,
    *columns.LOSS_INTERVAL,
    field("perplexity", pa.float64(), "exp(loss)"),
)
GAIN_STATISTICS = Table("gain/statistics.parquet", columns.STATISTICS)
_LABELS = field("labels", pa.string(), "true, drawn, or difference: the former less the latter")
GAIN_HEAT_MAPS = table(
    "gain/heat_maps.parquet",
    columns.MODEL,
    columns.DOMAIN,
    _LABELS,
    columns.BUDGET,
    columns.LAYER,
    columns.POSITION,
    field("share", pa.float64(), "share of documents (and draws) whose oracle route is big here, or difference of such shares"),
)
GAIN_LAYERS = table(
    "gain/layers.parquet",
    columns.MODEL,
    columns.DOMAIN,
    _LABELS,
    columns.BUDGET,
    columns.LAYER,
    field("share", pa.float64(), "share of tokens (and draws) whose oracle route is big here, or difference of such shares"),
    field("low", pa.float64(), "lower end of the interval"),
    field("high", pa.float64(), "upper end of the interval"),
)
# Which claims on the oracle are more than luck: one row a claim, domain, test and model.
SURVIVAL = table(
    "gain/survival.parquet",
    field("claim", pa.string(), "as in CLAIMS"),
    field("words", pa.string(), "what the paper says, in our words"),
    columns.DOMAIN,
    columns.MODEL,
    field("statistic", pa.string(), "as in CLAIMS"),
    field("supports", pa.string(), "where an interval must lie for the claim"),
    *(
        field(f"{name}{end}", pa.float64(), f"{words}{meaning}")
        for name, meaning in {
            "claimed": "the statistic on the true labels, as the claim has it",
            "null": "the statistic on the drawn labels",
            "corrected": "the statistic when luck is taken off",
        }.items()
        for end, words in {"": "", "_low": "lower end of the interval of ", "_high": "upper end of the interval of "}.items()
    ),
    field("verdict", pa.string(), "of this row, on claimed and corrected: survives, does not, or undecided"),
    field("claim_verdict", pa.string(), "of the claim on this domain, over all its rows"),
)

# A route chosen by one model's oracle, scored by another; self where both are one.
CROSS_SEED = table(
    "cross_seed/curves.parquet",
    columns.DOMAIN,
    field("chooser", pa.string(), "a key of params models: whose oracle chose each token's route"),
    field("scorer", pa.string(), "a key of params models: whose losses these are"),
    columns.BUDGET,
    *columns.LOSS_INTERVAL,
    field("perplexity", pa.float64(), "exp(loss)"),
)
CROSS_SEED_MEANS = table(
    "cross_seed/means.parquet",
    columns.DOMAIN,
    field(
        "strategy",
        pa.string(),
        "own: the scorer's own oracle; other: another model's, none where one model is enumerated; fixed: best single route; held_out: "
        "best single route of other documents, mean over random halvings; mean: of all routes",
    ),
    columns.BUDGET,
    field("loss", pa.float64(), "mean over tokens, then over models, or pairs of them", "nats a token"),
    *columns.LOSS_INTERVAL[1:],
    field("perplexity", pa.float64(), "exp(loss)"),
)
CROSS_SEED_STATISTICS = Table("cross_seed/statistics.parquet", columns.STATISTICS)

_ENDS = [field("low", pa.float64(), "lower end of its interval"), field("high", pa.float64(), "upper end of its interval")]
# Walsh-Hadamard spectrum of each token's losses over all routes, and what follows from it.
SPECTRUM = table(
    "spectrum/orders.parquet",
    columns.MODEL,
    columns.DOMAIN,
    field("order", pa.int32(), "how many layers interact"),
    field("value", pa.float64(), "share of the variance of a token's loss over all routes that interactions of so many layers cause"),
    *_ENDS,
)
SPECTRUM_DISTANCES = table(
    "spectrum/distances.parquet",
    columns.MODEL,
    columns.DOMAIN,
    field("distance", pa.int32(), "layers from one to the other of a pair"),
    field("value", pa.float64(), "share of that variance that the interaction of one such pair causes, mean over the pairs"),
    *_ENDS,
)
SHAPLEY = table(
    "spectrum/shapley.parquet",
    columns.MODEL,
    columns.DOMAIN,
    columns.LAYER,
    field("value", pa.float64(), "Shapley value of the layer's big FFN: its part of all small less all big", "nats a token"),
    *_ENDS,
)
SPECTRUM_STATISTICS = Table("spectrum/statistics.parquet", columns.STATISTICS)

# The oracle beside what it would get from independent normal losses of the same mean and deviation, token by token.
ORDER_STATISTICS = table(
    "spectrum/order_statistics.parquet",
    columns.MODEL,
    columns.DOMAIN,
    columns.BUDGET,
    field("routes", pa.int32(), "of this budget"),
    field("expected_maximum", pa.float64(), "of so many independent standard normals"),
    field("mean", pa.float64(), "of a token's losses over the routes, mean over tokens", "nats a token"),
    field("deviation", pa.float64(), "their standard deviation over the routes, mean over tokens", "nats a token"),
    *(
        field(f"{name}{end}", pa.float64(), f"{words}{meaning}", unit)
        for name, (meaning, unit) in {
            "oracle": ("the lowest loss over the routes, mean over tokens", "nats a token"),
            "predicted": ("mean - expected_maximum * deviation", "nats a token"),
            "effective": ("how many independent routes would give the oracle's gain over the mean", "routes"),
        }.items()
        for end, words in {"": "", "_low": "lower end of the interval of ", "_high": "upper end of the interval of "}.items()
    ),
)

# The model of the synthetic domain, as MODEL, HISTORY and PRETRAIN_METRICS.
SYNTHETIC_MODEL = File("synthetic_model/model.safetensors")
SYNTHETIC_HISTORY = Table("synthetic_model/history.parquet", artifacts.HISTORY.schema)
SYNTHETIC_METRICS = Metrics("synthetic_model/metrics.json")
_SYNTHETIC = [
    field("kind", pa.string(), "structure, noise, column, copy or sum: the part of the predicted token, of duo.synthetic"),
    field("difficulty", pa.int32(), "known by construction: 0 nothing to look up, 1 a copy, 2 and more a sum's digit, by its carry"),
]
_MEASURED = {
    "all_small": "loss with all layers small",
    "all_big": "loss with all layers big",
    "oracle": "loss under the token's best route of difficulty.budget big layers",
    "gap": "all_small less oracle",
    "luck": "on drawn labels, loss of the route that the predictions they are drawn from prefer, less the oracle's; mean over draws",
    "corrected_gap": "gap less luck",
}
SYNTHETIC_TOKENS = table(
    "synthetic/tokens.parquet",
    columns.DOCUMENT,
    columns.POSITION,
    field("token", pa.int32(), "id of the context's last token"),
    field("label", pa.int32(), "id of the predicted token"),
    *_SYNTHETIC,
    field("entropy", pa.float32(), "of the chance that the token is drawn with, given all before it", "nats"),
    *(field(name, pa.float32(), meaning, "nats") for name, meaning in _MEASURED.items()),
)
SYNTHETIC_CLASSES = table(
    "synthetic/classes.parquet",
    *_SYNTHETIC,
    field("tokens", pa.int32(), "of this kind and difficulty"),
    field("entropy", pa.float64(), "mean", "nats a token"),
    *(
        field(f"{name}{end}", pa.float64(), f"{words} of: {meaning}", "nats a token")
        for name, meaning in _MEASURED.items()
        for end, words in {"": "mean", "_low": "lower end of the interval", "_high": "upper end of the interval"}.items()
    ),
)
# MEASURE_rank_KNOWN: Spearman's correlation of the loss with all layers small, the gap or the corrected gap with what is known: difficulty
# and entropy over all tokens, carry (the difficulty among digits of sums). noise_called_difficult_by_MEASURE: share of noise where it is at
# least its median over the tokens of a difficulty above 0.
SYNTHETIC_STATISTICS = Table("synthetic/statistics.parquet", columns.STATISTICS)

# Searches that may try few routes of a token, against the exact answer. Rows begin where every token has tried a route.
SEARCH_CURVES = table(
    "search/curves.parquet",
    columns.MODEL,
    columns.DOMAIN,
    field("method", pa.string(), "one of params search.methods"),
    columns.BUDGET,
    field("evaluations", pa.int32(), "routes tried by each token, or as many layers run"),
    field("regret", pa.float64(), "mean over tokens of the lowest loss found so far less the lowest there is", "nats a token"),
    field("regret_low", pa.float64(), "lower end of its interval", "nats a token"),
    field("regret_high", pa.float64(), "upper end of its interval", "nats a token"),
    field("found", pa.float64(), "share of tokens whose lowest loss is found"),
    field("found_low", pa.float64(), "lower end of its interval"),
    field("found_high", pa.float64(), "upper end of its interval"),
)
# METHOD_BUDGET-randomcolumns.BUDGET: a method's regret less that of random routes, at the last evaluation.
SEARCH_STATISTICS = Table("search/statistics.parquet", columns.STATISTICS)

# Losses of all routes on training and validation documents, as LOSSES: what routers with exact supervision learn from.
TABLE = table(
    "table/{domain}.parquet",
    columns.DOMAIN,
    field("split", pa.string(), "train or validation"),
    field("document", pa.string(), "index of the document in its domain's packed split"),
    columns.POSITION,
    field("token", pa.int32(), "id of the context's last token"),
    field("label", pa.int32(), "id of the predicted token"),
    field("losses", pa.list_(pa.float32()), "loss under every route, in order of route code", "nats"),
)

# What chooses the routes: a key of params policies.objectives, or fixed, token_table, neighbours or random (duo.baselines).
_POLICY = [
    field("policy", pa.string(), "an objective of params policies, or a baseline: fixed, token_table, neighbours or random"),
    field("input", pa.string(), "what it reads: layers, upfront, token or none"),
    field("network", pa.string(), "linear, mlp or none"),
]
_CONSTRAINED = [
    field("constraint", pa.string(), "exact: the budget is every token's; average: the mean over tokens, met on the training documents"),
    columns.BUDGET,
]
# One row a held-out token, policy, constraint and budget; of enumerate's first model.
POLICY_ROUTES = table(
    "policies/{objective}/routes.parquet",
    *_POLICY,
    columns.DOMAIN,
    columns.DOCUMENT,
    columns.POSITION,
    *_CONSTRAINED,
    field("route", pa.int32(), "the chosen route"),
    field("loss", pa.float32(), "claimed: in context shared, from LOSSES; of random, the mean over all routes of the budget", "nats"),
    field("realised", pa.float32(), "all tokens of the document running their chosen routes together", "nats"),
)
# How each policy came about, a row a constraint and budget.
POLICY_SETTINGS = table(
    "policies/{objective}/settings.parquet",
    *_POLICY,
    *_CONSTRAINED,
    field("steps", pa.int32(), "of training, after which the weights were best on validation; 0: as they began, the best fixed route"),
    field("setting", pa.float64(), "chosen on validation: temperature in nats, or number of neighbours; no number where there is none"),
    field("price", pa.float64(), "of a big layer, in the policy's own unit; meets the average on the training documents, else no number"),
    field("validation", pa.float64(), "loss on the validation documents, claimed", "nats a token"),
)
BASELINE_ROUTES = Table("baselines/routes.parquet", POLICY_ROUTES.schema)
BASELINE_SETTINGS = Table("baselines/settings.parquet", POLICY_SETTINGS.schema)

POLICY_CURVES = table(
    "policies_curves/curves.parquet",
    columns.MODEL,
    columns.DOMAIN,
    field("policy", pa.string(), "as in POLICY_ROUTES, or paper: a router of params routers, or ceiling: the first teacher's choice"),
    *_POLICY[1:],
    field("chosen", pa.bool_(), "of all inputs and networks of this policy the best on validation, mean over the exact budgets"),
    field("kind", pa.string(), "claimed or realised, as in POLICY_ROUTES"),
    *_CONSTRAINED,
    field("big", pa.float64(), "big layers a token that are used"),
    *columns.LOSS_INTERVAL,
    field("perplexity", pa.float64(), "exp(loss)"),
    *(
        field(f"{name}{end}", pa.float64(), f"{words}{meaning}", unit)
        for name, (meaning, unit) in {
            "from_fixed": ("the loss less fixed's", "nats a token"),
            "share": ("(fixed - loss) / (fixed - ceiling); no number where the budget is met on average", ""),
        }.items()
        for end, words in {"": "", "_low": "lower end of the interval of ", "_high": "upper end of the interval of "}.items()
    ),
)
POLICY_STATISTICS = Table("policies_curves/statistics.parquet", columns.STATISTICS)

_CONTEXT = field("context", pa.string(), "shared, reference or committed: what the other tokens do while a token's routes are tried")
_SELECTION = field(
    "selection", pa.string(), "who has one route: oracle, each token; sequence, all tokens of a document; fixed, all of a domain"
)
# One row a token, budget and selection.
CONTEXT_LOSSES = table(
    "contexts/{context}.parquet",
    columns.MODEL,
    columns.DOMAIN,
    columns.DOCUMENT,
    columns.POSITION,
    columns.BUDGET,
    _SELECTION,
    field("route", pa.int32(), "the chosen route"),
    field("claimed", pa.float32(), "its loss in this context, which it was chosen by", "nats"),
    field("realised", pa.float32(), "the token's loss where all tokens run jointly, once, each on its chosen route", "nats"),
)
CONTEXT_CURVES = table(
    "contexts_curves/curves.parquet",
    columns.MODEL,
    columns.DOMAIN,
    _CONTEXT,
    _SELECTION,
    field("kind", pa.string(), "claimed or realised, as in CONTEXT_LOSSES"),
    columns.BUDGET,
    *columns.LOSS_INTERVAL,
    field("perplexity", pa.float64(), "exp(loss)"),
)
CONTEXT_STATISTICS = Table("contexts_curves/statistics.parquet", columns.STATISTICS)
