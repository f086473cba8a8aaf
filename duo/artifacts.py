"""Every artifact of the paper's experiments: its file name and its schema with units; duo.gain_artifacts has those of the second part.

No other module knows the name of a file.
"""

import pyarrow as pa

from duo import columns
from duo.columns import field, table
from duo.files import File, Json, Metrics, Table, matrix

DOCUMENTS = table(
    "corpus/{domain}/documents.parquet",
    field("id", pa.string(), "unique in its domain"),
    columns.DOMAIN,
    field("split", pa.string(), "train, validation or test"),
    field("source", pa.string(), "where the document comes from, with its attribution"),
    field("licence", pa.string(), "SPDX name"),
    field("text", pa.string(), "the document"),
)

TOKENIZER = File("tokens/tokenizer.json")

# The training split of every domain, packed: documents one after the other, each behind the document mark, cut in equal rows.
PACKED = table(
    "tokens/packed.parquet",
    columns.DOMAIN,
    field("split", pa.string(), "train or validation"),
    field("tokens", pa.list_(pa.uint16()), "a context and the token after it: sequence + 1 ids"),
)


def packed(split: str) -> "dict[str, numpy.ndarray]":  # noqa: F821
    """Rows [rows, sequence + 1] of PACKED in a split, by domain."""
    found = PACKED.read()
    domains, splits = found["domain"].to_numpy(zero_copy_only=False), found["split"].to_numpy(zero_copy_only=False)
    tokens = matrix(found["tokens"])
    return {str(domain): tokens[(domains == domain) & (splits == split)] for domain in dict.fromkeys(domains)}


# The test split, one row a document.
TEST_TOKENS = table(
    "tokens/test.parquet",
    columns.DOMAIN,
    columns.DOCUMENT,
    pa.field("tokens", pa.list_(pa.uint16()), nullable=False, metadata={"meaning": "the mark, then the whole document"}),
)

# Tokens, documents and bytes of every domain and split.
TOKEN_METRICS = Metrics("tokens/metrics.json")

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
    field("value", pa.float64(), "value of the series", "nats a token, for losses"),
)
PRETRAIN_METRICS = Metrics("pretrain/{model}/metrics.json")

LOSSES = table(
    "enumerate/{model}-{shard}.parquet",
    columns.DOMAIN,
    columns.DOCUMENT,
    columns.POSITION,
    field("token", pa.int32(), "id of the context's last token"),
    field("label", pa.int32(), "id of the predicted token"),
    field("losses", pa.list_(pa.float32()), "loss under every route, in order of route code", "nats"),
)

# One row a token. Losses in nats; routes as codes of duo.routes.
SELECTIONS = table(
    "oracle/{budget}/tokens.parquet",
    columns.MODEL,
    columns.DOMAIN,
    columns.DOCUMENT,
    columns.POSITION,
    field("oracle_route", pa.int32(), "the token's best route of this budget"),
    field("oracle_loss", pa.float32(), "its loss", "nats"),
    field("random_token_loss", pa.float32(), "lowest loss of n random routes drawn for this token", "nats"),
    field("sequence_loss", pa.float32(), "loss under the best route of the token's document", "nats"),
    field("mean_loss", pa.float32(), "mean over all routes of this budget", "nats"),
)

# One row a document and route of this budget: all that choosing one route for many tokens needs.
ROUTE_SUMS = table(
    "oracle/{budget}/routes.parquet",
    columns.MODEL,
    columns.DOMAIN,
    columns.DOCUMENT,
    field("route", pa.int32(), "code"),
    field("drawn", pa.bool_(), "one of the n random routes that are tried for all tokens alike"),
    field("tokens", pa.int32(), "tokens of the document"),
    field("loss_sum", pa.float64(), "sum of the tokens' losses", "nats"),
)

CURVES = table(
    "evaluate/curves.parquet",
    columns.MODEL,
    columns.DOMAIN,
    field("strategy", pa.string(), "oracle, sequence, random_token, random_all, fixed or mean"),
    columns.BUDGET,
    field("loss", pa.float64(), "mean over tokens", "nats a token"),
    field("low", pa.float64(), "lower end of the interval", "nats a token"),
    field("high", pa.float64(), "upper end of the interval", "nats a token"),
    field("perplexity", pa.float64(), "exp(loss)"),
    field("route", pa.int32(), "the chosen route where one serves all tokens, else -1"),
)

HEAT_MAPS = table(
    "evaluate/heat_maps.parquet",
    columns.MODEL,
    columns.DOMAIN,
    columns.BUDGET,
    columns.LAYER,
    columns.POSITION,
    field("share", pa.float64(), "share of documents whose oracle route is big here"),
)

# Share of big by layer alone, with its interval: what the heat maps' claims rest on.
LAYER_SHARES = table(
    "evaluate/layers.parquet",
    columns.MODEL,
    columns.DOMAIN,
    columns.BUDGET,
    columns.LAYER,
    field("share", pa.float64(), "share of tokens whose oracle route is big here"),
    field("low", pa.float64(), "lower end of the interval"),
    field("high", pa.float64(), "upper end of the interval"),
)

CONTRASTS = Table("evaluate/contrasts.parquet", columns.STATISTICS)

# The estimates of CONTRASTS over models that differ by their seed alone, apart from their intervals by document.
SEEDS = table(
    "evaluate/seeds.parquet",
    columns.DOMAIN,
    field("name", pa.string(), "as in CONTRASTS"),
    field("seeds", pa.int32(), "how many models"),
    field("mean", pa.float64(), "of their estimates"),
    field("deviation", pa.float64(), "standard deviation of their estimates; no number where there is one model"),
    field("low", pa.float64(), "lowest estimate"),
    field("high", pa.float64(), "highest estimate"),
)

# Headline numbers by model, then domain.
METRICS = Metrics("evaluate/metrics.json")

# The paper's claims and what became of them: one row a claim, domain, test and model.
CLAIMS = table(
    "results/claims.parquet",
    field("claim", pa.string(), "C1 to C19"),
    field("words", pa.string(), "what the paper says, in our words"),
    field("figure", pa.string(), "name of the picture that the claim rests on"),
    field("link", pa.string(), "that picture's place in the report"),
    columns.DOMAIN,
    columns.MODEL,
    field("seed", pa.int32(), "of that model's training"),
    field("statistic", pa.string(), "name in the table of statistics"),
    field("estimate", pa.float64(), "no number where the statistic is missing"),
    field("low", pa.float64(), "lower end of the interval over documents"),
    field("high", pa.float64(), "upper end of the interval over documents"),
    field("supports", pa.string(), "where the interval must lie for the claim to hold, or why there is none"),
    field("verdict", pa.string(), "of this row: holds, fails or undecided"),
    field("claim_verdict", pa.string(), "of the claim on this domain, over all its rows"),
    field("seeds", pa.string(), "of the models that differ from this one by their seed alone, itself included"),
    field("seed_low", pa.float64(), "lowest estimate over these seeds"),
    field("seed_high", pa.float64(), "highest estimate over these seeds"),
)

# Verdicts by claim and domain, and how often each was given.
CLAIM_METRICS = Metrics("results/metrics.json")

_SCHEDULE = field("schedule", pa.string(), "of the budget: falling, rising, constant, or shuffled (falling's budgets in random order)")
_SCHEDULED = field("strategy", pa.string(), "oracle, or mean of all routes, of the budget at the token's position")
SCHEDULES = table(
    "schedules/curves.parquet",
    columns.MODEL,
    columns.DOMAIN,
    _SCHEDULE,
    _SCHEDULED,
    *columns.LOSS_INTERVAL,
    field("perplexity", pa.float64(), "exp(loss)"),
)
SCHEDULE_POSITIONS = table(
    "schedules/positions.parquet",
    columns.MODEL,
    columns.DOMAIN,
    _SCHEDULE,
    _SCHEDULED,
    field("first", pa.int32(), "first position of a stretch of the sequence"),
    field("last", pa.int32(), "its last position"),
    field("budget", pa.float64(), "mean big layers a token there"),
    *columns.LOSS_INTERVAL,
)
SCHEDULE_STATISTICS = Table("schedules/statistics.parquet", columns.STATISTICS)

_CLASS = field("class", pa.string(), "kind of token, of duo.token_classes")
DIFFICULTY = table(
    "difficulty/tokens.parquet",
    columns.MODEL,
    columns.DOMAIN,
    columns.DOCUMENT,
    columns.POSITION,
    _CLASS,
    field("line_start", pa.bool_(), "holds the first character that is not white space of a line, but for a document's first"),
    field("all_small", pa.float32(), "loss with all layers small", "nats"),
    field("all_big", pa.float32(), "loss with all layers big", "nats"),
    field("oracle", pa.float32(), "loss under the token's best route of difficulty.budget big layers", "nats"),
    field("gap", pa.float32(), "all_small less oracle: the token's difficulty", "nats"),
)
# Cells without tokens have no row.
DIFFICULTY_HISTOGRAM = table(
    "difficulty/histogram.parquet",
    columns.MODEL,
    columns.DOMAIN,
    field("loss", pa.float64(), "lower edge of the cell in loss with all layers small", "nats"),
    field("gap", pa.float64(), "lower edge of the cell in gap", "nats"),
    field("width", pa.float64(), "of the cell, both ways", "nats"),
    field("tokens", pa.int32(), "in the cell"),
)
DIFFICULTY_CLASSES = table(
    "difficulty/classes.parquet",
    columns.MODEL,
    columns.DOMAIN,
    _CLASS,
    field("tokens", pa.int32(), "of the class"),
    *(
        field(f"{name}{end}", pa.float64(), f"{words} of {meaning}", "nats a token")
        for name, meaning in {"loss": "the loss with all layers small", "gap": "the gap"}.items()
        for end, words in {"": "mean", "_low": "lower end of the interval", "_high": "upper end of the interval"}.items()
    ),
)
DIFFICULTY_STATISTICS = Table("difficulty/statistics.parquet", columns.STATISTICS)

# A list of one passage a domain, for the coloured text: domain, document, source, licence and tokens, each with its text (a character
# that several tokens share stands at the first of them), loss (all_small), oracle and gap in nats. Plain text, not escaped.
PASSAGES = Json("difficulty/passages.json")


# Multiple-choice items: one beginning, four ends, of which one is its document's own.
_ITEM = field("item", pa.int32(), "index of the item in its domain")
_LABEL = field("label", pa.int32(), "index of the true ending")
CHOICES = table(
    "choices/items.parquet",
    columns.DOMAIN,
    columns.DOCUMENT,
    _ITEM,
    field("position", pa.int32(), "index in the document of the context's first token"),
    field("context", pa.string(), "the beginning, ablation.context tokens of the document"),
    field("endings", pa.list_(pa.string()), "ablation.continuation tokens each"),
    _LABEL,
)

# What the evaluation harness made of the items; of tasks other than ours each item is a document of its own.
HARNESS = table(
    "harness/{model}.parquet",
    columns.MODEL,
    field("p_big", pa.float64(), "chance of the big FFN"),
    field("domain", pa.string(), "a key of params corpus, or the name of another task of the harness"),
    columns.DOCUMENT,
    _ITEM,
    _LABEL,
    field("choice", pa.int32(), "index of the ending with the highest log-likelihood a character"),
    field("correct", pa.bool_(), "the harness's acc_norm"),
    field("log_likelihoods", pa.list_(pa.float64()), "of the endings", "nats"),
    field("lengths", pa.list_(pa.int32()), "of the endings", "characters"),
)

_KIND = field("kind", pa.string(), "duo: all FFNs trained together; dense: one FFN; frozen: small FFNs added to frozen others")
_FLOPS_AS = field("p_big", pa.float64(), "chance of the big FFN; of a dense model, the one at which Duo does the same FLOPs")
ABLATION_LOSSES = table(
    "ablation/losses.parquet",
    columns.MODEL,
    _KIND,
    _FLOPS_AS,
    columns.DOMAIN,
    columns.DOCUMENT,
    field("tokens", pa.int32(), "of the document in the sample"),
    field("loss_sum", pa.float64(), "sum of the tokens' losses, each the mean over the random routings", "nats"),
)
ABLATION_CURVES = table(
    "ablation/curves.parquet",
    columns.MODEL,
    _KIND,
    field("domain", pa.string(), "a key of params corpus, or the name of another task of the harness"),
    field("measure", pa.string(), "loss, or accuracy in multiple choice"),
    _FLOPS_AS,
    field("flops", pa.float64(), "of the forward pass at the context length", "floating-point operations a token"),
    field("value", pa.float64(), "mean loss in nats a token, or share of right choices"),
    field("low", pa.float64(), "lower end of the interval"),
    field("high", pa.float64(), "upper end of the interval"),
)
ABLATION_STATISTICS = Table("ablation/statistics.parquet", columns.STATISTICS)

# A router's weights, and the backbone's where that was trained too (duo.router).
ROUTER = File("router/{router}/router.safetensors")
ROUTER_HISTORY = Table("router/{router}/history.parquet", HISTORY.schema)
_SCORING = field(
    "kind", pa.string(), "how a router is scored: hard (likeliest choice), exact (its budget for every token) or soft (the mix)"
)
_ROUTER = field("router", pa.string(), "a key of params routers")
_CHOICE = field("choice", pa.string(), "big or skip")
# One row a held-out token and kind.
ROUTED = table(
    "router/{router}/tokens.parquet",
    _SCORING,
    columns.DOMAIN,
    columns.DOCUMENT,
    columns.POSITION,
    field("loss", pa.float32(), "of the token, all tokens being routed together", "nats"),
    field("big", pa.float32(), "big layers of the token; for soft, its total weight on big"),
    field("skip", pa.float32(), "skipped layers of the token; for soft, its total weight on skip"),
    field("route", pa.int64(), "code in the router's own choices, of which OPT has 3^24; -1 for soft"),
)
# Losses and layers used by domain and kind, and FLOPs a token of hard routing against all big and all small.
ROUTER_METRICS = Metrics("router/{router}/metrics.json")

ROUTING_CURVES = table(
    "routing/curves.parquet",
    field("router", pa.string(), "a key of params routers; oracle for the oracle on average over a sequence"),
    columns.MODEL,
    columns.DOMAIN,
    field("kind", pa.string(), "hard, exact or soft as in ROUTED; or oracle_average"),
    field("constraint", pa.string(), "exact: on every token; average: on the mean over a sequence"),
    field("target", pa.float64(), "big layers a token that are asked"),
    field("big", pa.float64(), "big layers a token that are used"),
    field("skip", pa.float64(), "skipped layers a token"),
    *columns.LOSS_INTERVAL,
    field("perplexity", pa.float64(), "exp(loss)"),
)
ROUTING_HEAT_MAPS = table(
    "routing/heat_maps.parquet",
    _ROUTER,
    columns.DOMAIN,
    _CHOICE,
    columns.LAYER,
    columns.POSITION,
    field("share", pa.float64(), "share of documents, routed hard"),
)
ROUTING_STATISTICS = Table("routing/statistics.parquet", columns.STATISTICS)

# Figure 2d. One row a token: routes of {skip, big} with skips.big big layers, codes in base 2 with a 1 for every big layer.
SKIPS = table(
    "skips/{model}/tokens.parquet",
    columns.MODEL,
    columns.DOMAIN,
    columns.DOCUMENT,
    columns.POSITION,
    field("oracle_route", pa.int32(), "the token's best route"),
    field("oracle_loss", pa.float32(), "its loss", "nats"),
    field("fixed_route", pa.int32(), "the route that serves the domain best"),
    field("fixed_loss", pa.float32(), "the token's loss under it", "nats"),
    field("mean_loss", pa.float32(), "mean over all routes", "nats"),
)
SKIP_HEAT_MAPS = Table("skips/{model}/heat_maps.parquet", HEAT_MAPS.schema)
SKIP_LAYERS = Table("skips/{model}/layers.parquet", LAYER_SHARES.schema)
SKIP_STATISTICS = Table("skips/{model}/statistics.parquet", columns.STATISTICS)

_BIG_AND_SKIP = [
    field("big", pa.int32(), "big layers of the routes"),
    field("skip", pa.int32(), "skipped layers of the routes"),
]

# One row a token and cell: all routes of {small, big, skip} with so many big and so many skipped layers.
THREE_WAY = table(
    "three_way/{domain}.parquet",
    columns.MODEL,
    columns.DOMAIN,
    columns.DOCUMENT,
    columns.POSITION,
    *_BIG_AND_SKIP,
    field("routes", pa.int32(), "how many routes those are"),
    field("oracle_route", pa.int32(), "the best of them, the lowest code among ties; base 3 digits: 0 small, 1 big, 2 skip"),
    field("oracle_loss", pa.float32(), "its loss", "nats"),
    field("loss_sum", pa.float64(), "sum over the routes", "nats"),
)
THREE_WAY_CURVES = table(
    "three_way_curves/curves.parquet",
    columns.MODEL,
    columns.DOMAIN,
    field("strategy", pa.string(), "oracle or mean of the routes"),
    *_BIG_AND_SKIP,
    field("loss", pa.float64(), "mean over tokens", "nats a token"),
    field("low", pa.float64(), "lower end of the interval", "nats a token"),
    field("high", pa.float64(), "upper end of the interval", "nats a token"),
    field("perplexity", pa.float64(), "exp(loss)"),
    field("from_all_big", pa.float64(), "loss less that of all layers big, on the same tokens", "nats a token"),
    field("from_all_big_low", pa.float64(), "lower end of its interval", "nats a token"),
    field("from_all_big_high", pa.float64(), "upper end of its interval", "nats a token"),
)

FIGURE = File("figures/{name}.{format}")
REPORT = File("report/index.html")
CHECKPOINT = File("checkpoints/{fingerprint}.safetensors")
CACHE = File("cache/{name}")
