"""What the page says of a pretrained model: its gain in sentences, the numbers by departures, and how much of the gain
is luck there and in the models that are trained here.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from duo.figures.pretrained import Tried, shown
from duo.report import content, sentences
from duo.report.sentences import Row
from duo.studies import gain_statistics
from duo.terms import ALL_BIG, OWN

SHARE, CALIBRATION = "share of luck", "entropy of the model's prediction, less its cross entropy"


class PretrainedPart(NamedTuple):
    """One entry of params pretrained_routes."""

    name: str
    words: str  # which routes of which model were tried
    sentences: list[list[str]]  # a paragraph a domain, of one budget
    columns: list[str]  # domain and departures
    rows: list[tuple[str, list[dict[str, Any]]]]  # what it is of, and a statistic for each column
    figures: list[str]
    claims: list[content.JudgedClaim]  # the paper's, that were judged on it
    at: str  # the budget `main` in words
    main: dict[str, dict[str, dict[str, Any]]]  # its numbers, by domain and by the same words as in rows, or as below


def part(tried: Tried, rows: Iterable[Row], claims: Iterable[dict]) -> PretrainedPart:
    """From rows of GAIN_STATISTICS and JOINT_STATISTICS of the entry, and of CLAIMS."""
    rows = list(rows)
    domains = list(dict.fromkeys(row["domain"] for row in rows))
    budgets = tried.told
    by_domain = {domain: [row for row in rows if row["domain"] == domain] for domain in domains}
    numbers = [
        (words, [sentences.find(by_domain[domain], shown(k)[words]) for domain in domains for k in budgets])
        for words in shown(budgets[0])
    ]
    told = [_told(by_domain[domain], domain, tried) for domain in domains]
    columns = [f"{domain}, {tried.at(k)}" for domain in domains for k in budgets]
    words = f"{tried.model}: routes that {tried.doing}, on {tried.documents} windows of {tried.tokens} tokens a domain"
    figures, judged = [tried.routes, f"{tried.routes}-places"], content.judged(claims)
    wanted = shown(tried.main) | {SHARE: gain_statistics.share_of_luck(OWN, tried.main)}
    wanted[CALIBRATION] = gain_statistics.calibration(OWN)
    main = {
        domain: {of: sentences.find(by_domain[domain], statistic) for of, statistic in wanted.items()}
        for domain in domains
    }
    at = tried.at(tried.main)
    return PretrainedPart(tried.routes, words, told, columns, numbers, figures, judged, at, main)


class Lucky(NamedTuple):
    """The oracle's gain of one model at one budget, and luck's share of it by the model's own prediction."""

    model: str
    words: str  # how many layers depart
    by_domain: dict[str, tuple[Row, Row]]  # rows of GAIN_STATISTICS: the gain, and the share


def shares(
    trained: Iterable[Row], params: Mapping[str, Any], tried: Iterable[Tried], others: Iterable[Row]
) -> list[Lucky]:
    """Every model's, that of models trained here at every budget, of pretrained ones at all departures.

    trained, others: rows of GAIN_STATISTICS of both; params: of the first. Recalibrated models are left out: they are
    others once more, with a surer or less sure prediction.
    """
    layers = params["model"]["layers"]
    models = [model for model in params["route_losses"]["models"] if model not in params.get("recalibrated", {})]
    asked = [(model, k, f"{layers - k} of {layers} small") for model in models for k in range(layers - 1, 0, -1)]
    found = [_lucky(trained, *each) for each in asked]
    for each in tried:
        budgets = [k for k in reversed(each.budgets) if 0 < k < each.places]
        found += [_lucky(others, each.routes, k, each.at(k)) for k in budgets]
    return [each for each in found if each.by_domain]


def _lucky(rows: Iterable[Row], model: str, budget: int, words: str) -> Lucky:
    rows = [row for row in rows if row["model"] == model]
    gains, parts = (
        {row["domain"]: row for row in sentences.matching(rows, statistic)}
        for statistic in (gain_statistics.gain(ALL_BIG, budget), gain_statistics.share_of_luck(OWN, budget))
    )
    return Lucky(model, words, {domain: (gains[domain], parts[domain]) for domain in gains if domain in parts})


def _told(rows: Sequence[Row], domain: str, tried: Tried) -> list[str]:
    """The sentences on a domain, at the budget `main`."""
    return [
        f"Departures from the model as it is: {tried.at(tried.main)}.",
        *sentences.of_the_gain(rows, domain, tried.main),
        *sentences.together(rows, tried.main, OWN, tried.documents),
    ]
