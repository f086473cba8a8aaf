from itertools import product

import numpy as np
import pyarrow as pa
import pytest
from made_up import LAYERS, SPACE, noise, table

from duo.errors import InputError
from duo.oracle import select
from duo.tables.oracle import ROUTE_SUMS, SELECTIONS


def columns(found: pa.Table) -> dict[str, np.ndarray]:
    return {name: found[name].to_numpy() for name in found.column_names}


@pytest.mark.parametrize("budget", range(LAYERS + 1))
def test_selections_and_sums_equal_loops_over_the_routes(budget):
    losses = noise()
    selections, sums = (columns(found) for found in select.apply("duo", table(losses), SPACE, budget, 3, seed=1))
    allowed = [route for route in range(2**LAYERS) if bin(route).count("1") == budget]
    row = 0
    for (domain, document), part in losses.items():
        totals = {route: sum(float(loss) for loss in part[:, route]) for route in allowed}
        winner = min(totals, key=totals.get)
        for position, token in enumerate(part):
            best = min(allowed, key=lambda route: token[route])
            assert (selections["domain"][row], selections["document"][row], selections["position"][row]) == (
                domain,
                document,
                position,
            )
            assert selections["oracle_route"][row] == best
            assert selections["oracle_loss"][row] == token[best]
            assert selections["sequence_loss"][row] == token[winner]
            assert selections["mean_loss"][row] == pytest.approx(np.mean([token[route] for route in allowed]), rel=1e-6)
            assert selections["random_token_loss"][row] in token[allowed]
            row += 1
        here = (sums["domain"] == domain) & (sums["document"] == document)
        assert list(sums["route"][here]) == allowed
        assert sums["loss_sum"][here] == pytest.approx([totals[route] for route in allowed])
        assert set(sums["tokens"][here]) == {len(part)}
    assert row == len(selections["position"])


def test_tied_routes_are_drawn_alike_and_no_other_is():
    losses = np.full((4000, 5), 2.0, dtype=np.float32)
    losses[:, [1, 3, 4]] = 1.0
    share = np.bincount(select.lowest(losses, np.random.default_rng(0)), minlength=5) / len(losses)
    assert share[[0, 2]].sum() == 0
    assert share[[1, 3, 4]] == pytest.approx([1 / 3] * 3, abs=0.03)


def test_seed_decides_ties():
    even = {("text", "d0"): np.ones((20, len(SPACE)))}
    first, again, other = (
        select.apply("duo", table(even), SPACE, 2, 3, seed)[0]["oracle_route"].to_pylist() for seed in (1, 1, 2)
    )
    assert first == again != other
    assert set(first) <= set(SPACE.with_budget(2).tolist()) and len(set(first)) > 2


def test_best_of_random_has_the_expected_minimum():
    # Lowest of n draws with replacement from 0..9 has mean sum over v >= 1 of P(all draws >= v).
    losses = np.tile(np.arange(10, dtype=np.float32), (20_000, 1))
    expected = sum(((10 - value) / 10) ** 3 for value in range(1, 10))
    assert select.best_of_random(losses, 3, np.random.default_rng(0)).mean() == pytest.approx(expected, abs=0.05)


def test_random_routes_for_all_are_the_same_in_every_document_and_domain():
    sums = select.apply("duo", table(noise()), SPACE, 2, 3, seed=1)[1].to_pandas()
    drawn = sums[sums["drawn"]].groupby(["domain", "document"])["route"].apply(tuple)
    assert len(drawn) == 6 and drawn.nunique() == 1
    assert 1 <= len(drawn.iloc[0]) <= 3


def test_shards_and_order_of_documents_change_nothing():
    losses = noise()
    whole = select.apply("duo", table(losses), SPACE, 2, 3, seed=1)
    parts = [select.apply("duo", table({key: losses[key]}), SPACE, 2, 3, seed=1) for key in reversed(losses)]
    for index in (0, 1):
        assert whole[index].equals(pa.concat_tables([part[index] for part in reversed(parts)]).combine_chunks())


def test_tables_fit_their_schemas(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    selections, sums = select.apply("duo", table(noise()), SPACE, 2, 3, seed=1)
    SELECTIONS.write(selections, budget=2)
    ROUTE_SUMS.write(sums, budget=2)
    assert ROUTE_SUMS.read(budget=2).num_rows == 6 * 6


def test_bad_input_is_named():
    losses = noise()
    with pytest.raises(InputError, match="budget 5: should lie between 0 and"):
        select.apply("duo", table(losses), SPACE, LAYERS + 1, 3, seed=1)
    with pytest.raises(InputError, match="losses of 8 routes"):
        select.apply("duo", table({key: part[:, :8] for key, part in losses.items()}), SPACE, 2, 3, seed=1)
    losses["code", "d1"][4] = np.nan
    with pytest.raises(InputError, match="domain code, document d1, token 4"):
        select.apply("duo", table(losses), SPACE, 2, 3, seed=1)


@pytest.mark.parametrize("budgets", [[0, 1, 2, 3], [0, 2, 3], [1, 3]])
def test_the_oracle_on_average_is_the_best_of_all_ways_to_spend(budgets):
    losses = np.random.default_rng(0).gamma(2, 1, (2, 4, len(budgets)))
    sums, spent = select.on_average(losses, budgets, budgets)
    for document, (column, most) in product(range(2), enumerate(budgets)):
        ways = [way for way in product(range(len(budgets)), repeat=4) if sum(budgets[step] for step in way) <= 4 * most]
        totals = [sum(losses[document, token, step] for token, step in enumerate(way)) for way in ways]
        assert sums[document, column] == pytest.approx(min(totals))
        assert spent[document, column] == sum(budgets[step] for step in ways[int(np.argmin(totals))]) <= 4 * most


def test_the_oracle_on_average_spends_nothing_where_nothing_is_gained():
    sums, spent = select.on_average(np.ones((1, 5, 3)), [0, 1, 2], [0, 1, 2])
    assert sums.tolist() == [[5, 5, 5]] and spent.tolist() == [[0, 0, 0]]


def test_an_average_below_all_budgets_is_one_clear_error():
    with pytest.raises(InputError, match=r"budgets \[2, 3\]: none is as low as the average 1"):
        select.on_average(np.ones((1, 5, 2)), [2, 3], [1])
