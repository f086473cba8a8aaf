"""What the page says of a pretrained model: its gain in sentences, and beside them the numbers by departures."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from duo.figures.pretrained import Tried, shown
from duo.report import sentences
from duo.report.sentences import Row
from duo.terms import OWN


class PretrainedPart(NamedTuple):
    """One entry of params pretrained_routes."""

    name: str
    words: str  # which routes of which model were tried
    sentences: list[list[str]]  # a paragraph a domain, of the most departures
    columns: list[str]  # domain and departures
    rows: list[tuple[str, list[dict[str, Any]]]]  # what it is of, and a statistic for each column
    figures: list[str]


def part(tried: Tried, rows: Iterable[Row]) -> PretrainedPart:
    """From rows of GAIN_STATISTICS and JOINT_STATISTICS of the entry."""
    rows = list(rows)
    domains = list(dict.fromkeys(row["domain"] for row in rows))
    budgets = [k for k in reversed(tried.budgets) if 0 < k < tried.places]
    by_domain = {domain: [row for row in rows if row["domain"] == domain] for domain in domains}
    numbers = [
        (words, [sentences.find(by_domain[domain], shown(k)[words]) for domain in domains for k in budgets])
        for words in shown(budgets[0])
    ]
    told = [_told(by_domain[domain], domain, budgets[-1], tried) for domain in domains]
    columns = [f"{domain}, {tried.at(k)}" for domain in domains for k in budgets]
    words = f"{tried.model}: {_choices(tried.choices)} some of {tried.what}, {tried.documents} windows a domain"
    return PretrainedPart(tried.routes, words, told, columns, numbers, [tried.routes, f"{tried.routes}-places"])


def _told(rows: Sequence[Row], domain: str, budget: int, tried: Tried) -> list[str]:
    """The sentences on a domain, at the most departures that were tried."""
    return [
        f"Departures from the model as it is: {tried.at(budget)}.",
        *sentences.of_the_gain(rows, domain, budget),
        *sentences.together(rows, budget, OWN, tried.documents),
    ]


def _choices(choices: Sequence[str]) -> str:
    words = {"skip": "leaving out", "repeat": "repeating"}
    return " or ".join(words[choice] for choice in choices if choice in words)
