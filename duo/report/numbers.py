"""The few numbers that runs are compared by."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from duo.report import sentences
from duo.studies import gap_closed, joint_statistics
from duo.tables.files import Table
from duo.tables.studies import GAIN_STATISTICS, GAP_CLOSED_STATISTICS, JOINT_STATISTICS
from duo.terms import JOINT, ORACLE, PAPER, TRUE

Row = Mapping[str, Any]
PARTS = ("gain", "foreseen", "luck", "unexplained")  # of sentences.parts, in its order


def headline(tables: Mapping[Table, Iterable[Row]], model: str) -> dict[str, dict[str, float]]:
    """By domain, what the oracle of this model gains at the middle budget, in nats, and what of that is what.

    PARTS; where routes were run together, the joint gain in the last context; and, where the paper's router has that
    budget, the share that it closes of the gap between the best fixed route and what a teacher foresees. Each with _low
    and _high, the ends of its interval. tables: rows by table of statistics. Nothing of a domain whose budgets leave no
    choice.
    """
    ours = {table: [row for row in rows if row["model"] == model] for table, rows in tables.items()}
    found = {}
    for domain in sentences.domains(ours.get(GAIN_STATISTICS, [])):
        gain, joint, closed = (
            [row for row in ours.get(table, []) if row["domain"] == domain]
            for table in (GAIN_STATISTICS, JOINT_STATISTICS, GAP_CLOSED_STATISTICS)
        )
        budgets = sorted({row["budget"] for row in gain if (row["family"], row["labels"]) == ("gain", TRUE)})
        if budgets:
            budget = budgets[len(budgets) // 2]
            found[domain] = {"budget": budget}
            for name, row in _shown(gain, joint, closed, budget):
                found[domain] |= {name: row["value"], f"{name}_low": row["low"], f"{name}_high": row["high"]}
    return found


def _shown(gain: list[Row], joint: list[Row], closed: list[Row], budget: float) -> Iterator[tuple[str, Row]]:
    """Names and rows at a budget; gain, joint, closed: of one model and domain."""
    yield from zip(PARTS, sentences.parts(gain, budget), strict=False)
    contexts = list(dict.fromkeys(row["reference"] for row in joint if row["family"] == "joint_gain"))
    for context in contexts[-1:]:
        yield "joint_gain", sentences.find(joint, joint_statistics.gain(context, ORACLE, JOINT, budget))
    for row in sentences.matching(closed, gap_closed.share_closed(PAPER, budget, JOINT)):
        yield "router_gap_closed", row
