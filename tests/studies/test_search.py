"""What the search study says of what searches reach."""

import numpy as np
import pytest
from made_up import tabled

from duo.data.evaluation_set import EvaluationSet
from duo.oracle import search as searches
from duo.settings import Search
from duo.stats import Statistic
from duo.studies.search import SearchCurves, SearchMean, regret_less_random
from duo.tables.studies import SEARCH_CURVES, SEARCH_STATISTICS

METHODS = list(searches.METHODS)
SETTINGS = Search(methods=METHODS, documents=3, budgets=[1, 3], evaluations=8)
SAMPLE = EvaluationSet(["a"] * 3, ["d0", "d1", "d2"], ["d0", "d1", "d2"], np.zeros((3, 5), int), np.zeros((3, 5), int))


def reached() -> dict[tuple[str, int], np.ndarray]:
    """What every search reaches on made-up losses of all routes of 4 layers."""
    rng = np.random.default_rng(0)
    losses = {("a", document): rng.random((5, 2**4)).astype(np.float32) for document in SAMPLE.documents}
    lens = [rng.random((3, 5, 2**depth)).astype(np.float32) for depth in (1, 2)]
    return searches.find(SAMPLE, losses, lens, SETTINGS, 4, seed=1)["a"]


def test_curves_and_differences(tmp_path, monkeypatch):
    monkeypatch.setattr("duo.tables.files.ROOT", tmp_path)
    study = SearchCurves("duo", "a", reached(), np.array(SAMPLE.documents))
    estimates = study.intervals(100, 0.9, seed=1)
    for table in (SEARCH_CURVES, SEARCH_STATISTICS):
        table.write(tabled(table, (study, estimates)))
    rows = SEARCH_CURVES.read().to_pylist()
    for row in rows:
        assert 0 <= row["regret_low"] <= row["regret"] <= row["regret_high"]
        assert row["found_low"] <= row["found"] <= row["found_high"]
    ends = {(row["method"], row["budget"]): row for row in rows}  # a later row takes its place: the last evaluation
    assert {key: row["evaluations"] for key, row in ends.items()} == {
        (method, budget): 4 for method in METHODS for budget in (1, 3)
    }
    assert all(row["regret"] == 0 and row["found"] == 1 for (method, _), row in ends.items() if method != "beam"), (
        "C(4, 1) are all routes"
    )
    (first,) = [row for row in rows if (row["method"], row["budget"], row["evaluations"]) == ("random", 1, 1)]
    assert first["regret"] == pytest.approx(reached()["random", 1][:, 0, 0].mean()) and first["regret"] > 0
    named = [
        (row["family"], row["subject"], row["reference"], row["budget"], row["labels"], row["words"])
        for row in SEARCH_STATISTICS.read().to_pylist()
    ]
    expected = [regret_less_random(method, budget) for budget in (1, 3) for method in METHODS if method != "random"]
    assert named == [(key.family, key.subject, "random", key.budget, "true", key.words) for key in expected]


def test_a_method_has_no_numbers_before_every_token_has_a_route():
    late = np.array([[[np.inf, 0], [0.5, 0.2]], [[0.3, 0.1], [0.1, 0.4]]])
    estimates = estimated({("beam", 4): late, ("random", 4): np.ones((2, 2, 2))})
    beam = [key for key in estimates if isinstance(key, SearchMean) and key.method == "beam"]
    assert [key.evaluations for key in beam if key.measure == "regret"] == [2]
    assert estimates[SearchMean("beam", 4, 2, "regret")].value == pytest.approx(0.3)
    assert estimates[regret_less_random("beam", 4)].value == pytest.approx(-0.7)
    never = estimated({("beam", 4): late[:, :1], ("random", 4): np.ones((2, 1, 2))})
    assert list(never) == [SearchMean("random", 4, 1, measure) for measure in ("regret", "found")]


def test_a_method_that_nobody_listed_is_compared_like_any_other():
    estimates = estimated({("random", 2): np.ones((3, 2, 2)), ("annealing", 2): np.full((3, 2, 2), 0.25)})
    assert estimates[regret_less_random("annealing", 2)] == pytest.approx((-0.75,) * 3)
    assert [key.subject for key in estimates if isinstance(key, Statistic)] == ["annealing"]


def estimated(values: dict[tuple[str, int], np.ndarray]) -> dict:
    clusters = np.arange(len(next(iter(values.values()))))
    return SearchCurves("duo", "text", values, clusters).intervals(100, 0.9, seed=1)


def test_documents_of_a_cluster_are_drawn_together():
    values = {("random", 2): np.arange(12.0).reshape(3, 2, 2)}
    study = SearchCurves("duo", "text", values, np.array(["one", "two", "one"]))
    drawn = study.numbers(np.array([[1.0, 1.0], [1.0, 0.0]]))[SearchMean("random", 2, 2, "regret")]
    assert drawn.tolist() == pytest.approx([(2 + 6 + 10) / 3, (2 + 10) / 2])
