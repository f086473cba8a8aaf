"""Searches find what is there, see only what they pay for, and end where the exact answer is."""

from math import comb

import numpy as np
import pytest
import torch
from models import DEVICE, TINY, make, random_tokens

from duo.data.evaluation_set import EvaluationSet
from duo.errors import InputError
from duo.oracle import search
from duo.oracle.search import METHODS, Routes, Trials
from duo.oracle.tree import Enumerator
from duo.routes import RouteSpace
from duo.settings import Search

LAYERS, BUDGET, TOKENS = 6, 3, 40
ROUTES = Routes(LAYERS, BUDGET)
COUNT = comb(LAYERS, BUDGET)
TABLES = {  # [tokens, routes]
    "noise": np.random.default_rng(0).random((TOKENS, COUNT)),
    "ties": np.random.default_rng(1).integers(0, 3, (TOKENS, COUNT)) / 2,
    "equal": np.ones((TOKENS, COUNT)),
    "additive": np.random.default_rng(2).normal(size=(TOKENS, LAYERS)) @ ROUTES.big.T,
}
# What the lens says has nothing to do with the losses: even so, a beam wide enough holds everything.
LENS = [np.random.default_rng(depth).random((TOKENS, 2**depth)).astype(np.float32) for depth in range(1, LAYERS - 1)]
EVERYTHING = 10 * COUNT  # the beam pays for prefixes too


def trials(name: str, limit: int) -> Trials:
    return Trials(TABLES[name].astype(np.float32), ROUTES, limit, LENS)


class Watched(Trials):
    """Trials that keep what was asked."""

    def __init__(self, *args):
        super().__init__(*args)
        self.asked = []

    def evaluate(self, routes):
        self.asked.append(routes)
        return super().evaluate(routes)


def test_routes_and_their_neighbours():
    assert ROUTES.codes.tolist() == [code for code in range(2**LAYERS) if code.bit_count() == BUDGET]
    assert ROUTES.index[ROUTES.codes].tolist() == list(range(COUNT))
    for one, near in enumerate(ROUTES.swaps(np.arange(COUNT))):
        assert near.tolist() == [(int(ROUTES.codes[one]) ^ int(code)).bit_count() // 2 for code in ROUTES.codes]
    assert ROUTES.begins(2).tolist() == [True] * 4
    assert np.flatnonzero(~ROUTES.begins(4)).tolist() == [0b0000, 0b1111]


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("method", METHODS)
def test_every_search_finds_the_optimum_when_allowed_all_evaluations(method, table):
    tried = trials(table, EVERYTHING)
    METHODS[method](tried, ROUTES, np.random.default_rng(0))
    np.testing.assert_array_equal(tried.lowest[:, -1], TABLES[table].astype(np.float32).min(axis=1))
    assert tried.tried.all()


@pytest.mark.parametrize("method", METHODS)
def test_a_search_tries_no_route_twice_and_only_those_of_its_budget(method):
    tried = Watched(TABLES["noise"].astype(np.float32), ROUTES, 8, LENS)
    METHODS[method](tried, ROUTES, np.random.default_rng(0))
    asked = np.stack(tried.asked, axis=1)
    if method != "beam":  # whose wider beam holds the narrower's routes again, which cost nothing
        assert asked.shape == (TOKENS, 8) and (asked >= 0).all()
        assert all(len(set(row)) == 8 for row in asked.tolist())
    assert asked.max() < COUNT and asked.min() >= -1
    lowest = tried.lowest
    assert (np.diff(lowest[:, 3:], axis=1) <= 0).all(), "what is found may only get better"
    assert np.isfinite(lowest[:, -1]).all()


def test_evaluations_are_counted_once_and_prefixes_by_their_layers():
    tried = trials("noise", 2)
    first, second = np.full(TOKENS, 4), np.where(np.arange(TOKENS) < 3, 5, -1)
    losses = tried.evaluate(first)
    np.testing.assert_array_equal(losses, TABLES["noise"][:, 4].astype(np.float32))
    np.testing.assert_array_equal(tried.evaluate(first), losses)
    np.testing.assert_array_equal(tried.lowest[:, 0], losses)  # the second time cost nothing: 1 evaluation is spent
    assert np.isinf(tried.evaluate(second)[3:]).all()
    np.testing.assert_array_equal(tried.lowest[3:, 1], losses[3:])
    assert not tried.exhausted

    tried = trials("noise", 2)
    prefixes = np.tile([0, 1, 2, 3], (TOKENS, 1))
    wanted = np.tile([True, True, False, True], (TOKENS, 1))
    seen = tried.peek(2, prefixes, wanted)
    np.testing.assert_array_equal(seen[:, [0, 1, 3]], LENS[1][:, [0, 1, 3]])
    assert np.isinf(seen[:, 2]).all()
    tried.peek(2, prefixes, wanted)  # known already
    tried.evaluate(first)  # 3 prefixes of 2 layers, then all 6: exactly two evaluations
    assert np.isinf(tried.lowest[:, 0]).all() and np.isfinite(tried.lowest[:, 1]).all() and tried.exhausted
    tried.evaluate(TABLES["noise"].argmin(axis=1))
    np.testing.assert_array_equal(tried.lowest[:, 1], losses)  # what comes after them doesn't count


def regret(method: str, table: np.ndarray, evaluations: int, lens=None, layers=10, budget=5) -> float:
    routes = Routes(layers, budget)
    return search.run(table.astype(np.float32), lens, routes, method, evaluations, np.random.default_rng(0))[-1, 0]


def test_searches_that_suit_the_losses_beat_random_routes():
    """Losses that are sums over layers and a little noise have slopes to follow; random losses have none."""
    rng = np.random.default_rng(0)
    big = Routes(10, 5).big
    slopes = rng.normal(size=(60, 10)) @ big.T + rng.normal(size=(60, len(big))) * 0.1
    plain = regret("random", slopes, 40)
    assert plain > 0.3
    for method in ("evolution", "one_flip", "two_flip"):
        assert regret(method, slopes, 40) < 0.6 * plain, method
    assert regret("mcts", slopes, 40) < 0.9 * plain  # with this constant it explores much
    assert regret("additive", slopes, 40) < 0.05 * plain
    noise = rng.normal(size=(400, len(big)))
    plain = regret("random", noise, 40)
    for method in ("mcts", "evolution", "one_flip", "two_flip", "additive"):
        assert regret(method, noise, 40) == pytest.approx(plain, rel=0.12), method


def test_moves_of_the_tree_search():
    """The higher bound but for one move in ten; an unvisited child first; behind a new node as there are routes;
    never a closed child.
    """
    bounds = search._upper_bounds(np.array([[0.5, 0.2], [0.0, 0.0]]), np.array([10, 7]), np.array([[8, 2], [7, 0]]))
    expected = [0.5 + 1.8 * np.sqrt(np.log(10) / 8), 0.2 + 1.8 * np.sqrt(np.log(10) / 2)]
    assert bounds[0].tolist() == pytest.approx(expected) and bounds[1, 1] == np.inf
    moves = [
        ((1.0, 2.0), 5, (3, 3), 0.95),
        ((2.0, 1.0), 5, (3, 3), 0.05),
        ((np.inf, np.inf), 1, (3, 3), 0.5),
        ((np.inf, np.inf), 0, (1, 3), 0.75),
        ((2.0, 1.0), 5, (0, 3), 1.0),
        ((1.0, 2.0), 5, (3, 0), 0.0),
    ]
    children, visits, untried, chances = (np.array(column) for column in zip(*moves, strict=True))
    assert search._chance_of_big(children, visits, untried).tolist() == pytest.approx(chances.tolist())


def test_beam_follows_the_lens():
    """Where the lens tells a prefix's best end, the narrowest beam finds the optimum at once."""
    routes = Routes(10, 5)
    losses = np.random.default_rng(0).random((30, len(routes))).astype(np.float32)
    lens = [np.full((30, 2**depth), np.inf, np.float32) for depth in range(1, 9)]
    for depth, level in enumerate(lens, 1):
        np.minimum.at(level, (slice(None), routes.codes >> (10 - depth)), losses)
    found = search.run(losses, lens, routes, "beam", 14, np.random.default_rng(0))
    assert found[-1].tolist() == [0, 1]
    assert np.isinf(found[0, 0]) and found[0, 1] == 0, "prefixes come first, and cost"


def test_lens_at_full_depth_is_the_loss():
    duo, space = make(), RouteSpace(TINY.layers)
    tokens, labels = random_tokens(5, 7), random_tokens(5, 7, seed=1)
    levels = search.Lens(duo, space, DEVICE, 64).losses_by_depth(tokens, labels, TINY.layers)
    expected = Enumerator(duo, space, DEVICE, 64).documents(tokens, labels)
    torch.testing.assert_close(torch.from_numpy(levels[-1]), expected)
    stream = duo.embed(tokens)  # and of one layer, small then big, its own stream
    layer = duo.layers[0]
    attended = layer.attend(stream, duo.positions(7))
    for choice, name in enumerate(("small", "big")):
        logits = duo.logits(attended + layer.ffns[name](layer.ffn_norm(attended)))
        wanted = torch.nn.functional.cross_entropy(logits.transpose(1, 2), labels, reduction="none")
        torch.testing.assert_close(torch.from_numpy(levels[0][..., choice]), wanted, rtol=1e-4, atol=1e-4)


SETTINGS = Search(methods=list(METHODS), documents=3, budgets=[1, 3], evaluations=8)
NAMES = [f"d{i}" for i in range(6)]
SAMPLE = EvaluationSet(["a"] * 3 + ["b"] * 3, NAMES, NAMES, np.zeros((6, 5), int), np.zeros((6, 5), int))


def made_up(layers: int = 4) -> tuple[dict, list[np.ndarray]]:
    """Losses by document of the sample, and a lens."""
    rng = np.random.default_rng(0)
    losses = {
        key: rng.random((5, 2**layers)).astype(np.float32) for key in zip(SAMPLE.domains, SAMPLE.documents, strict=True)
    }
    return losses, [rng.random((6, 5, 2**depth)).astype(np.float32) for depth in range(1, layers - 1)]


def test_what_is_reached_in_every_domain():
    reached = search.find(SAMPLE, *made_up(), SETTINGS, 4, seed=1)
    assert list(reached) == ["a", "b"]
    for by_method in reached.values():
        assert list(by_method) == [(method, budget) for budget in (1, 3) for method in METHODS]
        for (method, _), values in by_method.items():
            assert values.shape == (3, 4, 2), "C(4, 1) are all routes"
            assert method == "beam" or (values[:, -1] == [0, 1]).all()


def test_a_documents_draws_are_its_own():
    losses, lens = made_up()
    whole = search.find(SAMPLE, losses, lens, SETTINGS, 4, seed=1)["b"]
    part = search.find(SAMPLE.take(slice(4, None)), losses, [level[4:] for level in lens], SETTINGS, 4, seed=1)["b"]
    for key, values in part.items():
        np.testing.assert_array_equal(whole[key][1:], values)


def test_losses_of_another_sample_are_refused():
    losses, lens = made_up()
    losses["b", "d4"] = losses["b", "d4"][:3]
    with pytest.raises(InputError, match="domain b, document d4: its losses should be of 5 tokens"):
        search.find(SAMPLE, losses, lens, SETTINGS, 4, seed=1)
