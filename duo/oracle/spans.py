"""Losses on spans of text that take unlike numbers of tokens: padded for the tree, then summed over what is scored.

Padding comes last, where no token that is scored sees it. Sums are taken in one thread, whose order gives their last
digits.
"""

from collections.abc import Iterable, Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from duo.data.evaluation_set import EvaluationSet
from duo.data.tokenizer import BOS_ID
from duo.tables.trend import TREND_LOSSES

_CLUSTER = ["domain", "cluster"]
_TOKEN = ["domain", "document", "position"]


def padded(spans: pa.Table) -> EvaluationSet:
    """The spans, columns of SPANS, as an evaluation set: BOS tokens after each, to the length of the longest."""
    tokens = spans["tokens"].to_pylist()
    ids = np.full((len(tokens), max(map(len, tokens))), BOS_ID, np.int64)
    for row, each in enumerate(tokens):
        ids[row, : len(each)] = each
    names = (spans[name].to_pylist() for name in ("domain", "document", "cluster"))
    return EvaluationSet(*names, ids[:, :-1], ids[:, 1:])


def of_rows(packed: Mapping[str, np.ndarray], count: int) -> EvaluationSet:
    """The first rows [rows, sequence length + 1] of every domain as an evaluation set, for calibration."""
    rows = {domain: table[:count].astype(np.int64) for domain, table in packed.items()}
    domains = [domain for domain, table in rows.items() for _ in table]
    names = [f"row {index}" for table in rows.values() for index in range(len(table))]
    ids = np.concatenate(list(rows.values()))
    return EvaluationSet(domains, names, names, ids[:, :-1], ids[:, 1:])


def scored(spans: pa.Table) -> pa.Table:
    """Columns domain, document and position of every token that is scored, as the tables of `padded` name it."""
    rows = spans.select(["domain", "document", "context", "tokens"]).to_pylist()
    positions = [np.arange(row["context"] - 1, len(row["tokens"]) - 1, dtype=np.int32) for row in rows]
    counts = [len(each) for each in positions]
    names = {name: np.repeat([row[name] for row in rows], counts) for name in ("domain", "document")}
    return pa.table(names | {"position": np.concatenate(positions)})


def sums(
    point: str,
    spans: pa.Table,
    choices: pa.Table,
    predictions: pa.Table,
    matched: pa.Table,
    shares: Mapping[int, float],
) -> pa.Table:
    """TREND_LOSSES of a point.

    spans: columns of SPANS; choices, predictions, matched: of CHOICES, PREDICTIONS and MATCHED_GAINS, of the evaluation
    set that `padded` makes of them. shares: of the layers, by budget.
    """
    tokens = scored(spans)

    def total(table: pa.Table, columns: Iterable[str], *by: str) -> pa.Table:
        """Sums of the columns over the scored tokens, by cluster and these."""
        kept = table.join(tokens, _TOKEN, join_type="inner", use_threads=False)
        wide = pa.table(
            {name: kept[name] for name in (*_CLUSTER, *by)} | {n: kept[n].cast(pa.float64()) for n in columns}
        )
        return wide.group_by([*_CLUSTER, *by], use_threads=False).aggregate([(name, "sum") for name in columns])

    bytes_ = spans.group_by(_CLUSTER, use_threads=False).aggregate([("bytes", "sum")])
    ones = choices.append_column("tokens", pa.array(np.ones(len(choices))))
    found = total(ones, ["tokens", "loss", "expected", "null"], "budget", "chooser")
    found = found.join(total(predictions, ["surprisal"], "chooser"), [*_CLUSTER, "chooser"])
    found = found.join(total(matched, ["reference_loss", "gain", "matched_gain"], "budget"), [*_CLUSTER, "budget"])
    found = found.join(bytes_, _CLUSTER).sort_by([(name, "ascending") for name in (*_CLUSTER, "budget", "chooser")])
    budgets = found["budget"].to_pylist()
    columns = {
        "point": [point] * len(found),
        **{name: found[name] for name in (*_CLUSTER, "budget", "chooser")},
        "share": [shares[budget] for budget in budgets],
        "reference": found["reference_loss_sum"],
        "oracle": pc.subtract(found["reference_loss_sum"], found["gain_sum"]),
        "choice": found["loss_sum"],
        **{
            name: found[f"{name}_sum"]
            for name in ("tokens", "bytes", "expected", "null", "surprisal", "gain", "matched_gain")
        },
    }
    return pa.table(columns).select(TREND_LOSSES.schema.names).cast(TREND_LOSSES.schema)
