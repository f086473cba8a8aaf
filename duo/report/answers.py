"""What a page says of the answer oracle, in sentences with their intervals; each follows from the numbers."""

from collections.abc import Iterable, Mapping
from typing import Any

from duo.studies.answers import ALL, DIFFERENCES, MISSED, RIGHT, SAMPLED, TARGETS, TEMPERED, WRONG

Row = Mapping[str, Any]


def sentences(rows: Iterable[Row]) -> list[str]:
    """A paragraph for each entry of params answers, from rows of ANSWER_CURVES."""
    entries: dict[str, list[Row]] = {}
    for row in rows:
        entries.setdefault(row["name"], []).append(row)
    return [_entry(each) for each in entries.values()]


def _entry(rows: list[Row]) -> str:
    """What one search says, all of its routes tried."""
    tried, most = max(row["tried"] for row in rows), max(row["departures"] for row in rows)

    def share(questions: str, target: str, count: int = tried) -> Row | None:
        found = [row for row in rows if (row["questions"], row["target"]) == (questions, target)]
        return next((row for row in found if (row["departures"], row["tried"]) == (most, count)), None)

    first = share(ALL, RIGHT, 1)
    words = [
        f"{first['model']} on {first['count']} questions of {first['task']}: as it is, it answers {percent(first)} "
        f"rightly. Some of {tried} routes gives the right answer to {percent(share(ALL, RIGHT))}, and a given wrong "
        f"one to {percent(share(ALL, WRONG))}."
    ]
    missed = {target: share(MISSED, target) for target in (*TARGETS, *DIFFERENCES.values())}
    if missed[RIGHT] is None:
        return f"{words[0]} It misses none, so there is nothing to repair."
    words.append(
        f"Of the {missed[RIGHT]['count']} that it misses, some route repairs {percent(missed[RIGHT])}; just so, a "
        f"given wrong answer that is not its own can be had on {percent(missed[WRONG])}, and an answer as likely as "
        f"its own scores say on {percent(missed[SAMPLED])}, as they say when tempered on {percent(missed[TEMPERED])}."
    )
    return " ".join([*words, *_told_apart(missed[DIFFERENCES[WRONG]], missed[DIFFERENCES[TEMPERED]])])


def _told_apart(wrong: Row, tempered: Row) -> list[str]:
    """What follows of the right answer's share less a wrong one's, and less that of one as tempered scores say."""
    if wrong["low"] <= 0 <= wrong["high"]:
        first = "The right answer is not told apart from a wrong one"
    else:
        first = f"The right answer is {'easier' if wrong['low'] > 0 else 'harder'} to have than a wrong one"
    if tempered["low"] > 0:
        second = "and easier than the model's tempered scores lead one to expect: some route knows more than they say"
        last = "Only that part of what a search finds is more than what it would find for any answer it is told."
    else:
        known = "harder than" if tempered["high"] < 0 else "not told apart from what"
        second = f"and {known} the model's tempered scores lead one to expect"
        last = "So a route that gives the known answer does not show that the model could have found it."
    return [f"{first}, {points(wrong)}, {second}, {points(tempered)}.", last]


def percent(row: Row) -> str:
    """A share with its interval: 52 % (41 to 63); nothing where it has none."""
    if row["low"] is None:
        return ""
    value, low, high = (f"{100 * row[name]:.0f}" for name in ("value", "low", "high"))
    return f"{value} % ({low} to {high})"


def points(row: Row) -> str:
    """A difference of shares: +12 points (-3 to +27)."""
    value, low, high = (f"{100 * row[name]:+.0f}" for name in ("value", "low", "high"))
    return f"{value} points ({low} to {high})"
