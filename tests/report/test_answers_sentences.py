"""What is said of the answer oracle follows from the numbers."""

import pytest

from duo.report.answers import sentences

SHARES = {("all", "right", 1): 0.5, ("all", "right", 8): 0.875, ("all", "wrong", 8): 0.75}
SHARES |= {("missed", "right", 8): 0.7, ("missed", "wrong", 8): 0.6, ("missed", "sampled", 8): 0.65}
SHARES |= {("missed", "tempered", 8): 0.68}


def rows(wrong: tuple[float, float, float], tempered: tuple[float, float, float], without: str = "") -> list[dict]:
    ids = {"name": "n", "model": "tiny", "task": "school"}
    values = {key: (value, value - 0.1, value + 0.1) for key, value in SHARES.items()}
    values |= {("missed", "right_less_wrong", 8): wrong, ("missed", "right_less_tempered", 8): tempered}
    values["missed", "right_less_sampled", 8] = (9.0, 9.0, 9.0)
    made = [
        ids
        | {"questions": questions, "target": target, "tried": tried, "departures": departures}
        | dict(zip(("value", "low", "high"), ends if departures == 2 else (9, 9, 9), strict=True))
        | {"count": {"all": 20, "missed": 10}[questions]}
        for (questions, target, tried), ends in values.items()
        for departures in (1, 2)
    ]
    return [row for row in made if row["questions"] != without]


def test_shares_with_their_intervals():
    (words,) = sentences(rows((0.1, -0.1, 0.3), (0.05, -0.1, 0.2)))
    assert "tiny on 20 questions of school: as it is, it answers 50 % (40 to 60) rightly." in words
    assert (
        "Some of 8 routes gives the right answer to 88 % (78 to 98), and a given wrong one to 75 % (65 to 85)." in words
    )
    assert "Of the 10 that it misses, some route repairs 70 % (60 to 80); just so, a given wrong" in words
    assert "can be had on 60 % (50 to 70), and an answer as likely as its own scores say on 65 % (55 to 75)," in words
    assert "as they say when tempered on 68 % (58 to 78)." in words


@pytest.mark.parametrize(
    ("wrong", "tempered", "first", "second", "knows"),
    [
        (
            (0.1, -0.1, 0.3),
            (0, -0.1, 0.2),
            "is not told apart from a wrong one, +10 points (-10 to +30)",
            "not told",
            False,
        ),
        (
            (0.2, 0.1, 0.3),
            (0, -0.1, 0.2),
            "is easier to have than a wrong one, +20 points",
            "and not told apart",
            False,
        ),
        ((0.2, 0.1, 0.3), (0.1, 0.05, 0.2), "is easier to have than a wrong one", "and easier than the model's", True),
        ((-0.2, -0.3, -0.1), (-0.2, -0.3, -0.1), "is harder to have than a wrong one", "and harder than the", False),
    ],
)
def test_what_follows(wrong, tempered, first, second, knows):
    (words,) = sentences(rows(wrong, tempered))
    assert f"The right answer {first}" in words and second in words
    assert ("some route knows more" in words) == knows
    assert ("does not show that the model could have found it" in words) == (not knows)


def test_of_a_model_that_misses_nothing_and_of_none():
    (words,) = sentences(rows((0, 0, 0), (0, 0, 0), without="missed"))
    assert words.endswith("It misses none, so there is nothing to repair.") and sentences([]) == []
