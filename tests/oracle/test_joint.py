"""Contexts against plain loops."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
import torch
import torch.nn.functional as F
from models import TINY, make, random_tokens

from duo.data.evaluation_set import EvaluationSet
from duo.errors import InputError
from duo.model.device import Device
from duo.model.transformer import Duo
from duo.oracle import joint, select
from duo.oracle.tree import Enumerator
from duo.routes import RouteSpace
from duo.tables import files

DEVICE = Device()
LAYERS = 4
SPACE = RouteSpace(LAYERS)


def model(family: str = "llama") -> Duo:
    return make(replace(TINY, layers=LAYERS, family=family))


def sample(documents: int = 4, time: int = 9) -> EvaluationSet:
    domains = ["text"] * (documents // 2) + ["code"] * (documents - documents // 2)
    tokens = random_tokens(documents, time + 1, seed=5).numpy()
    names = [f"d{row}" for row in range(documents)]
    return EvaluationSet(domains, names, names, tokens[:, :-1], tokens[:, 1:])


def jointly(duo: Duo, tokens: np.ndarray, routes: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Losses of all tokens on their routes, by the model's own plain forward pass."""
    logits = duo(torch.from_numpy(tokens), torch.from_numpy(SPACE.decode(routes) == 1))
    return F.cross_entropy(logits.transpose(1, 2), torch.from_numpy(labels), reduction="none").numpy()


def token_by_token(duo: Duo, tokens: np.ndarray, labels: np.ndarray, budget: int) -> tuple[np.ndarray, np.ndarray]:
    """The plain loop: winners [time] of one document [time] and their losses; every route of the budget at every
    token in turn.
    """
    routes, losses = np.zeros_like(tokens), np.zeros(len(tokens), np.float32)
    for position in range(len(tokens)):
        tried = {}
        for route in SPACE.with_budget(budget):
            routes[position] = route
            upto = slice(position + 1)
            tried[route] = jointly(duo, tokens[None, upto], routes[None, upto], labels[None, upto])[0, position]
        routes[position] = min(tried, key=tried.get)
        losses[position] = tried[routes[position]]
    return routes, losses


@pytest.mark.parametrize("family", ["llama", "opt"])
def test_greedy_equals_a_token_by_token_loop(family):
    duo, chosen_from = model(family), sample()
    found = joint.greedy(duo, SPACE, chosen_from, [1, 2], DEVICE, 48, seed=1)
    for budget in (1, 2):
        chosen = found[budget, "oracle"]
        for row in range(len(chosen_from.documents)):
            routes, losses = token_by_token(duo, chosen_from.tokens[row], chosen_from.labels[row], budget)
            np.testing.assert_array_equal(chosen.routes[row], routes)
            np.testing.assert_allclose(chosen.isolated[row], losses, rtol=1e-4, atol=1e-4)


def test_what_is_greedy_is_joint():
    """Its isolated loss is that of all tokens on their routes in one plain pass; of the other contexts' choices it is
    not.
    """
    duo, chosen_from = model(), sample()
    tokens, labels = chosen_from.tokens, chosen_from.labels
    chosen = joint.greedy(duo, SPACE, chosen_from, [2], DEVICE, 48, seed=1)[2, "oracle"]
    np.testing.assert_allclose(jointly(duo, tokens, chosen.routes, labels), chosen.isolated, rtol=1e-4, atol=1e-4)
    reference = joint.reference_routes("all_big", chosen_from, LAYERS, seed=1)
    enumerator = Enumerator(duo, SPACE, DEVICE, 64)
    for losses in (
        enumerator.documents(torch.from_numpy(tokens), torch.from_numpy(labels)),
        enumerator.documents(torch.from_numpy(tokens), torch.from_numpy(labels), torch.from_numpy(reference)),
    ):
        other = joint.choose(losses.numpy(), SPACE, chosen_from, [2], seed=1)[2, "oracle"]
        assert np.abs(jointly(duo, tokens, other.routes, labels) - other.isolated).mean() > 0.01


def test_joint_losses_are_those_of_the_plain_pass():
    duo, chosen_from = model(), sample(joint.BATCH + 2)
    routes = np.random.default_rng(0).integers(len(SPACE), size=chosen_from.tokens.shape)
    found = joint.run_jointly(duo, SPACE, chosen_from.tokens, routes, chosen_from.labels, DEVICE)
    np.testing.assert_allclose(
        found, jointly(duo, chosen_from.tokens, routes, chosen_from.labels), rtol=1e-4, atol=1e-4
    )


def test_selections_are_the_lowest_of_their_kind_and_draw_as_the_oracle_does():
    chosen_from = sample()
    losses = np.random.default_rng(0).integers(3, size=(4, 9, len(SPACE))).astype(np.float32)  # full of ties
    found = joint.choose(losses, SPACE, chosen_from, [2], seed=1)
    codes = SPACE.with_budget(2)
    assert set(np.unique(found[2, "oracle"].routes)) <= set(codes)
    np.testing.assert_array_equal(found[2, "oracle"].isolated, losses[..., codes].min(-1))
    by_document = found[2, "sequence"].isolated.sum(1)
    np.testing.assert_array_equal(by_document, losses[..., codes].sum(1).min(-1))
    for domain in ("text", "code"):
        rows = np.array(chosen_from.domains) == domain
        first, second = losses[rows][..., codes]  # each document, a cluster, takes the route that is best for the other
        served = first[:, second.sum(0).argmin()], second[:, first.sum(0).argmin()]
        np.testing.assert_array_equal(found[2, "fixed"].isolated[rows], served)
    table = pa.table(chosen_from.columns() | {"losses": files.fixed_lists(losses.reshape(-1, len(SPACE)))})
    selections, *_ = select.apply("duo", table, SPACE, 2, 3, seed=1)
    np.testing.assert_array_equal(selections["oracle_route"].to_numpy(), found[2, "oracle"].routes.ravel())


def test_losses_are_found_whatever_the_shards():
    chosen_from = sample()
    losses = np.random.default_rng(0).random((4, 9, len(SPACE)), np.float32)
    shards = [
        pa.table(chosen_from.take(rows).columns() | {"losses": files.fixed_lists(losses[rows].reshape(-1, len(SPACE)))})
        for rows in (slice(0, None, 2), slice(1, None, 2))
    ]
    part = chosen_from.truncate(1, 5)
    np.testing.assert_array_equal(joint.enumerated(shards, part), losses[[0, 2], :5])
    with pytest.raises(
        InputError, match="domain code, document d2: its losses are missing in the table of route losses"
    ):
        joint.enumerated([shards[1]], part.of("code"))


def test_reference_runs():
    """A route of all tokens, one drawn for each by document, or a router's own, in whatever order it names its
    choices.
    """
    chosen_from = sample()
    assert set(joint.reference_routes("all_big", chosen_from, LAYERS, 1).ravel()) == {15}
    assert set(joint.reference_routes("all_small", chosen_from, LAYERS, 1).ravel()) == {0}
    drawn = joint.reference_routes("random", chosen_from, LAYERS, 1)
    assert len(np.unique(drawn)) > 8
    np.testing.assert_array_equal(joint.reference_routes("random", chosen_from.of("code"), LAYERS, 1), drawn[2:])
    own = RouteSpace(LAYERS, ("big", "small"))
    codes = own.encode(1 - SPACE.decode(drawn))
    columns = {"kind": ["hard"] * codes.size, **chosen_from.columns(), "route": codes.ravel()}
    routed = pa.concat_tables(
        [pa.table(columns | {"kind": ["soft"] * codes.size, "route": np.full(codes.size, -1)}), pa.table(columns)]
    )
    part = chosen_from.truncate(1, 6)
    np.testing.assert_array_equal(joint.router_routes(routed, own.choices, part, LAYERS), drawn[[0, 2], :6])
    with pytest.raises(InputError, match="domain text, document d0: its routes are missing"):
        joint.router_routes(routed.slice(len(routed) - 9), own.choices, part, LAYERS)


def test_tokens_without_a_route_are_read_by_the_model_as_it_is():
    duo, whole = model(), sample()
    part = replace(whole, labels=whole.labels[:, 2:])
    routes = np.random.default_rng(0).integers(0, len(SPACE), whole.tokens.shape)
    routes[:, :2] = SPACE.named("all_big")
    expected = jointly(duo, whole.tokens, routes, whole.labels)[:, 2:]
    found = joint.run_jointly(duo, SPACE, part.tokens, routes[:, 2:], part.labels, DEVICE)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_one_route_for_all_is_joint_as_isolated_in_the_shared_context():
    duo, chosen_from = model(), sample()
    enumerator = Enumerator(duo, SPACE, DEVICE, 64)
    losses = enumerator.documents(torch.from_numpy(chosen_from.tokens), torch.from_numpy(chosen_from.labels)).numpy()
    choices = joint.choose(losses, SPACE, chosen_from, [0, 2, 4], seed=1)
    table = joint.table("duo", duo, SPACE, chosen_from, choices, DEVICE).to_pylist()
    assert len(table) == 3 * 3 * chosen_from.tokens.size
    for row in table:
        if row["selection"] != "oracle" or row["budget"] in (0, 4):
            assert row["joint"] == pytest.approx(row["isolated"], rel=1e-4, abs=1e-4)
