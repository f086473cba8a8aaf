from itertools import product

import numpy as np
import pyarrow as pa
import pytest
from made_up import LAYERS, SPACE, noise, table

from duo.errors import InputError
from duo.oracle import select
from duo.tables.oracle import ROUTE_SUMS, SELECTIONS, STRATEGY_SUMS


def columns(found: pa.Table) -> dict[str, np.ndarray]:
    return {name: found[name].to_numpy() for name in found.column_names}


@pytest.mark.parametrize("budget", range(LAYERS + 1))
def test_selections_and_sums_equal_loops_over_the_routes(budget):
    losses = noise()
    tables = select.apply("duo", table(losses), SPACE, budget, 3, seed=1)
    selections, sums, strategies = (columns(each) for each in tables)
    allowed = [route for route in range(2**LAYERS) if bin(route).count("1") == budget]
    row = 0
    for (domain, document), part in losses.items():
        totals = {route: sum(float(loss) for loss in part[:, route]) for route in allowed}
        winner = min(totals, key=totals.get)
        _, known = select.select(part[:, allowed], 3, select.ties(1, budget, domain, document))
        for position, token in enumerate(part):
            best = min(allowed, key=lambda route: token[route])
            assert (selections["domain"][row], selections["document"][row], selections["position"][row]) == (
                domain,
                document,
                position,
            )
            assert selections["oracle_route"][row] == best
            assert selections["oracle_loss"][row] == token[best]
            assert known["sequence"][position] == token[winner]
            assert selections["mean_loss"][row] == pytest.approx(np.mean([token[route] for route in allowed]), rel=1e-6)
            assert known["random_token"][position] in token[allowed]
            assert known["oracle"][position] == selections["oracle_loss"][row]
            assert known["mean"][position] == selections["mean_loss"][row]
            row += 1
        here = (sums["domain"] == domain) & (sums["document"] == document)
        assert list(sums["route"][here]) == allowed
        assert sums["loss_sum"][here] == pytest.approx([totals[route] for route in allowed])
        assert set(sums["tokens"][here]) == {len(part)}
        here = (strategies["domain"] == domain) & (strategies["document"] == document)
        assert list(strategies["strategy"][here]) == ["oracle", "sequence", "random_token", "mean"]
        # As sums by document over a column of tokens are, to the bit.
        one_by_one = [np.bincount([0] * len(part), known[name])[0] for name in strategies["strategy"][here]]
        assert list(strategies["loss_sum"][here]) == one_by_one
        assert set(strategies["tokens"][here]) == {len(part)}
    assert row == len(selections["position"])


def test_a_fixed_route_serves_the_clusters_that_did_not_choose_it():
    """Clusters of unlike size, in any order; each domain has its own."""
    losses = np.random.default_rng(0).gamma(4, 1, (9, 5))
    domains = ["text", "code", "text", "text", "code", "text", "text", "code", "text"]
    clusters = ["b", "p", "a", "b", "q", "c", "d", "p", "a"]
    found = select.fixed(losses, domains, clusters)
    halves = {"text": (["a", "c"], ["b", "d"]), "code": (["p"], ["q"])}
    for row, (domain, cluster) in enumerate(zip(domains, clusters, strict=True)):
        (others,) = [half for half in halves[domain] if cluster not in half]
        chose = [at for at in range(9) if domains[at] == domain and clusters[at] in others]
        assert found[row] == losses[chose].mean(axis=0).argmin()


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
    for index in range(3):
        assert whole[index].equals(pa.concat_tables([part[index] for part in reversed(parts)]).combine_chunks())


def test_tables_fit_their_schemas(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    selected = select.apply("duo", table(noise()), SPACE, 2, 3, seed=1)
    for kind, made in zip((SELECTIONS, ROUTE_SUMS, STRATEGY_SUMS), selected, strict=True):
        kind.write(made, budget=2)
    assert ROUTE_SUMS.read(budget=2).num_rows == 6 * 6
    assert STRATEGY_SUMS.read(budget=2).num_rows == 6 * 4
    words = dict(zip(*(STRATEGY_SUMS.read(budget=2)[name].to_pylist() for name in ("strategy", "words")), strict=True))
    assert words["random_token"] == "best of 3 random routes, each token"


class Worst:
    """The worst route: no router would, so nothing else can be meant."""

    words = "worst of all routes"

    def choose(self, losses, big, rng):
        assert big.shape == (losses.shape[1], LAYERS) and (big.sum(axis=1) == 2).all()
        return losses.argmax(axis=1)


class Dice:
    def choose(self, losses, big, rng):
        return rng.integers(losses.shape[1], size=len(losses))


def test_a_strategy_of_ones_own_gets_the_losses_of_its_routes():
    losses = noise()
    strategies = {"mine": Worst(), "sequence": None, "dice": Dice()}
    sums = select.apply("duo", table(losses), SPACE, 2, 3, 1, strategies).strategy_sums.to_pylist()
    assert [row["strategy"] for row in sums[:3]] == list(strategies)
    by_key = {(row["domain"], row["document"], row["strategy"]): row for row in sums}
    known = select.apply("duo", table(losses), SPACE, 2, 3, seed=1).strategy_sums.to_pylist()
    unchanged = {(row["domain"], row["document"]): row for row in known if row["strategy"] == "sequence"}
    for (domain, document), part in losses.items():
        row = by_key[domain, document, "mine"]
        assert row["loss_sum"] == pytest.approx(part[:, SPACE.with_budget(2)].max(axis=1).sum(dtype=np.float64))
        assert row["words"] == "worst of all routes" and by_key[domain, document, "dice"]["words"] == "dice"
        assert by_key[domain, document, "sequence"] == unchanged[domain, document]
    again = select.apply("duo", table(losses), SPACE, 2, 3, 1, {"dice": Dice()}).strategy_sums.to_pylist()
    assert again == [row for row in sums if row["strategy"] == "dice"]  # its random numbers are its own


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        (lambda losses: losses.min(axis=1), "ndarray of float32, shape (6,)"),
        (lambda losses: losses.argmin(axis=1)[:-1], "ndarray of int64, shape (5,)"),
        (lambda losses: np.full(len(losses), 6), "indices from 6 to 6"),
        (lambda losses: np.full(len(losses), -1), "indices from -1 to -1"),
        (lambda losses: None, "NoneType"),
        (lambda losses: [[1], [2, 3]], "list of length 2"),
    ],
)
def test_a_strategy_that_chooses_no_route_is_named(chosen, message):
    class Wrong:
        def choose(self, losses, big, rng):
            return chosen(losses)

    with pytest.raises(InputError) as caught:
        select.apply("duo", table(noise()), SPACE, 2, 3, 1, {"mine": Wrong()})
    told = str(caught.value)
    assert told.startswith("strategy mine: ") and f"Wrong.choose gave {message}, " in told
    assert told.endswith("should be integers [6] from 0 to 5: one per token")


def test_a_strategy_can_not_harm_what_it_is_given():
    class Writes:
        def choose(self, losses, big, rng):
            losses[:], big[:] = 0, False
            return np.zeros(len(losses), int)

    class Counts:
        def choose(self, losses, big, rng):
            assert (big.sum(axis=1) == 2).all() and losses.all()
            return np.zeros(len(losses), int)

    given = {"writes": Writes(), "sequence": None, "counts": Counts()}
    written = select.apply("duo", table(noise()), SPACE, 2, 3, 1, given).strategy_sums.to_pylist()
    known = select.apply("duo", table(noise()), SPACE, 2, 3, 1, {"sequence": None}).strategy_sums.to_pylist()
    assert [row for row in written if row["strategy"] == "sequence"] == known
    assert all(row["loss_sum"] > 0 for row in written)


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
