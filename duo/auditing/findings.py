"""What an audit found, in numbers and in words that say no more than the numbers do."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from duo.figures.base import intervals
from duo.stats import Interval, ends
from duo.studies.departures import ByDepartures, BySampled, Calibrated

# Every number of a row, in words; `bound` is at most so many departures.
NUMBERS = {
    "gain": "the oracle's gain",
    "null_gain": "its gain if next words came as the model predicts",
    "unexplained": "what is left",
    "share": "share that the prediction explains",
    "foreseen": "foreseen without the next word",
    "fixed": "one route for all tokens, chosen on other documents",
    "plain_null_gain": "its gain by the prediction as it is",
    "plain_unexplained": "what is left by the prediction as it is",
}
CALIBRATION = {
    "plain_cross_entropy": "the model's loss, all layers run",
    "plain_entropy": "the loss that its prediction expects",
    "cross_entropy": "the loss of its prediction, tempered",
    "entropy": "the loss that this one expects",
}
SHARES = ("share",)  # numbers that are no nats
ACROSS = 3  # rows of the table side by side on a terminal


@dataclass(frozen=True)
class Findings:
    """rows: one for each number of departures. ran: what was run, in words. places: where a route may depart from the
    reference, and bound, what numbers of departures are of; in words.

    calibration: of the model's prediction; none where labels were sampled and nothing else is known.
    """

    rows: Sequence[ByDepartures] | Sequence[BySampled]
    calibration: Calibrated | None
    ran: dict[str, Any]
    places: str
    bound: str
    documents: int
    confidence: float

    def numbers(self) -> dict[str, str]:
        """Words by name of every number of a row."""
        names = type(self.rows[0])._fields[2:]
        return {name: NUMBERS[name] for name in names}

    def columns(self) -> list[dict[str, Any]]:
        """Rows of the table, each estimate with the ends of its interval."""
        return [
            {"departures": row.departures, "routes": row.routes}
            | {key: value for name in self.numbers() for key, value in ends(name, getattr(row, name)).items()}
            for row in self.rows
        ]

    def json(self) -> dict[str, Any]:
        """All of it."""
        found: dict[str, Any] = {"ran": self.ran, "confidence": self.confidence, "documents": self.documents}
        if self.calibration:
            found["calibration"] = {
                key: value for name in CALIBRATION for key, value in ends(name, getattr(self.calibration, name)).items()
            } | {"temperatures": list(self.calibration.temperatures)}
        return found | {"rows": self.columns()}


def estimate(interval: Interval, name: str = "") -> str:
    """A number with its interval: of a gain, in nats with its sign, of a loss, or of a share, in percent."""
    if name in SHARES:
        return "{:.0f} % ({:.0f} to {:.0f})".format(*(100 * each for each in interval))
    if name in CALIBRATION:
        return "{:.3f} ({:.3f} to {:.3f})".format(*interval)
    return "{:+.3f} ({:+.3f} to {:+.3f})".format(*interval)


def head(departures: int, routes: int) -> str:
    """What a row of the table is of."""
    return f"at most {departures}: {routes} routes"


def table(findings: Findings) -> str:
    """The table as text: numbers below one another, numbers of departures side by side."""
    lines, width = [f"{findings.bound}; nats per token", ""], max(map(len, findings.numbers().values())) + 2
    for start in range(0, len(findings.rows), ACROSS):
        rows = findings.rows[start : start + ACROSS]
        heads = [head(row.departures, row.routes) for row in rows]
        body = [
            [words, *(estimate(getattr(row, name), name) for row in rows)] for name, words in findings.numbers().items()
        ]
        cells = [["", *heads], *body]
        sizes = [max(len(line[index]) for line in cells) for index in range(1, len(cells[0]))]
        for first, *others in cells:
            shown = "   ".join(cell.rjust(size) for cell, size in zip(others, sizes, strict=True))
            lines.append(f"{first.ljust(width)}{shown}")
        lines.append("")
    return "\n".join(lines)


def sentences(findings: Findings) -> Iterator[str]:
    """What the numbers of the most departures say."""
    row, calibration = findings.rows[-1], findings.calibration
    if calibration:
        does = f"leaves out what suits each token, at most {row.departures} of the {findings.places}"
        loss = f"the model's loss of {calibration.plain_cross_entropy.value:.3f}"
    else:
        does, loss = f"takes the route that suits each token, of {row.routes}", "the reference route's loss"
    yield f"An oracle that knows the next word, and {does}, takes {row.gain.value:.3f} nats per token off {loss}."
    source = "as the model predicts, tempered so that it is as sure as it should be" if calibration else "as sampled"
    yield (
        f"If next words came {source}, so that nobody could know more of them, the same oracle would gain "
        f"{row.null_gain.value:.3f}: the lowest of {row.routes} losses is low whether or not a route knows anything. "
        f"That is {estimate(row.share, 'share')} of its gain."
    )
    yield f"What is left is {estimate(row.unexplained)}: {_left(row.unexplained)}."
    if calibration:
        yield (
            "Without the next word, the routes that the model's prediction expects to be best gain "
            f"{estimate(row.foreseen)}: {_foreseen(row.foreseen)}."
        )
        first, second = calibration.temperatures
        yield (
            f"The temperatures are {first:.3f} and {second:.3f}, each fitted on the other half of the documents; above "
            "1 the model is too sure of itself. Taken as it is, its prediction would leave "
            f"{estimate(row.plain_unexplained)}."
        )


def _left(interval: Interval) -> str:
    if interval.low > 0:
        return (
            "more than that prediction explains. Some route knows more than the model as it is, or the prediction is "
            "still off; this number can't tell which"
        )
    if interval.high < 0:
        return "less is gained than there would be by luck, so the prediction is off"
    return "the gain can't be told from luck"


def _foreseen(interval: Interval) -> str:
    if interval.low > 0:
        return "so much can be had without it, at least"
    return "they do harm" if interval.high < 0 else "no gain can be told from none"


def caveats(findings: Findings) -> list[str]:
    """What the numbers do not mean."""
    said = ["Nobody has the oracle's gain: it is chosen with the next word in hand."]
    know = ""
    if findings.calibration:
        said[0] += (
            " What is foreseen is had without it, and is a lower bound of what can be, for whoever predicts better "
            "foresees more."
        )
        said.append(
            "Gains are of one token at a time: while its routes are tried, all tokens of its document take the same "
            "route. The choices of different tokens can't all be had in one run."
        )
        know = " Those of what is left know that other documents would have made another temperature."
    return [
        *said,
        "What is left is no saving and no promise that a router could reach it. It is 0 in expectation where the "
        "prediction is right, and a prediction can be wrong in more ways than one temperature puts right.",
        f"Intervals are {intervals(findings.confidence, 'documents')}; there are {findings.documents} of them. They "
        f"speak for documents like these, and few documents make them rough.{know} Each is for its own number alone.",
    ]
