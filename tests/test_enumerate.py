"""The prefix tree against brute force."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from test_model import TINY, make, random_tokens

from duo.config import Runtime
from duo.enumerate import Enumerator, choose_documents
from duo.errors import InputError
from duo.routes import BIG, SMALL, RouteSpace

MACHINE = Runtime(device="cpu", threads=1, compile=False)


def brute_force(duo, space, tokens, labels) -> torch.Tensor:
    """One forward pass a route: [sets, batch, time, routes]."""
    losses = []
    for digits in space.digits:
        logits = duo(tokens, torch.from_numpy(digits == space.choices.index(BIG)))
        losses.append(torch.stack([F.cross_entropy(logits.transpose(1, 2), wanted, reduction="none") for wanted in labels]))
    return torch.stack(losses, dim=-1)


@pytest.mark.parametrize("rows", [1, 48, 10_000])
def test_tree_equals_brute_force(rows):
    """Every route, in the order of its code, whatever the size of the chunks; two label sets in one pass."""
    duo, space = make(), RouteSpace(TINY.layers)
    tokens, labels = random_tokens(3, 11), torch.stack([random_tokens(3, 11, seed=1), random_tokens(3, 11, seed=2)])
    expected = brute_force(duo, space, tokens, labels)
    found = Enumerator(duo, space, MACHINE, "fp32", rows).losses(tokens, labels)
    assert expected.std(dim=-1).min() > 1e-3, "routes must differ, or the test could not fail"
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_tree_equals_brute_force_on_random_routes_of_twelve_layers():
    from dataclasses import replace

    shape = replace(TINY, layers=12)
    duo, space = make(shape), RouteSpace(12)
    tokens, labels = random_tokens(1, 5), random_tokens(1, 5, seed=1)
    found = Enumerator(duo, space, MACHINE, "fp32", 640).losses(tokens, labels[None])[0]
    for code in np.random.default_rng(0).integers(0, len(space), 25):
        logits = duo(tokens, torch.from_numpy(space.digits[code] == 1))
        expected = F.cross_entropy(logits.transpose(1, 2), labels, reduction="none")
        torch.testing.assert_close(found[..., code], expected, rtol=1e-4, atol=1e-4)


def test_choices_may_be_in_any_order():
    duo, tokens, labels = make(), random_tokens(2, 7), random_tokens(2, 7, seed=1)
    plain = Enumerator(duo, RouteSpace(TINY.layers, (SMALL, BIG)), MACHINE, "fp32", 64).losses(tokens, labels[None])
    turned = Enumerator(duo, RouteSpace(TINY.layers, (BIG, SMALL)), MACHINE, "fp32", 64).losses(tokens, labels[None])
    torch.testing.assert_close(turned.flip(-1), plain)


def test_documents_in_batches_are_those_alone():
    duo, space = make(), RouteSpace(TINY.layers)
    tokens, labels = random_tokens(6, 7), random_tokens(6, 7, seed=1)
    enumerator = Enumerator(duo, space, MACHINE, "fp32", 64)
    alone = torch.cat([enumerator.losses(tokens[i : i + 1], labels[None, i : i + 1])[0] for i in range(6)])
    torch.testing.assert_close(enumerator.documents(tokens, labels), alone, rtol=1e-5, atol=1e-5)


def test_bf16_is_near_fp32():
    duo, space = make(scale=1.0), RouteSpace(TINY.layers)
    tokens, labels = random_tokens(4, 16), random_tokens(4, 16, seed=1)
    exact, rounded = (Enumerator(duo, space, MACHINE, precision, 64).losses(tokens, labels[None]) for precision in ("fp32", "bf16"))
    assert not torch.equal(exact, rounded)
    torch.testing.assert_close(rounded, exact, rtol=0.05, atol=0.05)


def test_documents_are_drawn_by_seed_and_long_enough():
    rows = [{"domain": d, "document": f"{d}{i}", "tokens": list(range(5 + i % 7))} for d in ("a", "b") for i in range(40)]
    chosen = choose_documents(rows, 6, 9, seed=1)
    assert [row["domain"] for row in chosen] == ["a"] * 6 + ["b"] * 6
    assert len({row["document"] for row in chosen}) == 12
    assert all(len(row["tokens"]) >= 9 for row in chosen)
    assert chosen == choose_documents(rows, 6, 9, seed=1) != choose_documents(rows, 6, 9, seed=2)


def test_too_few_documents_is_one_clear_error():
    rows = [{"domain": "a", "document": str(i), "tokens": [1] * (20 if i < 3 else 4)} for i in range(9)]
    with pytest.raises(
        InputError, match=r"enumerate\.documents: 4 asked, but domain 'a' has 3 test documents of at least 10 tokens \(of 9\)"
    ):
        choose_documents(rows, 4, 10, seed=1)
