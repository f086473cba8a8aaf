"""What a page says of the oracle's gain, in sentences with their intervals."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from duo.stats import Statistic
from duo.studies import gain
from duo.studies.gain import route_words
from duo.terms import FIXED

Row = Mapping[str, Any]


def parts(rows: Iterable[Row], budget: float) -> list[Row]:
    """Rows of GAIN_STATISTICS at a budget: gain, gain on sampled labels, their difference, and selection bias."""
    rows = list(rows)
    route = reference(rows)
    wanted = [gain.gain(route, budget, labels) for labels in (gain.TRUE, gain.SAMPLED, gain.DIFFERENCE)]
    return [_row(rows, statistic) for statistic in (*wanted, gain.selection_bias(budget))]


def of_the_gain(rows: Sequence[Row], domain: str, budget: float) -> list[str]:
    """What is left of the oracle's gain on a domain at a budget; rows of GAIN_STATISTICS of one model and domain."""
    route = reference(rows)
    words = route_words(route)
    true, null, left, bias = parts(rows, budget)
    share = _row(rows, gain.null_share(route, budget))
    corrected = _row(rows, gain.difference("corrected", route, budget))
    normalised = _row(rows, gain.difference("normalised", route, budget))
    sentences = [
        f"On {domain} the oracle at budget {budget:g} gains {nats(true)} over {words}.",
        f"On labels sampled from the predictions of {words}, which no route can beat in expectation, it gains "
        f"{nats(null)}{_as_share(share)}.",
        f"The difference is {nats(left)}: {_left(left)}.",
        f"Selection bias alone, its gain there over the routes of lowest expected loss, is {nats(bias)}; taken off, "
        f"the oracle is at {nats(corrected)} from {words}: {_verdict(corrected)}.",
        f"The loss of {words} on the sampled labels is {nats(_row(rows, gain.calibration(route)))} from that on the "
        "true ones, where calibrated predictions lose as much on both; the null is only as good as they are.",
        f"Made a proper distribution, the oracle is at {nats(normalised)} from {words}.",
    ]
    return sentences + [
        f"Routes that teacher {row['subject']!r} chooses without the label are at {nats(row)} from the best fixed "
        "route there."
        for row in ceilings(rows, budget, FIXED)
    ]


def ceilings(rows: Iterable[Row], budget: float, reference: str) -> list[Row]:
    """Rows of what teachers choose without the label at a budget, less the reference."""
    wanted = ("ceiling_difference", reference, budget)
    return [row for row in rows if (row["family"], row["reference"], row["budget"]) == wanted]


def reference(rows: Iterable[Row]) -> str:
    """Name of the reference route that the gains are over."""
    return next(row["reference"] for row in rows if row["family"] == "gain")


def nats(row: Row) -> str:
    """A difference of losses with its interval."""
    return f"{row['value']:+.3f} nats per token ({row['low']:+.3f} to {row['high']:+.3f})"


def _row(rows: Iterable[Row], statistic: Statistic) -> Row:
    names = ("family", "subject", "reference", "budget", "labels")
    return next(row for row in rows if all(row[name] == getattr(statistic, name) for name in names))


def _as_share(share: Row) -> str:
    if None in (share["value"], share["low"], share["high"]):
        return ""
    words = "{value:.0%} as much ({low:.0%} to {high:.0%})".format_map(share)
    return f": {words.replace('%', ' %')}"


def _left(row: Row) -> str:
    if row["low"] > 0:
        return "more than those predictions explain"
    return "less" if row["high"] < 0 else "not significant"


def _verdict(row: Row) -> str:
    if row["high"] < 0:
        return "below it"
    return "above it" if row["low"] > 0 else "not significant"
