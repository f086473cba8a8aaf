"""How tables are declared, and the columns that many of them have."""

import pyarrow as pa

from duo.tables.files import Table


def field(name: str, kind: pa.DataType, meaning: str, unit: str = "") -> pa.Field:
    metadata = {"meaning": meaning, **({"unit": unit} if unit else {})}
    return pa.field(name, kind, nullable=False, metadata=metadata)


def table(template: str, *fields: pa.Field) -> Table:
    return Table(template, pa.schema(fields))


MODEL = field("model", pa.string(), "a key of params models")
DOMAIN = field("domain", pa.string(), "kind of text, a key of params corpus")
DOCUMENT = field("document", pa.string(), "id of the document in its domain")
POSITION = field("position", pa.int32(), "index of the predicted token in its document")
BUDGET = field("budget", pa.int32(), "big layers a token")
LAYER = field("layer", pa.int32(), "0 is next to the embedding")

# What the paper's claims compare, each with its interval by document; duo/report/claims.py says which names they use.
STATISTICS = pa.schema(
    [
        MODEL,
        DOMAIN,
        field("name", pa.string(), "first-second for a difference, in nats a token where it is one of losses"),
        field("value", pa.float64(), "estimate"),
        field("low", pa.float64(), "lower end of the interval"),
        field("high", pa.float64(), "upper end of the interval"),
    ]
)

LOSS_INTERVAL = [
    field("loss", pa.float64(), "mean over tokens", "nats a token"),
    field("low", pa.float64(), "lower end of its interval", "nats a token"),
    field("high", pa.float64(), "upper end of its interval", "nats a token"),
]
