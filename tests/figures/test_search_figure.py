"""The picture of the searches shows what its table holds, and says on what it rests."""

import pyarrow as pa
import pytest
from made_up import setting

from duo.figures import base, search

METHODS = ["random", "mcts", "beam", "evolution", "two_flip", "one_flip", "additive"]
SETTING = setting(documents=3)


@pytest.mark.parametrize("domains", [["text"], ["text", "code"]])
def test_a_panel_a_domain_and_budget_and_a_line_a_method(domains):
    rows = [
        {
            "domain": domain,
            "budget": budget,
            "method": method,
            "evaluations": evaluations,
            "regret": (index + 1) / evaluations,
        }
        | {"regret_low": 0.5 / evaluations, "regret_high": 9.0 / evaluations}
        for domain in domains
        for budget in (3, 2)
        for index, method in enumerate(METHODS)
        for evaluations in range(2 if method == "beam" else 1, 6)
    ]
    picture = search.regret(pa.Table.from_pylist(rows[::-1]), SETTING)
    panels = [axes for axes in picture.figure.axes if axes.lines]
    assert sorted(axes.get_title() for axes in panels) == sorted(
        f"{domain}, {budget} of 4 big" for domain in domains for budget in (2, 3)
    )
    for axes in panels:
        lines = {line.get_label(): line for line in axes.lines}
        for index, method in enumerate(METHODS):
            look, at = base.LINES[method], list(range(2 if method == "beam" else 1, 6))
            assert lines[look.label].get_xdata().tolist() == at
            assert lines[look.label].get_ydata().tolist() == [(index + 1) / each for each in at]
    for words in (
        "3 held-out documents per domain, a window of 6 tokens of each",
        "exactly its budget",
        "context shared",
        "90% percentile bootstrap",
    ):
        assert words in picture.caption


def test_methods_that_were_not_asked_for_are_left_out():
    rows = [
        {
            "domain": "text",
            "budget": 1,
            "method": "random",
            "evaluations": 1,
            "regret": 0.1,
            "regret_low": 0.0,
            "regret_high": 0.2,
        }
    ]
    (axes,) = search.regret(pa.Table.from_pylist(rows), SETTING).figure.axes
    assert [line.get_label() for line in axes.lines] == ["random routes"]


def test_a_method_that_nobody_listed_is_drawn_in_a_style_of_its_own():
    rows = [
        {"domain": "text", "budget": 1, "method": method, "evaluations": evaluations, "regret": height / evaluations}
        | {"regret_low": 0.0, "regret_high": 0.5}
        for height, method in ((0.2, "random"), (0.1, "annealing"))
        for evaluations in (1, 2)
    ]
    (axes,) = search.regret(pa.Table.from_pylist(rows), SETTING).figure.axes
    lines = {line.get_label(): line for line in axes.lines}
    assert list(lines) == ["random routes", "annealing"]
    assert lines["annealing"].get_ydata().tolist() == [0.1, 0.05]
    looks = [(line.get_color(), line.get_marker(), line.get_linestyle()) for line in lines.values()]
    assert len(set(looks)) == 2
