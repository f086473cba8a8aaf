"""How tables are declared, and the columns that many of them have."""

import pyarrow as pa

from duo.tables.files import Table


def field(name: str, kind: pa.DataType, meaning: str, unit: str = "") -> pa.Field:
    """A column without empty values, which carries its meaning and unit into the Parquet file."""
    metadata = {"meaning": meaning, **({"unit": unit} if unit else {})}
    return pa.field(name, kind, nullable=False, metadata=metadata)


def table(template: str, *fields: pa.Field) -> Table:
    """A table of these columns, in the file that the template names."""
    return Table(template, pa.schema(fields))


MODEL = field("model", pa.string(), "a key of params models")
DOMAIN = field("domain", pa.string(), "kind of text, a key of params corpus")
DOCUMENT = field("document", pa.string(), "id of the document in its domain")
CLUSTER = field(
    "cluster",
    pa.string(),
    "what the document shares with others that are not independent of it: its package, or itself",
)
POSITION = field("position", pa.int32(), "index of the predicted token among those of its window that are scored")
BUDGET = field("budget", pa.int32(), "big layers per token")
LAYER = field("layer", pa.int32(), "0 is next to the embedding")
STRATEGY = field(
    "strategy", pa.string(), "how the route was chosen: random_all, fixed, or a key of params oracle.strategies"
)
STRATEGY_WORDS = field("words", pa.string(), "the strategy in plain English")

# What chooses the routes, and the budget that it is held to.
POLICY = [
    field(
        "policy", pa.string(), "a key of params policies.routers or policies.baselines, ceiling, paper, or a chooser"
    ),
    field(
        "role",
        pa.string(),
        "learned: a token's choice was learned from the losses of all routes; baseline: no token is looked at; "
        "ceiling: the label-free choice of a teacher; chooser: of another; paper: a router trained as the paper's",
    ),
    field("input", pa.string(), "what it reads: layers, upfront, token, none, or as a class of the user's own says"),
    field("network", pa.string(), "linear, mlp or none"),
]
CONSTRAINED = [
    field(
        "constraint",
        pa.string(),
        "exact: the budget is every token's; average: the mean over tokens, met on the training documents",
    ),
    BUDGET,
]


def interval(name: str, meaning: str, unit: str = "", ends: str = "named") -> list[pa.Field]:
    """An estimate and the ends of its interval, as NAME_low and NAME_high, or, with ends "bare", as low and high."""
    prefix = "" if ends == "bare" else f"{name}_"
    return [
        field(name, pa.float64(), meaning, unit),
        field(f"{prefix}low", pa.float64(), f"lower end of the interval of {name}", unit),
        field(f"{prefix}high", pa.float64(), f"upper end of the interval of {name}", unit),
    ]


VALUE_INTERVAL = interval("value", "estimate", ends="bare")
PERPLEXITY = field("perplexity", pa.float64(), "exp(loss)")

# The fields of duo.stats.Statistic: what is measured, of what, against what.
STATISTIC = [
    field("family", pa.string(), "what is measured, such as difference, slope or depth_bias"),
    field("subject", pa.string(), "whose it is: a strategy, a router, a policy, a measure"),
    field("reference", pa.string(), "what the subject is compared with; empty where with nothing"),
    pa.field(
        "budget",
        pa.float64(),
        metadata={"meaning": "of the comparison; empty where of none", "unit": "big layers per token"},
    ),
    field(
        "labels",
        pa.string(),
        "true; sampled from the model's own prediction; matched, sampled among words of like surprisal; excess, true "
        "less matched; or placebo, the excess where a sampled label plays the truth",
    ),
]
WORDS = field("words", pa.string(), "the statistic in plain English")
ERROR = field("error", pa.float64(), "standard error over clusters")
CLUSTERS = field("clusters", pa.int32(), "how many clusters the interval and the error are over")
STATISTICS = pa.schema([MODEL, DOMAIN, *STATISTIC, *VALUE_INTERVAL, ERROR, CLUSTERS, WORDS])

LOSS_INTERVAL = [*interval("loss", "mean over tokens", "nats per token", ends="bare"), PERPLEXITY]
