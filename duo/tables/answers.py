"""Pretrained models on other people's tasks, and the answer oracle: file names and schemas with units."""

import pyarrow as pa

from duo.tables import training
from duo.tables.fields import field, interval, table
from duo.tables.files import Table

_TASK = field("task", pa.string(), "a key of params tasks")

# What the evaluation harness made of the questions of all tasks; the model, a key of params pretrained, is all big.
PRETRAINED_HARNESS = Table("pretrained_harness/{model}.parquet", training.HARNESS.schema)

TASK_ACCURACY = table(
    "results/accuracy/{model}.parquet",
    field("model", pa.string(), "a key of params pretrained"),
    _TASK,
    field("metric", pa.string(), "acc: by log-likelihood; acc_norm: by log-likelihood per character; guessing"),
    field("count", pa.int32(), "how many questions"),
    *interval("value", "share of right answers", ends="bare"),
)

# Of one entry of params answers: each answer's score under every route. All tokens of a text take the same route.
ANSWER_SCORES = table(
    "answers/{name}.parquet",
    field("question", pa.string(), "id of the question in its task"),
    field("answer", pa.int32(), "index of the answer among those of its question"),
    field("right", pa.bool_(), "whether it is the right one"),
    field("tokens", pa.int32(), "of the answer"),
    field("scores", pa.list_(pa.float64()), "log-likelihood of the answer under each route, in order of code", "nats"),
)

ANSWER_CURVES = table(
    "results/answers/{name}.parquet",
    field("name", pa.string(), "a key of params answers"),
    field("model", pa.string(), "a key of params pretrained"),
    _TASK,
    field("questions", pa.string(), "all, or missed: those that the model as it is gets wrong"),
    field("count", pa.int32(), "how many of them"),
    field(
        "target",
        pa.string(),
        "which answer is wanted: the right one; a given wrong one, of the missed questions none that the model gives "
        "itself, mean over them; one sampled as the model's own scores say, of the missed questions not its own; the "
        "same as the scores say when tempered, so that they are as sure as they are right on the other half of the "
        "questions; right_less_wrong, right_less_sampled, right_less_tempered: differences on the same questions",
    ),
    field("departures", pa.int32(), "at most so many blocks, or layers, of a route are not big"),
    field("tried", pa.int32(), "routes, the first all big, the others drawn at random among those; mean over draws"),
    *interval("value", "share of the questions on which some route tried makes the answer win", ends="bare"),
)
