"""Schedules spend the same total, and cost what a token's loss at the budget of its position is."""

import numpy as np
import pyarrow as pa
import pytest
from made_up import tabled

from duo.stats import Intervals
from duo.studies import schedules
from duo.studies.schedules import ORDER_COST, BudgetSchedules, ScheduleLoss, difference
from duo.tables.studies import SCHEDULE_POSITIONS, SCHEDULE_STATISTICS, SCHEDULES

BUDGETS = range(1, 6)


@pytest.mark.parametrize(("first", "last"), [(6, 2), (3, 1), (2, 6), (12, 0), (5, 3)])
@pytest.mark.parametrize("length", [1, 2, 3, 5, 8, 64, 99, 127, 128, 1000])
def test_a_staircase_and_its_reverse_spend_what_the_mean_does(first, last, length):
    steps = schedules.staircase(first, last, length)
    assert steps.dtype == np.int64 and len(steps) == length
    assert (steps + steps[::-1] == first + last).all()  # antisymmetric about the middle, hence:
    assert steps.sum() == length * (first + last) // 2
    assert (np.diff(steps) * np.sign(last - first) >= 0).all()
    assert min(first, last) <= steps.min() and steps.max() <= max(first, last)


@pytest.mark.parametrize("length", [5, 13, 64, 127, 128])
def test_a_staircase_is_as_even_as_can_be(length):
    steps, counts = np.unique(schedules.staircase(6, 2, length), return_counts=True)
    assert steps.tolist() == [2, 3, 4, 5, 6]
    assert counts.max() - counts.min() <= 1


def test_a_staircase_by_hand():
    assert schedules.staircase(6, 2, 10).tolist() == [6, 6, 5, 5, 4, 4, 3, 3, 2, 2]
    assert schedules.staircase(2, 6, 7).tolist() == [2, 3, 3, 4, 5, 5, 6]


def test_all_schedules_have_one_total():
    for length in (31, 32):
        assert {int(budgets.sum()) for budgets in schedules.schedules(6, 2, length).values()} == {4 * length}


def tables(loss, documents: int = 6, time: int = 10) -> dict[int, pa.Table]:
    """SELECTIONS' columns at each budget, of loss(model, domain, budget, document, position); rows out of order, as
    shards leave them.
    """
    by_budget = {}
    for budget in BUDGETS:
        rows = []
        for model in ("one", "two"):
            for domain in ("text", "code"):
                for document in [*range(1, documents, 2), *range(0, documents, 2)]:
                    for position in range(time):
                        value = loss(model, domain, budget, document, position)
                        row = {"model": model, "domain": domain, "document": f"d{document}", "position": position}
                        row["cluster"] = f"c{document // 2}"
                        rows.append(row | {"oracle_loss": value, "mean_loss": 2 * value})
        by_budget[budget] = pa.Table.from_pylist(rows)
    return by_budget


def estimated(loss) -> dict[tuple[str, str], tuple[BudgetSchedules, Intervals]]:
    """The study of every model and domain, with its intervals."""
    return {
        (study.ids["model"], study.ids["domain"]): (study, study.intervals(200, 0.95, 1))
        for study in schedules.gather(tables(loss), 5, 1)
    }


def test_a_token_costs_its_loss_at_the_budget_of_its_position():
    def loss(model, domain, budget, document, position):
        return {"one": 1, "two": 3}[model] + {"text": 0, "code": 10}[domain] + budget * (position + 1) / (document + 1)

    every = estimated(loss)
    assert list(every) == [("one", "text"), ("one", "code"), ("two", "text"), ("two", "code")]
    for (model, domain), (study, numbers) in every.items():
        for name in ("falling", "rising", "constant"):
            steps = schedules.schedules(5, 1, 10)[name]
            expected = np.mean([loss(model, domain, steps[p], d, p) for d in range(6) for p in range(10)])
            assert numbers[ScheduleLoss(name, "oracle")].value == pytest.approx(expected)
            assert numbers[ScheduleLoss(name, "mean")].value == pytest.approx(2 * expected)
        assert study.budgets["shuffled"].sum() == study.budgets["falling"].sum()
        assert study.clusters == 3 and study.documents.tolist() == [2, 2, 2]
        orders = [numbers[difference("oracle", order, "shuffled")].value for order in ("falling", "rising")]
        assert numbers[ORDER_COST].value == pytest.approx(np.mean(orders))


def test_where_loss_is_linear_in_budget_no_schedule_matters():
    _, numbers = estimated(lambda model, domain, budget, document, position: 9 - budget + document)["one", "text"]
    for schedule, reference in schedules.CONTRASTS:
        assert numbers[difference("oracle", schedule, reference)] == pytest.approx((0, 0, 0))
    assert numbers[ORDER_COST] == pytest.approx((0, 0, 0))


def test_where_big_layers_help_early_tokens_the_falling_budget_wins():
    def loss(model, domain, budget, document, position):
        return 9 - budget * (position < 5) + document * 0.1

    _, numbers = estimated(loss)["two", "code"]
    gains = {pair: numbers[difference("oracle", *pair)] for pair in schedules.CONTRASTS}
    assert gains["falling", "constant"].high < 0 < gains["rising", "constant"].low
    assert gains["falling", "shuffled"].high < 0 < gains["rising", "shuffled"].low
    assert gains["falling", "constant"].value == pytest.approx(-gains["rising", "constant"].value)
    for pair, gain in gains.items():
        assert numbers[difference("mean", *pair)].value == pytest.approx(2 * gain.value)


def test_a_loss_convex_in_budget_costs_every_uneven_schedule_and_its_shuffle_alike():
    def loss(model, domain, budget, document, position):
        return (budget - 3) ** 2

    _, numbers = estimated(loss)["one", "code"]
    gains = {pair: numbers[difference("oracle", *pair)].value for pair in schedules.CONTRASTS}
    assert gains["falling", "constant"] == gains["rising", "constant"] == pytest.approx(2)  # the mean of 4, 1, 0, 1, 4
    assert gains["falling", "shuffled"] == gains["rising", "shuffled"] == pytest.approx(0)
    assert numbers[ORDER_COST].value == pytest.approx(0), "unequal budgets cost the same in every order"


def test_an_order_costs_where_unequal_budgets_stand_where_they_harm():
    def loss(model, domain, budget, document, position):
        return (budget - 3) ** 2 * (position in (0, 1, 8, 9)) + document * 0.1

    _, numbers = estimated(loss)["one", "text"]
    # Budgets 5 and 1, whose squares are 4, at those four of ten positions; in random order the squares are 2.
    assert numbers[ORDER_COST] == pytest.approx((0.8, 0.8, 0.8))


def test_tables_fit_their_schemas(tmp_path, monkeypatch):
    monkeypatch.setattr("duo.tables.files.ROOT", tmp_path)
    pair = estimated(lambda model, domain, budget, document, position: budget + position)["one", "text"]
    for table in (SCHEDULES, SCHEDULE_POSITIONS, SCHEDULE_STATISTICS):
        table.write(tabled(table, pair))
    rows = [
        row
        for row in SCHEDULE_POSITIONS.read().to_pylist()
        if (row["schedule"], row["strategy"]) == ("rising", "oracle")
    ]
    assert [position for row in rows for position in range(row["first"], row["last"] + 1)] == list(range(10))
    assert rows[0]["budget"] == 1 and rows[-1]["budget"] == 5
    assert rows[0]["loss"] == pytest.approx(1.5)  # positions 0 and 1 at budget 1
    rows = SCHEDULE_STATISTICS.read().to_pylist()
    pairs = [(row["subject"], row["reference"]) for row in rows if row["family"] == "oracle_difference"]
    assert pairs == schedules.CONTRASTS and len(rows) == 2 * len(pairs) + 1
    assert len({row["words"] for row in rows}) == len(rows), "every statistic has words of its own"
