"""The picture of the answer oracle shows what its table holds, and says on what it rests."""

from itertools import product

import pyarrow as pa

from duo.answer_settings import AnswerSearch
from duo.figures import answers
from duo.studies.answers import DIFFERENCES

SEARCH = {"model": "tiny", "questions": 9, "scope": "ffn", "choices": ["skip", "big"], "blocks": 10, "departures": 2}
SEARCHES = {name: AnswerSearch(task=f"{name}-task", **SEARCH) for name in ("one", "two")}
HEIGHTS = {"right": 0.5, "wrong": 0.375, "sampled": 0.25, "tempered": 0.125}
HEIGHTS |= {"right_less_wrong": 0.125, "right_less_sampled": 0.25, "right_less_tempered": 0.375}


def curves(without: tuple[str, ...] = ()) -> pa.Table:
    """Each target's height at one route tried, more at more; of two departures, with other heights at one."""
    places = [(departures, tried) for departures in (1, 2) for tried in (4, 1, 2)]
    rows = [
        {"questions": questions, "target": target, "departures": departures, "tried": tried, "count": count}
        | {"value": height * departures / 2 + tried / 32, "low": 0.0, "high": 1.0}
        for (questions, count), (target, height), (departures, tried) in product(
            (("all", 9), ("missed", 4)), HEIGHTS.items(), places
        )
        if questions not in without
    ]
    return pa.Table.from_pylist(rows)


def test_two_pairs_of_panels_for_each_search():
    picture = answers.had(SEARCHES, {name: curves() for name in SEARCHES}, 0.9)
    panels = picture.figure.axes
    titles = [axes.get_title() for axes in panels if axes.get_title()]
    assert titles == [
        *("tiny, one-task: all 9 questions", "tiny, two-task: all 9 questions"),
        *("tiny, one-task: the 4 that it misses", "tiny, two-task: the 4 that it misses"),
    ]
    for axes in (panels[0], panels[4]):
        lines = {line.get_label(): line for line in axes.lines}
        for target, words in answers.WORDS.items():
            assert lines[words].get_xdata().tolist() == [1, 2, 4]
            assert lines[words].get_ydata().tolist() == [HEIGHTS[target] + tried / 32 for tried in (1, 2, 4)]
    for axes in (panels[2], panels[6]):
        lines = {line.get_label(): line for line in axes.lines}
        for target, difference in DIFFERENCES.items():
            assert lines[answers.WORDS[target]].get_ydata().tolist() == [
                HEIGHTS[difference] + tried / 32 for tried in (1, 2, 4)
            ]
        assert len(axes.collections) == 3, "bands"
    for words in ("skip (ffn) at most 2 of 10 blocks of layers;", "90% percentile bootstrap", "questions resampled"):
        assert words in picture.caption


def test_a_model_that_misses_nothing_has_empty_panels():
    picture = answers.had({"one": SEARCHES["one"]}, {"one": curves(without=("missed",))}, 0.9)
    above = picture.figure.axes[2]
    assert above.get_title() == "tiny, one-task: the 0 that it misses"
    assert all(len(line.get_xdata()) == 0 for line in above.lines)
