"""What the answer oracle says, against counting, and where the right answer is like any other."""

from itertools import combinations

import numpy as np
import pyarrow as pa
import pytest
from made_up import tabled

from duo.routes import RouteSpace
from duo.studies import answers
from duo.studies.answers import ALL, MISSED, RIGHT, SAMPLED, WRONG, AnswerOracle, Had
from duo.tables.answers import ANSWER_CURVES, ANSWER_SCORES
from duo.tables.files import fixed_lists
from duo.terms import BIG, SKIP

SPACE = RouteSpace(3, (SKIP, BIG), departures=2)  # codes 1 to 7: 7 is all big; 3, 5, 6 depart once
IDS = {"name": "n", "model": "m", "task": "t"}
ONCE = np.ones((1, 1))


def plain(scores: np.ndarray, right: int, space: RouteSpace = SPACE) -> dict[Had, float]:
    """The numbers of one question."""
    return {key: value.item() for key, value in AnswerOracle(IDS, [scores], [right], space).numbers(ONCE).items()}


def test_one_question_by_hand():
    """Three answers, which the routes 1 to 7 give as listed; all big gives answer 1, wrongly: 0 is right."""
    given = np.array([2, 1, 0, 1, 1, 1, 1])
    scores = np.log((given == np.arange(3)[:, None]) * 0.5 + 0.25)
    numbers = plain(scores, 0)
    # All big alone: neither the right answer nor the other wrong one.
    assert [numbers[Had(ALL, name, 0, 1)] for name in (RIGHT, WRONG)] == [0, 0.5]
    assert numbers[Had(ALL, SAMPLED, 0, 1)] == pytest.approx(0.6)
    assert [numbers[Had(MISSED, name, 0, 1)] for name in (RIGHT, WRONG, SAMPLED)] == [0, 0, 0]
    # Once: routes 3, 5, 6 beside it, the first of which gives the right answer; the other wrong one never comes.
    assert [numbers[Had(ALL, RIGHT, 1, tried)] for tried in (1, 2, 4)] == pytest.approx([0, 1 / 3, 1])
    assert [numbers[Had(MISSED, WRONG, 1, tried)] for tried in (1, 2, 4)] == [0, 0, 0]
    assert numbers[Had(MISSED, "right_less_wrong", 1, 2)] == pytest.approx(1 / 3)
    # Twice: all routes, one of which gives answer 2.
    assert [numbers[Had(MISSED, WRONG, 2, tried)] for tried in (1, 2, 4, 7)] == pytest.approx([0, 1 / 6, 1 / 2, 1])
    assert numbers[Had(ALL, WRONG, 2, 2)] == pytest.approx((1 + 1 / 6) / 2)
    assert numbers[Had(ALL, SAMPLED, 2, 2)] == pytest.approx(0.6 + 2 * 0.2 / 6)
    assert numbers[Had(MISSED, SAMPLED, 2, 7)] == 1


@pytest.mark.parametrize("wins", [[0, 3, 4], [1, 6, 0], [2, 2, 3]])
def test_expectation_over_random_routes_is_that_of_all_subsets(wins):
    """Routes 0 to 6, of which 0 is all big and gives answer 1."""
    given = np.repeat(np.arange(3), wins)
    own = 1
    order = np.concatenate(
        [np.flatnonzero(given == own)[:1], np.flatnonzero(given == own)[1:], np.flatnonzero(given != own)]
    )
    given = given[order]
    for tried in range(1, 8):
        subsets = [(0, *rest) for rest in combinations(range(1, 7), tried - 1)]
        counted = [np.mean([answer in given[list(each)] for each in subsets]) for answer in range(3)]
        assert answers.chances(np.array(wins), own, 7, tried) == pytest.approx(counted)


def test_many_routes_stay_exact():
    had = answers.chances(np.array([0, 2**20 - 2, 1]), 1, 2**20, 2**19 + 1)
    assert had[:2].tolist() == [0, 1] and had[2] == pytest.approx(2**19 / (2**20 - 1))
    assert answers.chances(np.array([0, 2**20 - 1, 1]), 1, 2**20, 2**20)[2] == 1
    assert answers.tries(56) == [1, 2, 4, 8, 16, 32, 56] and answers.tries(4) == [1, 2, 4] and answers.tries(1) == [1]


def noise(questions: int, answers: int, rng: np.random.Generator) -> list[np.ndarray]:
    return list(rng.normal(size=(questions, answers, len(SPACE))) + rng.normal(size=(questions, answers, 1)))


def test_where_the_right_answer_is_any_answer_nothing_tells_it_apart():
    """Placebo: labels drawn evenly, so that right and wrong have one expectation; or as the scores say, so that right
    and sampled have. On all questions, and on the missed ones.
    """
    rng = np.random.default_rng(1)
    scores = noise(3000, 4, rng)
    reference = int(np.flatnonzero(SPACE.codes == 7)[0])
    even = rng.integers(4, size=len(scores))
    weights = [np.exp(each[:, reference]) / np.exp(each[:, reference]).sum() for each in scores]
    drawn = [int(rng.choice(4, p=each)) for each in weights]
    for labels, name in ((even, "right_less_wrong"), (drawn, "right_less_sampled"), (drawn, "right_less_tempered")):
        study = AnswerOracle(IDS, scores, list(labels), SPACE)
        estimates = study.intervals(200, 0.999, seed=1)
        found = {
            key: each
            for key, each in estimates.items()
            if key.target == name and (key.departures or key.questions == ALL)
        }
        assert len(found) == 2 * 3 + 2 * 4 + 1
        for key, (value, low, high) in found.items():
            assert low <= 0 <= high and abs(value) < 0.03, key
    # The same labels, drawn as the scores say, are told from even ones: the test could fail.
    assert estimates[Had(ALL, "right_less_wrong", 2, 7)].low > 0.02


def test_missed_questions_alone_count_and_those_of_two_answers_have_no_third():
    rng = np.random.default_rng(2)
    scores = [*noise(6, 3, rng), *noise(2, 2, rng)]
    reference = int(np.flatnonzero(SPACE.codes == 7)[0])
    own = [int(each[:, reference].argmax()) for each in scores]
    right = [own[0], own[1], (own[2] + 1) % 3, (own[3] + 2) % 3, own[4], own[5], 1 - own[6], own[7]]
    study = AnswerOracle(IDS, scores, right, SPACE)
    assert study.counts[MISSED].tolist() == [0, 0, 1, 1, 0, 0, 0, 0]
    numbers = study.numbers(np.array([[1.0] * 8, [0, 0, 2, 0, 1, 1, 1, 3], [1, 1, 0, 0, 1, 1, 2, 2]]))
    alone = [plain(scores[index], right[index]) for index in (2, 3)]
    for name in (RIGHT, WRONG, SAMPLED):
        key = Had(MISSED, name, 2, 4)
        mean = (alone[0][key] + alone[1][key]) / 2
        assert numbers[key] == pytest.approx([mean, alone[0][key], mean]), "a draw without any has the sample's mean"
    assert numbers[Had(ALL, RIGHT, 0, 1)][0] == pytest.approx(5 / 8)
    known = AnswerOracle(IDS, scores, own, SPACE)
    assert {key.questions for key in known.numbers(np.ones((1, 8)))} == {ALL}, "no question is missed"


def test_tables(tmp_path, monkeypatch):
    monkeypatch.setattr("duo.tables.files.ROOT", tmp_path)
    rng = np.random.default_rng(3)
    scores = [*noise(4, 4, rng), *noise(3, 3, rng)]
    right = rng.integers(3, size=7).tolist()
    columns = {"question": [], "answer": [], "right": [], "tokens": []}
    for index, (each, wanted) in enumerate(zip(scores, right, strict=True)):
        columns["question"] += [f"q{index}"] * len(each)
        columns["answer"] += range(len(each))
        columns["right"] += [answer == wanted for answer in range(len(each))]
        columns["tokens"] += [1] * len(each)
    ANSWER_SCORES.write(pa.table(columns | {"scores": fixed_lists(np.concatenate(scores))}), name="n")
    study = answers.gather(IDS, ANSWER_SCORES.read(name="n"), SPACE)
    weights = rng.integers(1, 3, size=(2, 7)).astype(float)
    expected = AnswerOracle(IDS, scores, right, SPACE).numbers(weights)
    assert {key: value.tolist() for key, value in study.numbers(weights).items()} == {
        key: value.tolist() for key, value in expected.items()
    }
    estimates = study.intervals(100, 0.9, seed=1)
    ANSWER_CURVES.write(tabled(ANSWER_CURVES, (study, estimates)), name="n")
    for row in ANSWER_CURVES.read(name="n").to_pylist():
        assert row["low"] <= row["value"] <= row["high"] and (row["model"], row["task"]) == ("m", "t")
        assert row["count"] == (7 if row["questions"] == ALL else study.counts[MISSED].sum())


def test_tempered_scores_are_as_sure_as_they_are_right():
    """Labels drawn by scores a fifth as sure as those given: each half finds that out from the other."""
    rng = np.random.default_rng(4)
    own = list(5 * rng.normal(size=(4000, 4)) * rng.uniform(0.5, 1.5, size=(4000, 1)))
    right = [int(rng.choice(4, p=np.exp(each / 5) / np.exp(each / 5).sum())) for each in own]
    found = answers.sharpness(own, right)
    assert len(found) == 4000 and len(set(found[::2])) == len(set(found[1::2])) == 1 and found[0] != found[1]
    assert found[:2] == pytest.approx([0.2, 0.2], abs=0.02)
    changed = answers.sharpness([(2 - index % 2) * each for index, each in enumerate(own)], right)
    assert changed[:2] == pytest.approx([found[0], found[1] / 2], abs=1e-4), "each half is told by the other"
    for score, but in ((own[0], None), (own[0], int(own[0].argmax()))):
        sampled, tempered = answers.wanted(score, 1, 0.2, but)[2:]
        others = np.arange(4) != (9 if but is None else but)
        expected = np.where(others, np.exp(score / 5), 0)
        assert tempered == pytest.approx(expected / expected.sum()) and sampled.max() > tempered.max()
