"""What a page says of the oracle's gain, in sentences with their intervals.

Every sentence follows from the numbers: where an interval holds 0 it says so, and where a chooser foresees nothing it
does not say that it does.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from duo.stats import Statistic
from duo.studies import gain_statistics as gain
from duo.studies import joint_statistics, learning_curves
from duo.studies.gain_statistics import chooser_words, route_words
from duo.terms import EXPECTED, FIXED, GREEDY, ISOLATED, JOINT, ORACLE, SHARED, SHUFFLED, TRUE, VALUE

Row = Mapping[str, Any]


def parts(rows: Iterable[Row], budget: float) -> list[Row]:
    """Rows of GAIN_STATISTICS at a budget: the gain; what the best chooser foresees of it, counts as luck and does not
    explain; and the matched excess.
    """
    rows = list(rows)
    route, best = reference(rows), gain.best_chooser(choosers(rows))
    wanted = [
        gain.gain(route, budget),
        gain.foreseeable(best, route, budget),
        gain.luck(best, budget),
        gain.unexplained(best, budget),
        gain.matched_excess(route, budget),
    ]
    return [find(rows, statistic) for statistic in wanted]


def foreseen(rows: Iterable[Row], budget: float) -> list[dict[str, Any]]:
    """What each chooser foresees at a budget, in their order: its rows of GAIN_STATISTICS by what they measure."""
    rows = list(rows)
    route = reference(rows)
    return [
        {
            "chooser": chooser,
            "words": chooser_words(chooser),
            "cross_entropy": find(rows, gain.cross_entropy(chooser)),
            "calibration": find(rows, gain.calibration(chooser)),
            "foreseeable": find(rows, gain.foreseeable(chooser, route, budget)),
            "share": find(rows, gain.share_foreseeable(chooser, budget)),
            "luck": find(rows, gain.luck(chooser, budget)),
            "unexplained": find(rows, gain.unexplained(chooser, budget)),
        }
        for chooser in choosers(rows)
    ]


def fixed(rows: Iterable[Row], budget: float) -> Row | None:
    """What the best route for all tokens gains over the reference route; rows of GAIN_STATISTICS that may lack it."""
    rows = list(rows)
    losses = matching(rows, gain.difference(FIXED, reference(rows), budget))
    return {"value": -losses[0]["value"], "low": -losses[0]["high"], "high": -losses[0]["low"]} if losses else None


def of_the_gain(rows: Sequence[Row], domain: str, budget: float) -> list[str]:
    """Who could foresee the oracle's gain on a domain at a budget; rows of GAIN_STATISTICS of one model and domain."""
    route = reference(rows)
    gained, _, luck, rest, excess = parts(rows, budget)
    best = chooser_words(gain.best_chooser(choosers(rows)))
    told = [
        f"On {domain} the oracle at budget {budget:g} gains {nats(gained)} over {route_words(route)}.",
        *(_foreseen(each) for each in foreseen(rows, budget)),
        f"If labels came as {best} says, the oracle would gain a further {nats(luck)} by luck alone; what is left, "
        f"neither foreseen nor luck, is {nats(rest)}: {_left(rest)}.",
        f"It gains {nats(excess)} more than on words that surprise the model as much as the label does, in the same "
        f"context: {_excess(excess)}.",
    ]
    return told


def of_learning(rows: Iterable[Row], domain: str) -> list[str]:
    """What routers gain from supervision on a domain, what they miss and why; rows of LEARNING_STATISTICS of one model.

    By the router that regresses losses, as docs/gain.md says beforehand.
    """
    rows = [row for row in rows if row["domain"] == domain]
    learned = router(rows, domain)
    teacher, ceiling, expected = learned["teacher"], learned["ceiling"], _learned(rows, EXPECTED)
    slope, control = (find(rows, learning_curves.slope(VALUE, told, "layers")) for told in (TRUE, SHUFFLED))
    return [
        f"On {domain}, over the fixed route and learned from the most text, a router that is told the true losses "
        f"gains {nats(learned['router'])}, one that is told the losses that {teacher} expects {nats(expected)}, and "
        f"{teacher} itself, by its prediction of each token, {nats(ceiling)}.",
        f"With ten times the text the loss of the first of these falls by {nats(slope)}, that of a control, which is "
        f"told the losses of other tokens, by {nats(control)}.",
        _missed(rows, ceiling, teacher),
    ]


def domains(rows: Iterable[Row]) -> list[str]:
    return list(dict.fromkeys(row["domain"] for row in rows))


def router(rows: Iterable[Row], domain: str) -> dict[str, Any]:
    """What the router gains that regresses true losses, and the first teacher: rows of LEARNING_STATISTICS, by name."""
    rows = [row for row in rows if row["domain"] == domain]
    teacher = next(row["reference"] for row in rows if row["family"] == "missed")
    ceiling = next(row for row in rows if (row["family"], row["subject"]) == ("chooser_gain", teacher))
    return {"domain": domain, "teacher": teacher, "router": _learned(rows, TRUE), "ceiling": ceiling}


def _learned(rows: Iterable[Row], told: str) -> Row:
    """What the router gains that regresses losses of this supervision."""
    name = learning_curves.name(VALUE, told, "layers")
    return next(row for row in rows if (row["family"], row["subject"]) == ("learned_gain", name))


def together(rows: Iterable[Row], budget: float, chooser: str, windows: int) -> list[str]:
    """What of an isolated gain is left when all tokens run together: a sentence, or none where that was not tried.

    rows of JOINT_STATISTICS of one model and domain; chooser: whose routes stand beside; windows: how many per domain
    were run jointly.
    """
    rows, words = list(rows), chooser_words(chooser)
    wanted = {
        joint_statistics.gain(SHARED, ORACLE, ISOLATED, budget): "isolated",
        joint_statistics.gain(SHARED, ORACLE, JOINT, budget): "with all tokens on these routes in one run",
        joint_statistics.gain(GREEDY, ORACLE, JOINT, budget): "in one run where each token's route is the best behind "
        "those before it (context greedy)",
        joint_statistics.gain(SHARED, chooser, JOINT, budget): f"in one run on the routes that {words} expects to be "
        "best",
    }
    parts = [
        f"{row['value']:+.3f} ({row['low']:+.3f} to {row['high']:+.3f}) {words}"
        for key, words in wanted.items()
        for row in matching(rows, key)
    ]
    if not parts:
        return []
    return [
        f"Such losses are isolated. On the {windows} windows that were also run jointly the gain is, in nats per "
        f"token, {'; '.join(parts)}."
    ]


def choosers(rows: Iterable[Row]) -> list[str]:
    """Names of the choosers, in order."""
    return list(dict.fromkeys(row["subject"] for row in rows if row["family"] == "cross_entropy"))


def reference(rows: Iterable[Row]) -> str:
    """Name of the reference route that the gains are over."""
    return next(row["reference"] for row in rows if row["family"] == "gain")


def nats(row: Row) -> str:
    """A difference of losses with its interval."""
    return f"{row['value']:+.3f} nats per token ({row['low']:+.3f} to {row['high']:+.3f})"


def find(rows: Iterable[Row], statistic: Statistic) -> Row:
    """The row of a statistic."""
    return matching(rows, statistic)[0]


def matching(rows: Iterable[Row], statistic: Statistic) -> list[Row]:
    """The same as a list, without any where the statistic is missing."""
    names = ("family", "subject", "reference", "budget", "labels")
    return [row for row in rows if all(row[name] == getattr(statistic, name) for name in names)]


def _foreseen(each: Mapping[str, Any]) -> str:
    """One chooser's sentence."""
    row, share = each["foreseeable"], each["share"]
    entropy = f"cross entropy {each['cross_entropy']['value']:.3f}"
    words = f"Without the label, {each['words']} ({entropy}) chooses routes that gain {nats(row)}"
    if row["low"] > 0:
        known = None not in (share["value"], share["low"], share["high"])
        part = "{value:.0%} of the oracle's gain ({low:.0%} to {high:.0%})".format_map(share) if known else ""
        return f"{words}: {part.replace('%', ' %')}." if known else f"{words}."
    return f"{words}: {'less than nothing' if row['high'] < 0 else 'not told apart from nothing'}."


def _missed(rows: Sequence[Row], gained: Row, teacher: str) -> str:
    """What a router misses of what the teacher has gained, and which part of that is the larger one."""
    missed, noise, rest, decided = (
        find(rows, of(VALUE, teacher))
        for of in (
            learning_curves.missed,
            learning_curves.by_noise,
            learning_curves.without_noise,
            learning_curves.noise_less_rest,
        )
    )
    if gained["low"] <= 0:
        return f"The gain of {teacher} is not told apart from nothing, so there is nothing to miss."
    if missed["high"] < 0:
        return f"The first gains more than {teacher}: it misses {nats(missed)}."
    if missed["low"] <= 0:
        return f"What the first misses of the gain of {teacher}, {nats(missed)}, is not told apart from nothing."
    parts = f"{nats(noise)} of it goes without label noise, {nats(rest)} stays"
    words = f"The first misses {nats(missed)} of the gain of {teacher}: {parts}"
    if noise["high"] < 0:
        return f"{words}; where losses without noise teach less, the parts can't be told apart."
    larger = "it is open which part is the larger one"
    if decided["low"] > 0 or decided["high"] < 0:
        larger = f"{'label noise' if decided['low'] > 0 else 'what stays'} is the larger part"
    own = nats(find(rows, learning_curves.own_beyond(VALUE)))
    beyond = f"Beyond what it learns without noise, the model's own prediction gains {own}."
    return f"{words}; {larger} ({nats(decided)}). {beyond}"


def _left(row: Row) -> str:
    if row["low"] > 0:
        return "the prediction is too sure of itself, or some route knows more than it"
    return "the prediction is less sure than it could be" if row["high"] < 0 else "not told apart from nothing"


def _excess(row: Row) -> str:
    if row["low"] > 0:
        return "some route knows which of them comes"
    return "they gain more" if row["high"] < 0 else "not told apart"
