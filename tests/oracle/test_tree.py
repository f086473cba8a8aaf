"""The prefix tree against brute force."""

from copy import copy
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from models import DEVICE, TINY, brute_force, make, random_tokens

from duo.errors import InputError
from duo.model.device import Device
from duo.oracle.branch import log_probabilities
from duo.oracle.tree import Enumerator
from duo.routes import RouteSpace
from duo.terms import BIG, REPEAT, SKIP, SMALL

SPACES = [(SMALL, BIG), (SKIP, BIG), (SMALL, BIG, SKIP)]


@pytest.mark.parametrize("rows", [1, 48, 10_000])
def test_tree_equals_brute_force(rows):
    """Every route, in the order of its code, whatever the size of the chunks; two label sets in one pass."""
    duo, space = make(), RouteSpace(TINY.layers)
    tokens, labels = random_tokens(3, 11), torch.stack([random_tokens(3, 11, seed=1), random_tokens(3, 11, seed=2)])
    expected = brute_force(duo, space, tokens, labels)
    found = Enumerator(duo, space, DEVICE, rows).losses(tokens, labels)
    assert expected.std(dim=-1).min() > 1e-3, "routes must differ, or the test could not fail"
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("skip", ["ffn", "layer"])
@pytest.mark.parametrize("choices", SPACES)
@pytest.mark.parametrize("rows", [80, 10_000])
def test_bounded_tree_equals_brute_force_filtered(choices, skip, rows):
    """Exactly the routes with the budget, in order of their codes, in every space and whatever a skip leaves out."""
    duo, space = make(replace(TINY, layers=4)), RouteSpace(4, choices)
    tokens, labels = random_tokens(2, 5), random_tokens(2, 5, seed=1)[None]
    expected = brute_force(duo, space, tokens, labels, skip)
    whole = Enumerator(duo, space, DEVICE, rows, skip).losses(tokens, labels)
    torch.testing.assert_close(whole, expected, rtol=1e-4, atol=1e-4)
    for budget in range(5):
        bounded = Enumerator(duo, space, DEVICE, rows, skip, budget)
        assert bounded.routes.tolist() == [
            code for code, digits in enumerate(space.digits) if list(digits).count(choices.index(BIG)) == budget
        ]
        torch.testing.assert_close(bounded.losses(tokens, labels), expected[..., bounded.routes], rtol=1e-4, atol=1e-4)


def test_leaving_out_the_layer_is_not_leaving_out_its_ffn():
    duo, space = make(), RouteSpace(TINY.layers, (SKIP, BIG))
    tokens, labels = random_tokens(2, 9), random_tokens(2, 9, seed=1)[None]
    ffn, layer = (Enumerator(duo, space, DEVICE, 64, skip).losses(tokens, labels) for skip in ("ffn", "layer"))
    assert (ffn - layer).abs()[..., :-1].mean() > 0.01
    torch.testing.assert_close(ffn[..., -1], layer[..., -1])  # nothing is skipped there
    embedded = duo.logits(duo.embedding(tokens))  # all layers left out
    torch.testing.assert_close(layer[0, ..., 0], F.cross_entropy(embedded.transpose(1, 2), labels[0], reduction="none"))


@pytest.mark.parametrize("scope", ["ffn", "layer"])
@pytest.mark.parametrize("choices", SPACES)
@pytest.mark.parametrize(
    "bound", [{"departures": 0}, {"departures": 2}, {"blocks": 2}, {"blocks": 2, "departures": 1}, {"departures": 9}]
)
@pytest.mark.parametrize("rows", [15, 70, 10_000])
def test_tree_of_blocks_and_few_departures_equals_brute_force(bound, choices, scope, rows):
    duo, space = make(replace(TINY, layers=4)), RouteSpace(4, choices, **bound)
    tokens, labels = random_tokens(2, 5), random_tokens(2, 5, seed=1)[None]
    enumerator = Enumerator(duo, space, DEVICE, rows, scope)
    expected = brute_force(duo, space, tokens, labels, scope)
    torch.testing.assert_close(enumerator.losses(tokens, labels), expected, rtol=1e-4, atol=1e-4)
    every_label = torch.arange(TINY.vocabulary)[:, None, None].expand(-1, 2, 5)
    highest = -brute_force(duo, space, tokens, every_label, scope)
    budgets = [space.places, space.places - 1, None]
    scores = enumerator.everything(tokens, labels, None, budgets)
    torch.testing.assert_close(scores.losses, expected, rtol=1e-4, atol=1e-4)
    for found, budget in zip(scores.highest, budgets, strict=True):
        among = slice(None) if budget is None else space.index(space.with_budget(budget))
        best = highest[..., among].amax(dim=-1).permute(1, 2, 0)
        torch.testing.assert_close(found, best, rtol=1e-4, atol=1e-4)
    name = space.named("all_big")
    plain = log_probabilities(duo, space, tokens[0].numpy(), name, DEVICE, scope)
    torch.testing.assert_close(-plain[torch.arange(5), labels[0, 0]], expected[0, 0, :, space.index(np.array(name))])


@pytest.mark.parametrize(("bound", "budget"), [({"departures": 2}, None), ({}, 3), ({"departures": 4}, 5)])
def test_bounded_tree_computes_full_chunks_and_no_prefix_in_vain(bound, budget):
    """Compiled code sees one size but for shallow chunks; what leads to no route is not computed."""
    duo, space, tokens = make(replace(TINY, layers=8)), RouteSpace(8, (SKIP, BIG), **bound), random_tokens(1, 5)
    for size in (1, 8):
        enumerator = Enumerator(duo, space, DEVICE, size * 5, budget=budget)
        compiled, grow, sizes, computed = enumerator._compiled_branch, enumerator._layer, set(), []

        def seen(layer, x, *rest, compiled=compiled, sizes=sizes):
            sizes.add(len(x))
            return compiled(layer, x, *rest)

        def counted(function, roots, index, x, choices, grow=grow, computed=computed):
            computed.append(len(x) * len(choices))
            return grow(function, roots, index, x, choices)

        enumerator._compiled_branch, enumerator._layer = seen, counted
        enumerator.losses(tokens, tokens[None])
        digits = space.decode(enumerator.routes)
        prefixes = sum(len({tuple(row[:depth]) for row in digits}) for depth in range(1, 9))
        assert sizes == {size}
        assert sum(computed) == prefixes if size == 1 else prefixes <= sum(computed)


def rearranged(duo, layers):
    """The same decoder with these of its layers, one after the other."""
    other = copy(duo)
    other.__dict__["_modules"] = {**duo._modules, "layers": [duo.layers[index] for index in layers]}
    return other


@pytest.mark.parametrize("scope", ["ffn", "layer"])
@pytest.mark.parametrize("bound", [{}, {"departures": 2}, {"blocks": 2}, {"blocks": 2, "departures": 1}])
@pytest.mark.parametrize("rows", [15, 10_000])
def test_what_is_repeated_runs_twice(bound, scope, rows):
    """A route is the decoder that has its layers once, twice, or not at all; of a block, each layer for itself."""
    duo, space = make(replace(TINY, layers=4)), RouteSpace(4, (SKIP, BIG, REPEAT), **bound)
    tokens, labels = random_tokens(2, 5), random_tokens(2, 5, seed=1)
    found = Enumerator(duo, space, DEVICE, rows, scope).losses(tokens, labels[None])[0]
    for index, digits in enumerate(space.by_layer(space.codes).tolist()):
        layers = [layer for layer, digit in enumerate(digits) for _ in range(2 if digit == 2 else 1)]
        if scope == "layer":
            layers = [layer for layer in layers if digits[layer]]
        other = rearranged(duo, layers)
        skipped = [SKIP if digits[layer] == 0 else BIG for layer in layers]
        alone = RouteSpace(max(len(layers), 1), (SKIP, BIG))
        if not layers:
            expected = F.cross_entropy(duo.logits(duo.embedding(tokens)).transpose(1, 2), labels, reduction="none")
        else:
            route = alone.encode(np.array([alone.choices.index(choice) for choice in skipped]))
            at = int(route)
            expected = Enumerator(other, alone, DEVICE, 10_000).losses(tokens, labels[None])[0][..., at]
        torch.testing.assert_close(found[..., index], expected, rtol=1e-4, atol=1e-4)


def test_what_is_repeated_has_no_past():
    duo, space, tokens = make(), RouteSpace(TINY.layers, (SKIP, BIG, REPEAT)), random_tokens(1, 5)
    with pytest.raises(InputError, match="choice repeat: can be tried only where all tokens take the same route"):
        Enumerator(duo, space, DEVICE, 100).losses(tokens, tokens[None], reference=torch.ones_like(tokens))


def test_a_skipped_layer_takes_no_work():
    duo, space, tokens = make(replace(TINY, layers=4)), RouteSpace(4, (SKIP, BIG)), random_tokens(1, 5)
    asked = []
    for layer in duo.layers:
        project = layer.project
        layer.project = lambda x, rotations, project=project: asked.append(len(x)) or project(x, rotations)
    Enumerator(duo, space, DEVICE, 5, "layer", budget=0).losses(tokens, tokens[None])
    assert not asked
    Enumerator(duo, space, DEVICE, 5, "layer", budget=4).losses(tokens, tokens[None])
    assert sum(asked) == 4


def test_chunks_are_handed_over_in_order_and_bounded():
    duo, space, tokens = make(), RouteSpace(TINY.layers, (SMALL, BIG, SKIP)), random_tokens(2, 5)
    seen = []
    enumerator = Enumerator(duo, space, DEVICE, 70)
    enumerator.stream(tokens, tokens[None], lambda codes, losses: seen.append((codes, losses)))
    assert max(len(codes) for codes, _ in seen) == 7
    assert np.concatenate([codes for codes, _ in seen]).tolist() == list(range(27))
    together = torch.cat([losses for _, losses in seen]).permute(1, 2, 3, 0)
    torch.testing.assert_close(together, enumerator.losses(tokens, tokens[None]))


def test_tree_equals_brute_force_on_random_routes_of_twelve_layers():
    shape = replace(TINY, layers=12)
    duo, space = make(shape), RouteSpace(12)
    tokens, labels = random_tokens(1, 5), random_tokens(1, 5, seed=1)
    found = Enumerator(duo, space, DEVICE, 640).losses(tokens, labels[None])[0]
    for code in np.random.default_rng(0).integers(0, len(space), 25):
        logits = duo(tokens, torch.from_numpy(space.digits[code] == 1))
        expected = F.cross_entropy(logits.transpose(1, 2), labels, reduction="none")
        torch.testing.assert_close(found[..., code], expected, rtol=1e-4, atol=1e-4)


def test_choices_may_be_in_any_order():
    duo, tokens, labels = make(), random_tokens(2, 7), random_tokens(2, 7, seed=1)
    plain = Enumerator(duo, RouteSpace(TINY.layers, (SMALL, BIG)), DEVICE, 64).losses(tokens, labels[None])
    turned = Enumerator(duo, RouteSpace(TINY.layers, (BIG, SMALL)), DEVICE, 64).losses(tokens, labels[None])
    torch.testing.assert_close(turned.flip(-1), plain)


def test_documents_in_batches_are_those_alone():
    duo, space = make(), RouteSpace(TINY.layers)
    tokens, labels = random_tokens(6, 7), random_tokens(6, 7, seed=1)
    enumerator = Enumerator(duo, space, DEVICE, 64)
    alone = torch.cat([enumerator.losses(tokens[i : i + 1], labels[None, i : i + 1])[0] for i in range(6)])
    torch.testing.assert_close(enumerator.documents(tokens, labels), alone, rtol=1e-5, atol=1e-5)


def in_reference(duo, space, tokens, labels, reference) -> torch.Tensor:
    """The definition of the context: a pass for every route and position, in which the tokens before it keep the
    reference's routes.
    """
    digits = torch.from_numpy(space.digits)
    losses = torch.empty(*tokens.shape, len(space))
    for code, position in product(range(len(space)), range(tokens.shape[1])):
        routes = digits[reference].clone()
        routes[:, position] = digits[code]
        big, skipped = (
            routes == space.choices.index(choice) if choice in space.choices else routes < 0 for choice in (BIG, SKIP)
        )
        logits = duo(tokens, big, skipped)[:, position]
        losses[:, position, code] = F.cross_entropy(logits, labels[:, position], reduction="none")
    return losses


@pytest.mark.parametrize("rows", [35, 10_000])
@pytest.mark.parametrize("choices", [(SMALL, BIG), (SMALL, BIG, SKIP)])
@pytest.mark.parametrize("family", ["llama", "opt"])
def test_tree_in_a_reference_run_equals_its_definition(family, choices, rows):
    duo, space = make(replace(TINY, family=family)), RouteSpace(TINY.layers, choices)
    tokens, labels = random_tokens(2, 7), random_tokens(2, 7, seed=1)
    reference = torch.randint(0, len(space), tokens.shape, generator=torch.Generator().manual_seed(2))
    expected = in_reference(duo, space, tokens, labels, reference)
    enumerator = Enumerator(duo, space, DEVICE, rows)
    torch.testing.assert_close(
        enumerator.losses(tokens, labels[None], reference=reference)[0], expected, rtol=1e-4, atol=1e-4
    )
    shared = enumerator.losses(tokens, labels[None])[0]
    torch.testing.assert_close(
        shared[:, 0], expected[:, 0], rtol=1e-4, atol=1e-4
    )  # nothing stands before the first token
    assert (shared - expected)[:, 1:].abs().mean() > 0.01


def test_documents_keep_their_own_reference():
    duo, space = make(), RouteSpace(TINY.layers)
    tokens, labels = random_tokens(6, 7), random_tokens(6, 7, seed=1)
    reference = torch.randint(0, len(space), tokens.shape, generator=torch.Generator().manual_seed(2))
    enumerator = Enumerator(duo, space, DEVICE, 64)
    alone = [
        enumerator.losses(tokens[i : i + 1], labels[None, i : i + 1], reference=reference[i : i + 1])[0]
        for i in range(6)
    ]
    torch.testing.assert_close(enumerator.documents(tokens, labels, reference), torch.cat(alone), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("skip", ["ffn", "layer"])
def test_tokens_follow_routes_of_their_own(skip):
    duo, space = make(), RouteSpace(TINY.layers, (SMALL, BIG, SKIP))
    tokens, routes = (
        random_tokens(2, 9),
        torch.randint(0, len(space), (2, 9), generator=torch.Generator().manual_seed(2)),
    )
    enumerator = Enumerator(duo, space, DEVICE, 64, skip)
    x, _ = enumerator.follow(enumerator.roots(tokens), routes)
    digits = torch.from_numpy(space.digits)[routes]
    torch.testing.assert_close(duo.logits(x), duo(tokens, digits == 1, digits == 2, skip), rtol=1e-4, atol=1e-4)


def probabilities(duo, space, tokens) -> torch.Tensor:
    """[batch, time, routes, vocabulary]"""
    return torch.stack([duo(tokens, torch.from_numpy(digits == 1)).softmax(-1) for digits in space.digits], dim=2)


@pytest.mark.parametrize("rows", [40, 200, 10_000])
def test_one_walk_gives_losses_expectations_and_highest_chances(rows):
    """Each against its definition on all routes' probabilities; chunks from one route to all."""
    duo, space = make(replace(TINY, layers=4), scale=1.5), RouteSpace(4)
    tokens, labels = random_tokens(3, 11), torch.stack([random_tokens(3, 11, seed=1), random_tokens(3, 11, seed=2)])
    teachers = torch.randn(3, 3, 11, TINY.vocabulary, generator=torch.Generator().manual_seed(4)).log_softmax(-1)
    enumerator, budgets = Enumerator(duo, space, DEVICE, rows), [0, 1, 3]
    found = enumerator.everything(tokens, labels, teachers, budgets)
    torch.testing.assert_close(found.losses, enumerator.losses(tokens, labels), rtol=1e-5, atol=1e-5)
    every = probabilities(duo, space, tokens)
    expected = torch.einsum("nbtv,btrv->nbtr", teachers.exp(), -every.log())
    torch.testing.assert_close(found.expected, expected, rtol=1e-4, atol=1e-4)
    best = torch.stack([every[:, :, space.with_budget(budget)].amax(dim=2).log() for budget in budgets])
    torch.testing.assert_close(found.highest, best, rtol=1e-4, atol=1e-4)
    assert found.highest[0].logsumexp(-1).abs().max() < 1e-5, "one route alone is a distribution"
    assert found.highest[1:].logsumexp(-1).min() > 0.01
    assert enumerator.everything(tokens, labels, None, []).expected.shape == (0, 3, 11, 16)


def test_one_walk_serves_trees_of_one_budget_and_any_context():
    """Where the last chunk is filled up, and where a token sees a reference run."""
    duo, space = make(replace(TINY, layers=4)), RouteSpace(4, (SKIP, BIG))
    tokens, labels = random_tokens(1, 5), random_tokens(1, 5, seed=1)[None]
    for reference in (None, torch.full((1, 5), 6)):
        enumerator = Enumerator(duo, space, DEVICE, 4 * 5, budget=2)
        found = enumerator.everything(tokens, labels, None, [2], reference=reference)
        torch.testing.assert_close(found.losses, enumerator.losses(tokens, labels, reference=reference))
        assert found.highest.logsumexp(-1).min() > 0


def test_normalised_oracle_is_the_loss_of_a_distribution():
    """Over all labels, exp(-(lowest loss + log Z)) adds up to 1."""
    duo, space = make(), RouteSpace(TINY.layers)
    tokens, every_label = random_tokens(1, 6), torch.arange(TINY.vocabulary)[:, None, None].expand(-1, 1, 6)
    found = Enumerator(duo, space, DEVICE, 64).everything(tokens, every_label, None, [1, 2])
    for column, budget in enumerate((1, 2)):
        lowest = found.losses[..., space.with_budget(budget)].amin(-1)
        torch.testing.assert_close((-lowest - found.highest[column].logsumexp(-1)).exp().sum(0), torch.ones(1, 6))


@pytest.mark.parametrize("family", ["llama", "opt"])
@pytest.mark.parametrize("scope", ["ffn", "layer"])
def test_one_route_for_all_tokens_predicts_as_the_plain_pass_does(family, scope):
    duo, space = make(replace(TINY, family=family)), RouteSpace(TINY.layers, (SMALL, BIG, SKIP))
    tokens = random_tokens(1, 7)
    for code, digits in enumerate(torch.from_numpy(space.digits)):
        expected = duo(tokens, digits == 1, digits == 2, scope)[0].log_softmax(-1)
        found = log_probabilities(duo, space, tokens[0].numpy(), code, DEVICE, scope)
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_bf16_is_near_fp32():
    duo, space = make(scale=1.0), RouteSpace(TINY.layers)
    tokens, labels = random_tokens(4, 16), random_tokens(4, 16, seed=1)
    exact, rounded = (
        Enumerator(duo, space, Device("cpu", precision), 64).losses(tokens, labels[None])
        for precision in ("fp32", "bf16")
    )
    assert not torch.equal(exact, rounded)
    torch.testing.assert_close(rounded, exact, rtol=0.05, atol=0.05)


@pytest.mark.parametrize("choices", [(SKIP, BIG), (BIG, REPEAT)])
def test_only_tokens_that_are_asked_for_are_scored(choices):
    """At some places, in an order of their own, the losses are those of the whole tree there."""
    duo, space, asked = make(), RouteSpace(TINY.layers, choices, departures=1), torch.tensor([6, 0, 3])
    tokens, labels = random_tokens(2, 7), torch.stack([random_tokens(2, 7, seed) for seed in (1, 2)])
    for chunk in (1, 40, 10_000):
        tree = Enumerator(duo, space, DEVICE, chunk)
        roots = tree.roots(tokens)._replace(asked=asked)
        whole = tree.losses(tokens, labels)
        torch.testing.assert_close(tree.losses_from(roots, labels[..., asked]), whole[:, :, asked])


def test_first_tokens_can_be_read_alone():
    """Losses, what judges expect and the highest probabilities are those of all tokens, less the first."""
    duo, space = make(), RouteSpace(TINY.layers, (SKIP, BIG), departures=2)
    tokens, labels = random_tokens(2, 7), torch.stack([random_tokens(2, 7, seed) for seed in (1, 2)])
    judges = torch.randn(1, 2, 7, TINY.vocabulary, generator=torch.Generator().manual_seed(0)).log_softmax(-1)
    for chunk in (1, 40, 10_000):
        tree = Enumerator(duo, space, DEVICE, chunk)
        torch.testing.assert_close(tree.losses(tokens, labels[..., 2:]), tree.losses(tokens, labels)[:, :, 2:])
        whole = tree.everything(tokens, labels, judges, [TINY.layers - 1])
        part = tree.everything(tokens, labels[..., 2:], judges[:, :, 2:], [TINY.layers - 1])
        for found, expected in zip(part, whole, strict=True):
            torch.testing.assert_close(found, expected[:, :, 2:])


@pytest.mark.parametrize("choices", [(SKIP, BIG), (BIG, REPEAT)])
def test_what_tokens_see_of_one_another_can_be_told(choices):
    """Two texts in one row, of which neither sees the other, are as two rows; all earlier ones is the usual way."""
    duo, space = make(), RouteSpace(TINY.layers, choices)
    tree, tokens, labels = Enumerator(duo, space, DEVICE, 40), random_tokens(2, 5), random_tokens(2, 5, seed=1)
    apart = tree.losses(tokens, labels[None])[0]
    roots = tree.roots(tokens)
    alone = torch.full((5, 5), -torch.inf).triu(1)
    torch.testing.assert_close(tree.losses_from(roots._replace(earlier=alone), labels[None])[0], apart)
    hidden = torch.full((5, 5), -torch.inf)
    rows = torch.cat([torch.cat([alone, hidden], 1), torch.cat([hidden, alone], 1)])
    rotations = torch.cat([roots.rotations] * 2, dim=1)
    packed = roots._replace(x=roots.x.flatten(0, 1)[None], rotations=rotations, earlier=rows)
    found = tree.losses_from(packed, labels.flatten()[None, None])[0, 0]
    torch.testing.assert_close(found, apart.flatten(0, 1), rtol=1e-4, atol=1e-4)
