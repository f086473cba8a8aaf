"""Every artifact: its file name and its schema with units. No other module knows the name of a file."""

import pyarrow as pa

from duo.files import File, Json, Table, matrix


def _field(name: str, kind: pa.DataType, meaning: str, unit: str = "") -> pa.Field:
    metadata = {"meaning": meaning, **({"unit": unit} if unit else {})}
    return pa.field(name, kind, nullable=False, metadata=metadata)


def _table(template: str, *fields: pa.Field) -> Table:
    return Table(template, pa.schema(fields))


_MODEL = _field("model", pa.string(), "a key of params models")
_DOMAIN = _field("domain", pa.string(), "kind of text, a key of params corpus")
_DOCUMENT = _field("document", pa.string(), "id of the document in its domain")
_POSITION = _field("position", pa.int32(), "index of the predicted token in its document")
_BUDGET = _field("budget", pa.int32(), "big layers a token")
_LAYER = _field("layer", pa.int32(), "0 is next to the embedding")

DOCUMENTS = _table(
    "corpus/{domain}/documents.parquet",
    _field("id", pa.string(), "unique in its domain"),
    _DOMAIN,
    _field("split", pa.string(), "train, validation or test"),
    _field("source", pa.string(), "where the document comes from, with its attribution"),
    _field("licence", pa.string(), "SPDX name"),
    _field("text", pa.string(), "the document"),
)

TOKENIZER = File("tokens/tokenizer.json")

# The training split of every domain, packed: documents one after the other, each behind the document mark, cut in equal rows.
PACKED = _table(
    "tokens/packed.parquet",
    _DOMAIN,
    _field("split", pa.string(), "train or validation"),
    _field("tokens", pa.list_(pa.uint16()), "a context and the token after it: sequence + 1 ids"),
)


def packed(split: str) -> "dict[str, numpy.ndarray]":  # noqa: F821
    """Rows [rows, sequence + 1] of PACKED in a split, by domain."""
    table = PACKED.read()
    domains, splits = table["domain"].to_numpy(zero_copy_only=False), table["split"].to_numpy(zero_copy_only=False)
    tokens = matrix(table["tokens"])
    return {str(domain): tokens[(domains == domain) & (splits == split)] for domain in dict.fromkeys(domains)}


# The test split, one row a document.
TEST_TOKENS = _table(
    "tokens/test.parquet",
    _DOMAIN,
    _DOCUMENT,
    pa.field("tokens", pa.list_(pa.uint16()), nullable=False, metadata={"meaning": "the mark, then the whole document"}),
)

# Tokens, documents and bytes of every domain and split.
TOKEN_METRICS = Json("tokens/metrics.json")

MODEL = File("pretrain/{model}/model.safetensors")
HISTORY = _table(
    "pretrain/{model}/history.parquet",
    _field("step", pa.int32(), "optimizer steps done"),
    _field("tokens", pa.int64(), "training tokens seen"),
    _field(
        "series",
        pa.string(),
        "train, learning_rate, gradient_norm or one of the objective's own, as validation/DOMAIN/all_big",
    ),
    _field("value", pa.float64(), "value of the series", "nats a token, for losses"),
)
PRETRAIN_METRICS = Json("pretrain/{model}/metrics.json")

LOSSES = _table(
    "enumerate/{model}-{shard}.parquet",
    _DOMAIN,
    _DOCUMENT,
    _POSITION,
    _field("token", pa.int32(), "id of the context's last token"),
    _field("label", pa.int32(), "id of the predicted token"),
    _field("losses", pa.list_(pa.float32()), "loss under every route, in order of route code", "nats"),
)

# One row a token. Losses in nats; routes as codes of duo.routes.
SELECTIONS = _table(
    "oracle/{budget}/tokens.parquet",
    _MODEL,
    _DOMAIN,
    _DOCUMENT,
    _POSITION,
    _field("oracle_route", pa.int32(), "the token's best route of this budget"),
    _field("oracle_loss", pa.float32(), "its loss", "nats"),
    _field("random_token_loss", pa.float32(), "lowest loss of n random routes drawn for this token", "nats"),
    _field("sequence_loss", pa.float32(), "loss under the best route of the token's document", "nats"),
    _field("mean_loss", pa.float32(), "mean over all routes of this budget", "nats"),
)

# One row a document and route of this budget: all that choosing one route for many tokens needs.
ROUTE_SUMS = _table(
    "oracle/{budget}/routes.parquet",
    _MODEL,
    _DOMAIN,
    _DOCUMENT,
    _field("route", pa.int32(), "code"),
    _field("drawn", pa.bool_(), "one of the n random routes that are tried for all tokens alike"),
    _field("tokens", pa.int32(), "tokens of the document"),
    _field("loss_sum", pa.float64(), "sum of the tokens' losses", "nats"),
)

CURVES = _table(
    "evaluate/curves.parquet",
    _MODEL,
    _DOMAIN,
    _field("strategy", pa.string(), "oracle, sequence, random_token, random_all, fixed or mean"),
    _BUDGET,
    _field("loss", pa.float64(), "mean over tokens", "nats a token"),
    _field("low", pa.float64(), "lower end of the interval", "nats a token"),
    _field("high", pa.float64(), "upper end of the interval", "nats a token"),
    _field("perplexity", pa.float64(), "exp(loss)"),
    _field("route", pa.int32(), "the chosen route where one serves all tokens, else -1"),
)

HEAT_MAPS = _table(
    "evaluate/heat_maps.parquet",
    _MODEL,
    _DOMAIN,
    _BUDGET,
    _LAYER,
    _POSITION,
    _field("share", pa.float64(), "share of documents whose oracle route is big here"),
)

# Share of big by layer alone, with its interval: what the heat maps' claims rest on.
LAYER_SHARES = _table(
    "evaluate/layers.parquet",
    _MODEL,
    _DOMAIN,
    _BUDGET,
    _LAYER,
    _field("share", pa.float64(), "share of tokens whose oracle route is big here"),
    _field("low", pa.float64(), "lower end of the interval"),
    _field("high", pa.float64(), "upper end of the interval"),
)

# What the paper's claims compare, each with its interval by document; duo/claims.py says which names they use.
_STATISTICS = pa.schema(
    [
        _MODEL,
        _DOMAIN,
        _field("name", pa.string(), "first-second for a difference, in nats a token where it is one of losses"),
        _field("value", pa.float64(), "estimate"),
        _field("low", pa.float64(), "lower end of the interval"),
        _field("high", pa.float64(), "upper end of the interval"),
    ]
)
CONTRASTS = Table("evaluate/contrasts.parquet", _STATISTICS)

# The estimates of CONTRASTS over models that differ by their seed alone, apart from their intervals by document.
SEEDS = _table(
    "evaluate/seeds.parquet",
    _DOMAIN,
    _field("name", pa.string(), "as in CONTRASTS"),
    _field("seeds", pa.int32(), "how many models"),
    _field("mean", pa.float64(), "of their estimates"),
    _field("deviation", pa.float64(), "standard deviation of their estimates; no number where there is one model"),
    _field("low", pa.float64(), "lowest estimate"),
    _field("high", pa.float64(), "highest estimate"),
)

# Headline numbers by model, then domain.
METRICS = Json("evaluate/metrics.json")

# The paper's claims and what became of them: one row a claim, domain, test and model.
CLAIMS = _table(
    "results/claims.parquet",
    _field("claim", pa.string(), "C1 to C19"),
    _field("words", pa.string(), "what the paper says, in our words"),
    _field("figure", pa.string(), "name of the picture that the claim rests on"),
    _field("link", pa.string(), "that picture's place in the report"),
    _DOMAIN,
    _MODEL,
    _field("seed", pa.int32(), "of that model's training"),
    _field("statistic", pa.string(), "name in the table of statistics"),
    _field("estimate", pa.float64(), "no number where the statistic is missing"),
    _field("low", pa.float64(), "lower end of the interval over documents"),
    _field("high", pa.float64(), "upper end of the interval over documents"),
    _field("supports", pa.string(), "where the interval must lie for the claim to hold, or why there is none"),
    _field("verdict", pa.string(), "of this row: holds, fails or undecided"),
    _field("claim_verdict", pa.string(), "of the claim on this domain, over all its rows"),
    _field("seeds", pa.string(), "of the models that differ from this one by their seed alone, itself included"),
    _field("seed_low", pa.float64(), "lowest estimate over these seeds"),
    _field("seed_high", pa.float64(), "highest estimate over these seeds"),
)

# Verdicts by claim and domain, and how often each was given.
CLAIM_METRICS = Json("results/metrics.json")

_LOSS_INTERVAL = [
    _field("loss", pa.float64(), "mean over tokens", "nats a token"),
    _field("low", pa.float64(), "lower end of its interval", "nats a token"),
    _field("high", pa.float64(), "upper end of its interval", "nats a token"),
]
_SCHEDULE = _field("schedule", pa.string(), "of the budget: falling, rising, constant, or shuffled (falling's budgets in random order)")
_SCHEDULED = _field("strategy", pa.string(), "oracle, or mean of all routes, of the budget at the token's position")
SCHEDULES = _table(
    "schedules/curves.parquet",
    _MODEL,
    _DOMAIN,
    _SCHEDULE,
    _SCHEDULED,
    *_LOSS_INTERVAL,
    _field("perplexity", pa.float64(), "exp(loss)"),
)
SCHEDULE_POSITIONS = _table(
    "schedules/positions.parquet",
    _MODEL,
    _DOMAIN,
    _SCHEDULE,
    _SCHEDULED,
    _field("first", pa.int32(), "first position of a stretch of the sequence"),
    _field("last", pa.int32(), "its last position"),
    _field("budget", pa.float64(), "mean big layers a token there"),
    *_LOSS_INTERVAL,
)
SCHEDULE_STATISTICS = Table("schedules/statistics.parquet", _STATISTICS)

_CLASS = _field("class", pa.string(), "kind of token, of duo.token_classes")
DIFFICULTY = _table(
    "difficulty/tokens.parquet",
    _MODEL,
    _DOMAIN,
    _DOCUMENT,
    _POSITION,
    _CLASS,
    _field("line_start", pa.bool_(), "holds the first character that is not white space of a line, but for a document's first"),
    _field("all_small", pa.float32(), "loss with all layers small", "nats"),
    _field("all_big", pa.float32(), "loss with all layers big", "nats"),
    _field("oracle", pa.float32(), "loss under the token's best route of difficulty.budget big layers", "nats"),
    _field("gap", pa.float32(), "all_small less oracle: the token's difficulty", "nats"),
)
# Cells without tokens have no row.
DIFFICULTY_HISTOGRAM = _table(
    "difficulty/histogram.parquet",
    _MODEL,
    _DOMAIN,
    _field("loss", pa.float64(), "lower edge of the cell in loss with all layers small", "nats"),
    _field("gap", pa.float64(), "lower edge of the cell in gap", "nats"),
    _field("width", pa.float64(), "of the cell, both ways", "nats"),
    _field("tokens", pa.int32(), "in the cell"),
)
DIFFICULTY_CLASSES = _table(
    "difficulty/classes.parquet",
    _MODEL,
    _DOMAIN,
    _CLASS,
    _field("tokens", pa.int32(), "of the class"),
    *(
        _field(f"{name}{end}", pa.float64(), f"{words} of {meaning}", "nats a token")
        for name, meaning in {"loss": "the loss with all layers small", "gap": "the gap"}.items()
        for end, words in {"": "mean", "_low": "lower end of the interval", "_high": "upper end of the interval"}.items()
    ),
)
DIFFICULTY_STATISTICS = Table("difficulty/statistics.parquet", _STATISTICS)

# A list of one passage a domain, for the coloured text: domain, document, source, licence and tokens, each with its text (a character
# that several tokens share stands at the first of them), loss (all_small), oracle and gap in nats. Plain text, not escaped.
PASSAGES = Json("difficulty/passages.json")


# Multiple-choice items: one beginning, four ends, of which one is its document's own.
_ITEM = _field("item", pa.int32(), "index of the item in its domain")
_LABEL = _field("label", pa.int32(), "index of the true ending")
CHOICES = _table(
    "choices/items.parquet",
    _DOMAIN,
    _DOCUMENT,
    _ITEM,
    _field("position", pa.int32(), "index in the document of the context's first token"),
    _field("context", pa.string(), "the beginning, ablation.context tokens of the document"),
    _field("endings", pa.list_(pa.string()), "ablation.continuation tokens each"),
    _LABEL,
)

# What the evaluation harness made of the items; of tasks other than ours each item is a document of its own.
HARNESS = _table(
    "harness/{model}.parquet",
    _MODEL,
    _field("p_big", pa.float64(), "chance of the big FFN"),
    _field("domain", pa.string(), "a key of params corpus, or the name of another task of the harness"),
    _DOCUMENT,
    _ITEM,
    _LABEL,
    _field("choice", pa.int32(), "index of the ending with the highest log-likelihood a character"),
    _field("correct", pa.bool_(), "the harness's acc_norm"),
    _field("log_likelihoods", pa.list_(pa.float64()), "of the endings", "nats"),
    _field("lengths", pa.list_(pa.int32()), "of the endings", "characters"),
)

_KIND = _field("kind", pa.string(), "duo: all FFNs trained together; dense: one FFN; frozen: small FFNs added to frozen others")
_FLOPS_AS = _field("p_big", pa.float64(), "chance of the big FFN; of a dense model, the one at which Duo does the same FLOPs")
ABLATION_LOSSES = _table(
    "ablation/losses.parquet",
    _MODEL,
    _KIND,
    _FLOPS_AS,
    _DOMAIN,
    _DOCUMENT,
    _field("tokens", pa.int32(), "of the document in the sample"),
    _field("loss_sum", pa.float64(), "sum of the tokens' losses, each the mean over the random routings", "nats"),
)
ABLATION_CURVES = _table(
    "ablation/curves.parquet",
    _MODEL,
    _KIND,
    _field("domain", pa.string(), "a key of params corpus, or the name of another task of the harness"),
    _field("measure", pa.string(), "loss, or accuracy in multiple choice"),
    _FLOPS_AS,
    _field("flops", pa.float64(), "of the forward pass at the context length", "floating-point operations a token"),
    _field("value", pa.float64(), "mean loss in nats a token, or share of right choices"),
    _field("low", pa.float64(), "lower end of the interval"),
    _field("high", pa.float64(), "upper end of the interval"),
)
ABLATION_STATISTICS = Table("ablation/statistics.parquet", _STATISTICS)

# A router's weights, and the backbone's where that was trained too (duo.router).
ROUTER = File("router/{router}/router.safetensors")
ROUTER_HISTORY = Table("router/{router}/history.parquet", HISTORY.schema)
_SCORING = _field(
    "kind", pa.string(), "how a router is scored: hard (likeliest choice), exact (its budget for every token) or soft (the mix)"
)
_ROUTER = _field("router", pa.string(), "a key of params routers")
_CHOICE = _field("choice", pa.string(), "big or skip")
# One row a held-out token and kind.
ROUTED = _table(
    "router/{router}/tokens.parquet",
    _SCORING,
    _DOMAIN,
    _DOCUMENT,
    _POSITION,
    _field("loss", pa.float32(), "of the token, all tokens being routed together", "nats"),
    _field("big", pa.float32(), "big layers of the token; for soft, its total weight on big"),
    _field("skip", pa.float32(), "skipped layers of the token; for soft, its total weight on skip"),
    _field("route", pa.int64(), "code in the router's own choices, of which OPT has 3^24; -1 for soft"),
)
# Losses and layers used by domain and kind, and FLOPs a token of hard routing against all big and all small.
ROUTER_METRICS = Json("router/{router}/metrics.json")

ROUTING_CURVES = _table(
    "routing/curves.parquet",
    _field("router", pa.string(), "a key of params routers; oracle for the oracle on average over a sequence"),
    _MODEL,
    _DOMAIN,
    _field("kind", pa.string(), "hard, exact or soft as in ROUTED; or oracle_average"),
    _field("constraint", pa.string(), "exact: on every token; average: on the mean over a sequence"),
    _field("target", pa.float64(), "big layers a token that are asked"),
    _field("big", pa.float64(), "big layers a token that are used"),
    _field("skip", pa.float64(), "skipped layers a token"),
    *_LOSS_INTERVAL,
    _field("perplexity", pa.float64(), "exp(loss)"),
)
ROUTING_HEAT_MAPS = _table(
    "routing/heat_maps.parquet",
    _ROUTER,
    _DOMAIN,
    _CHOICE,
    _LAYER,
    _POSITION,
    _field("share", pa.float64(), "share of documents, routed hard"),
)
ROUTING_STATISTICS = Table("routing/statistics.parquet", _STATISTICS)

# Figure 2d. One row a token: routes of {skip, big} with skips.big big layers, codes in base 2 with a 1 for every big layer.
SKIPS = _table(
    "skips/{model}/tokens.parquet",
    _MODEL,
    _DOMAIN,
    _DOCUMENT,
    _POSITION,
    _field("oracle_route", pa.int32(), "the token's best route"),
    _field("oracle_loss", pa.float32(), "its loss", "nats"),
    _field("fixed_route", pa.int32(), "the route that serves the domain best"),
    _field("fixed_loss", pa.float32(), "the token's loss under it", "nats"),
    _field("mean_loss", pa.float32(), "mean over all routes", "nats"),
)
SKIP_HEAT_MAPS = Table("skips/{model}/heat_maps.parquet", HEAT_MAPS.schema)
SKIP_LAYERS = Table("skips/{model}/layers.parquet", LAYER_SHARES.schema)
SKIP_STATISTICS = Table("skips/{model}/statistics.parquet", _STATISTICS)

_BIG_AND_SKIP = [_field("big", pa.int32(), "big layers of the routes"), _field("skip", pa.int32(), "skipped layers of the routes")]

# One row a token and cell: all routes of {small, big, skip} with so many big and so many skipped layers.
THREE_WAY = _table(
    "three_way/{domain}.parquet",
    _MODEL,
    _DOMAIN,
    _DOCUMENT,
    _POSITION,
    *_BIG_AND_SKIP,
    _field("routes", pa.int32(), "how many routes those are"),
    _field("oracle_route", pa.int32(), "the best of them, the lowest code among ties; base 3 digits: 0 small, 1 big, 2 skip"),
    _field("oracle_loss", pa.float32(), "its loss", "nats"),
    _field("loss_sum", pa.float64(), "sum over the routes", "nats"),
)
THREE_WAY_CURVES = _table(
    "three_way_curves/curves.parquet",
    _MODEL,
    _DOMAIN,
    _field("strategy", pa.string(), "oracle or mean of the routes"),
    *_BIG_AND_SKIP,
    _field("loss", pa.float64(), "mean over tokens", "nats a token"),
    _field("low", pa.float64(), "lower end of the interval", "nats a token"),
    _field("high", pa.float64(), "upper end of the interval", "nats a token"),
    _field("perplexity", pa.float64(), "exp(loss)"),
    _field("from_all_big", pa.float64(), "loss less that of all layers big, on the same tokens", "nats a token"),
    _field("from_all_big_low", pa.float64(), "lower end of its interval", "nats a token"),
    _field("from_all_big_high", pa.float64(), "upper end of its interval", "nats a token"),
)

# How much of the oracle's gain is luck of the label (duo.luck). One row a token and budget. Draws are labels drawn for the token from the
# predictions of the route params luck.labels; lists over teachers are in the order of params luck.teachers.
LUCK_TOKENS = _table(
    "luck/{model}-{shard}.parquet",
    _MODEL,
    _DOMAIN,
    _DOCUMENT,
    _POSITION,
    _BUDGET,
    _field("oracle_route", pa.int32(), "the route of this budget with the lowest loss on the true label"),
    _field("oracle_loss", pa.float32(), "that loss", "nats"),
    _field("log_normaliser", pa.float32(), "log of the sum over the vocabulary of the highest probability that any route gives", "nats"),
    _field("null_route", pa.list_(pa.int32()), "for each draw, the route with the lowest loss on the drawn label"),
    _field("null_loss", pa.list_(pa.float32()), "for each draw, that loss", "nats"),
    _field("ceiling_route", pa.list_(pa.int32()), "for each teacher, the route with the lowest loss that its predictions let expect"),
    _field("ceiling_loss", pa.list_(pa.float32()), "for each teacher, the loss of that route on the true label", "nats"),
)
GAIN_CURVES = _table(
    "gain/curves.parquet",
    _MODEL,
    _DOMAIN,
    _field("strategy", pa.string(), "oracle, null, corrected, normalised, fixed, ceiling_TEACHER, or the route of luck.labels"),
    _BUDGET,
    *_LOSS_INTERVAL,
    _field("perplexity", pa.float64(), "exp(loss)"),
)
GAIN_STATISTICS = Table("gain/statistics.parquet", _STATISTICS)
_LABELS = _field("labels", pa.string(), "true, drawn, or difference: the former less the latter")
GAIN_HEAT_MAPS = _table(
    "gain/heat_maps.parquet",
    _MODEL,
    _DOMAIN,
    _LABELS,
    _BUDGET,
    _LAYER,
    _POSITION,
    _field("share", pa.float64(), "share of documents (and draws) whose oracle route is big here, or difference of such shares"),
)
GAIN_LAYERS = _table(
    "gain/layers.parquet",
    _MODEL,
    _DOMAIN,
    _LABELS,
    _BUDGET,
    _LAYER,
    _field("share", pa.float64(), "share of tokens (and draws) whose oracle route is big here, or difference of such shares"),
    _field("low", pa.float64(), "lower end of the interval"),
    _field("high", pa.float64(), "upper end of the interval"),
)
# Which claims on the oracle are more than luck: one row a claim, domain, test and model.
SURVIVAL = _table(
    "gain/survival.parquet",
    _field("claim", pa.string(), "as in CLAIMS"),
    _field("words", pa.string(), "what the paper says, in our words"),
    _DOMAIN,
    _MODEL,
    _field("statistic", pa.string(), "as in CLAIMS"),
    _field("supports", pa.string(), "where an interval must lie for the claim"),
    *(
        _field(f"{name}{end}", pa.float64(), f"{words}{meaning}")
        for name, meaning in {
            "claimed": "the statistic on the true labels, as the claim has it",
            "null": "the statistic on the drawn labels",
            "corrected": "the statistic when luck is taken off",
        }.items()
        for end, words in {"": "", "_low": "lower end of the interval of ", "_high": "upper end of the interval of "}.items()
    ),
    _field("verdict", pa.string(), "of this row, on claimed and corrected: survives, does not, or undecided"),
    _field("claim_verdict", pa.string(), "of the claim on this domain, over all its rows"),
)

# A route chosen by one model's oracle, scored by another; self where both are one.
CROSS_SEED = _table(
    "cross_seed/curves.parquet",
    _DOMAIN,
    _field("chooser", pa.string(), "a key of params models: whose oracle chose each token's route"),
    _field("scorer", pa.string(), "a key of params models: whose losses these are"),
    _BUDGET,
    *_LOSS_INTERVAL,
    _field("perplexity", pa.float64(), "exp(loss)"),
)
CROSS_SEED_MEANS = _table(
    "cross_seed/means.parquet",
    _DOMAIN,
    _field(
        "strategy",
        pa.string(),
        "own: the scorer's own oracle; other: another model's, none where one model is enumerated; fixed: best single route; held_out: "
        "best single route of other documents, mean over random halvings; mean: of all routes",
    ),
    _BUDGET,
    _field("loss", pa.float64(), "mean over tokens, then over models, or pairs of them", "nats a token"),
    *_LOSS_INTERVAL[1:],
    _field("perplexity", pa.float64(), "exp(loss)"),
)
CROSS_SEED_STATISTICS = Table("cross_seed/statistics.parquet", _STATISTICS)

_ENDS = [_field("low", pa.float64(), "lower end of its interval"), _field("high", pa.float64(), "upper end of its interval")]
# Walsh-Hadamard spectrum of each token's losses over all routes, and what follows from it.
SPECTRUM = _table(
    "spectrum/orders.parquet",
    _MODEL,
    _DOMAIN,
    _field("order", pa.int32(), "how many layers interact"),
    _field("value", pa.float64(), "share of the variance of a token's loss over all routes that interactions of so many layers cause"),
    *_ENDS,
)
SPECTRUM_DISTANCES = _table(
    "spectrum/distances.parquet",
    _MODEL,
    _DOMAIN,
    _field("distance", pa.int32(), "layers from one to the other of a pair"),
    _field("value", pa.float64(), "share of that variance that the interaction of one such pair causes, mean over the pairs"),
    *_ENDS,
)
SHAPLEY = _table(
    "spectrum/shapley.parquet",
    _MODEL,
    _DOMAIN,
    _LAYER,
    _field("value", pa.float64(), "Shapley value of the layer's big FFN: its part of all small less all big", "nats a token"),
    *_ENDS,
)
SPECTRUM_STATISTICS = Table("spectrum/statistics.parquet", _STATISTICS)

# The oracle beside what it would get from independent normal losses of the same mean and deviation, token by token.
ORDER_STATISTICS = _table(
    "spectrum/order_statistics.parquet",
    _MODEL,
    _DOMAIN,
    _BUDGET,
    _field("routes", pa.int32(), "of this budget"),
    _field("expected_maximum", pa.float64(), "of so many independent standard normals"),
    _field("mean", pa.float64(), "of a token's losses over the routes, mean over tokens", "nats a token"),
    _field("deviation", pa.float64(), "their standard deviation over the routes, mean over tokens", "nats a token"),
    *(
        _field(f"{name}{end}", pa.float64(), f"{words}{meaning}", unit)
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
SYNTHETIC_HISTORY = Table("synthetic_model/history.parquet", HISTORY.schema)
SYNTHETIC_METRICS = Json("synthetic_model/metrics.json")
_SYNTHETIC = [
    _field("kind", pa.string(), "structure, noise, operand, copy or sum: the part of the predicted token, of duo.synthetic"),
    _field("difficulty", pa.int32(), "known by construction: 0 nothing to look up, 1 a copy, 2 and more a sum's digit, by its carry"),
]
_MEASURED = {
    "all_small": "loss with all layers small",
    "all_big": "loss with all layers big",
    "oracle": "loss under the token's best route of difficulty.budget big layers",
    "gap": "all_small less oracle",
    "null_gap": "what the oracle gains over the route of luck.labels on labels drawn from that route, mean over draws: luck alone",
    "corrected_gap": "gap less null_gap",
}
SYNTHETIC_TOKENS = _table(
    "synthetic/tokens.parquet",
    _DOCUMENT,
    _POSITION,
    _field("token", pa.int32(), "id of the context's last token"),
    _field("label", pa.int32(), "id of the predicted token"),
    *_SYNTHETIC,
    _field("entropy", pa.float32(), "of the chance that the token is drawn with, given all before it", "nats"),
    *(_field(name, pa.float32(), meaning, "nats") for name, meaning in _MEASURED.items()),
)
SYNTHETIC_CLASSES = _table(
    "synthetic/classes.parquet",
    *_SYNTHETIC,
    _field("tokens", pa.int32(), "of this kind and difficulty"),
    _field("entropy", pa.float64(), "mean", "nats a token"),
    *(
        _field(f"{name}{end}", pa.float64(), f"{words} of: {meaning}", "nats a token")
        for name, meaning in _MEASURED.items()
        for end, words in {"": "mean", "_low": "lower end of the interval", "_high": "upper end of the interval"}.items()
    ),
)
# MEASURE_rank_KNOWN: Spearman's correlation of the loss with all layers small, the gap or the corrected gap with what is known: difficulty
# and entropy over all tokens, carry (the difficulty among digits of sums).
SYNTHETIC_STATISTICS = Table("synthetic/statistics.parquet", _STATISTICS)

# Searches that may try few routes of a token, against the exact answer. Rows begin where every token has tried a route.
SEARCH_CURVES = _table(
    "search/curves.parquet",
    _MODEL,
    _DOMAIN,
    _field("method", pa.string(), "one of params search.methods"),
    _BUDGET,
    _field("evaluations", pa.int32(), "routes tried by each token, or as many layers run"),
    _field("regret", pa.float64(), "mean over tokens of the lowest loss found so far less the lowest there is", "nats a token"),
    _field("regret_low", pa.float64(), "lower end of its interval", "nats a token"),
    _field("regret_high", pa.float64(), "upper end of its interval", "nats a token"),
    _field("found", pa.float64(), "share of tokens whose lowest loss is found"),
    _field("found_low", pa.float64(), "lower end of its interval"),
    _field("found_high", pa.float64(), "upper end of its interval"),
)
# METHOD_BUDGET-random_BUDGET: a method's regret less that of random routes, at the last evaluation.
SEARCH_STATISTICS = Table("search/statistics.parquet", _STATISTICS)

# Losses of all routes on training and validation documents, as LOSSES: what routers with exact supervision learn from.
TABLE = _table(
    "table/{domain}.parquet",
    _DOMAIN,
    _field("split", pa.string(), "train or validation"),
    _field("document", pa.string(), "index of the document in its domain's packed split"),
    _POSITION,
    _field("token", pa.int32(), "id of the context's last token"),
    _field("label", pa.int32(), "id of the predicted token"),
    _field("losses", pa.list_(pa.float32()), "loss under every route, in order of route code", "nats"),
)

# What chooses the routes: a key of params policies.objectives, or fixed, token_table, neighbours or random (duo.baselines).
_POLICY = [
    _field("policy", pa.string(), "an objective of params policies, or a baseline: fixed, token_table, neighbours or random"),
    _field("input", pa.string(), "what it reads: layers, upfront, token or none"),
    _field("network", pa.string(), "linear, mlp or none"),
]
_CONSTRAINED = [
    _field("constraint", pa.string(), "exact: the budget is every token's; average: the mean over tokens, met on the training documents"),
    _BUDGET,
]
# One row a held-out token, policy, constraint and budget; of enumerate's first model.
POLICY_ROUTES = _table(
    "policies/{objective}/routes.parquet",
    *_POLICY,
    _DOMAIN,
    _DOCUMENT,
    _POSITION,
    *_CONSTRAINED,
    _field("route", pa.int32(), "the chosen route"),
    _field("loss", pa.float32(), "claimed: in context shared, from LOSSES; of random, the mean over all routes of the budget", "nats"),
    _field("realised", pa.float32(), "all tokens of the document running their chosen routes together", "nats"),
)
# How each policy came about, a row a constraint and budget.
POLICY_SETTINGS = _table(
    "policies/{objective}/settings.parquet",
    *_POLICY,
    *_CONSTRAINED,
    _field("steps", pa.int32(), "of training, after which the weights were best on validation; 0: as they began, the best fixed route"),
    _field("setting", pa.float64(), "chosen on validation: temperature in nats, or number of neighbours; no number where there is none"),
    _field("price", pa.float64(), "of a big layer, in the policy's own unit; meets the average on the training documents, else no number"),
    _field("validation", pa.float64(), "loss on the validation documents, claimed", "nats a token"),
)
BASELINE_ROUTES = Table("baselines/routes.parquet", POLICY_ROUTES.schema)
BASELINE_SETTINGS = Table("baselines/settings.parquet", POLICY_SETTINGS.schema)

POLICY_CURVES = _table(
    "policies_curves/curves.parquet",
    _MODEL,
    _DOMAIN,
    _field("policy", pa.string(), "as in POLICY_ROUTES, or paper: a router of params routers, or ceiling: the first teacher's choice"),
    *_POLICY[1:],
    _field("chosen", pa.bool_(), "of all inputs and networks of this policy the best on validation, mean over the exact budgets"),
    _field("kind", pa.string(), "claimed or realised, as in POLICY_ROUTES"),
    *_CONSTRAINED,
    _field("big", pa.float64(), "big layers a token that are used"),
    *_LOSS_INTERVAL,
    _field("perplexity", pa.float64(), "exp(loss)"),
    *(
        _field(f"{name}{end}", pa.float64(), f"{words}{meaning}", unit)
        for name, (meaning, unit) in {
            "from_fixed": ("the loss less fixed's", "nats a token"),
            "share": ("(fixed - loss) / (fixed - ceiling); no number where the budget is met on average", ""),
        }.items()
        for end, words in {"": "", "_low": "lower end of the interval of ", "_high": "upper end of the interval of "}.items()
    ),
)
POLICY_STATISTICS = Table("policies_curves/statistics.parquet", _STATISTICS)

_CONTEXT = _field("context", pa.string(), "shared, reference or committed: what the other tokens do while a token's routes are tried")
_SELECTION = _field(
    "selection", pa.string(), "who has one route: oracle, each token; sequence, all tokens of a document; fixed, all of a domain"
)
# One row a token, budget and selection.
CONTEXT_LOSSES = _table(
    "contexts/{context}.parquet",
    _MODEL,
    _DOMAIN,
    _DOCUMENT,
    _POSITION,
    _BUDGET,
    _SELECTION,
    _field("route", pa.int32(), "the chosen route"),
    _field("claimed", pa.float32(), "its loss in this context, which it was chosen by", "nats"),
    _field("realised", pa.float32(), "the token's loss where all tokens run jointly, once, each on its chosen route", "nats"),
)
CONTEXT_CURVES = _table(
    "contexts_curves/curves.parquet",
    _MODEL,
    _DOMAIN,
    _CONTEXT,
    _SELECTION,
    _field("kind", pa.string(), "claimed or realised, as in CONTEXT_LOSSES"),
    _BUDGET,
    *_LOSS_INTERVAL,
    _field("perplexity", pa.float64(), "exp(loss)"),
)
CONTEXT_STATISTICS = Table("contexts_curves/statistics.parquet", _STATISTICS)

FIGURE = File("figures/{name}.{format}")
REPORT = File("report/index.html")
CHECKPOINT = File("checkpoints/{fingerprint}.safetensors")
CACHE = File("cache/{name}")
