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

FIGURE = File("figures/{name}.{format}")
REPORT = File("report/index.html")
CHECKPOINT = File("checkpoints/{fingerprint}.safetensors")
CACHE = File("cache/{name}")
