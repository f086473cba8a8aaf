"""The numbers that runs are compared by are those of the tables."""

import pytest
from made_up_page import inputs

from duo.report import content, numbers
from duo.studies import gap_closed
from duo.tables.studies import GAIN_STATISTICS, GAP_CLOSED_STATISTICS, JOINT_STATISTICS
from duo.terms import JOINT, PAPER


@pytest.fixture(scope="module")
def tables() -> dict:
    gain = inputs()["gain"]
    return {
        GAIN_STATISTICS: content.rows(gain["statistics"]),
        JOINT_STATISTICS: content.rows(gain["joint_statistics"]),
    }


def test_they_are_the_statistics_at_the_middle_budget(tables):
    found = numbers.headline(tables, "duo")
    every = content.gains(tables[GAIN_STATISTICS], tables[JOINT_STATISTICS], 4)
    shown = {each.domain: each for each in every if each.model == "duo"}
    assert found and list(found) == list(shown)
    for domain, each in shown.items():
        assert found[domain]["budget"] == each.budget
        for name, row in zip(numbers.PARTS, each.parts, strict=False):
            ends = [found[domain][name + end] for end in ("", "_low", "_high")]
            assert ends == [row["value"], row["low"], row["high"]]


def test_what_the_papers_router_closes_is_there_where_it_has_that_budget(tables):
    domain, first = next(iter(numbers.headline(tables, "duo").items()))
    row = {"model": "duo", "domain": domain, "value": 0.2, "low": 0.1, "high": 0.3}
    for budget, there in ((first["budget"], True), (first["budget"] + 1, False)):
        statistic = vars(gap_closed.share_closed(PAPER, budget, JOINT))
        found = numbers.headline(tables | {GAP_CLOSED_STATISTICS: [statistic | row]}, "duo")[domain]
        assert (found.get("router_gap_closed_low") == 0.1) == there


def test_a_model_or_domain_without_a_choice_has_none(tables):
    assert numbers.headline(tables, "other") == numbers.headline({}, "duo") == {}
    alone = {GAIN_STATISTICS: tables[GAIN_STATISTICS]}
    assert "joint_gain" not in next(iter(numbers.headline(alone, "duo").values()))
