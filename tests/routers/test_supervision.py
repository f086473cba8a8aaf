"""Losses of random routes are the tree's, the teacher's are means over its labels, and routes are drawn fairly."""

import numpy as np
import pyarrow as pa
import pytest
import torch
from models import TINY, brute_force, make, random_tokens

from duo.data.evaluation_set import EvaluationSet
from duo.errors import InputError
from duo.model.device import Device
from duo.oracle.branch import log_probabilities
from duo.routers import supervision
from duo.routes import RouteSpace
from duo.terms import BIG

SPACE = RouteSpace(TINY.layers)
TEACHER = make(scale=1.5)


def sample(documents: int, tokens: int = 6) -> EvaluationSet:
    ids = random_tokens(documents, tokens + 1).numpy()
    names = [f"d{row}" for row in range(documents)]
    return EvaluationSet(["text"] * documents, names, names, ids[:, :-1], ids[:, 1:])


def predict(tokens: np.ndarray) -> torch.Tensor:
    return log_probabilities(TEACHER, SPACE, tokens, SPACE.named("all_big"), Device())


@pytest.mark.parametrize("documents", [1, 3, 9])
def test_losses_are_those_of_every_route_alone(documents):
    """Whether or not the last part is full; of the labels, and on average over the teacher's."""
    duo, data = make(), sample(documents)
    routes = np.random.default_rng(0).integers(len(SPACE), size=(documents, 5))
    found = supervision.run(duo, SPACE, data, routes, predict, Device())
    everything = torch.arange(TINY.vocabulary)[:, None, None].expand(-1, *data.labels.shape)
    of_words = brute_force(duo, SPACE, torch.from_numpy(data.tokens), everything)
    of_labels = brute_force(duo, SPACE, torch.from_numpy(data.tokens), torch.from_numpy(data.labels)[None])[0]
    for row in range(documents):
        chances = predict(data.tokens[row]).exp().T[..., None]  # [vocabulary, length, 1]
        codes = torch.from_numpy(routes[row])
        torch.testing.assert_close(found.losses[row], of_labels[row][:, codes], rtol=1e-4, atol=1e-4)
        mean = (chances * of_words[:, row][..., codes]).sum(0)
        torch.testing.assert_close(found.expected[row], mean, rtol=1e-4, atol=1e-4)


def test_routes_are_uniform_of_their_budget_and_belong_to_their_document():
    space, data = RouteSpace(4), sample(200)
    routes = supervision.sample_routes(space, [1, 2], 30, data, seed=5)
    assert routes.shape == (200, 2, 30)
    for index, budget in enumerate((1, 2)):
        assert set(space.count(routes[:, index].ravel(), BIG)) == {budget}
        counts = np.unique_counts(routes[:, index]).counts
        assert len(counts) == len(space.with_budget(budget))
        expected = routes[:, index].size / len(counts)
        assert (abs(counts - expected) < 4 * np.sqrt(expected)).all()
    part = supervision.sample_routes(space, [1, 2], 30, data.take(np.array([7, 3])), seed=5)
    np.testing.assert_array_equal(part, routes[[7, 3]])


def held_out(documents: int, length: int, clusters: list[str] | None = None) -> pa.Table:
    """HELD_OUT of documents whose tokens are all different from each other."""
    ids = np.arange(1, documents * length + 1, dtype=np.uint16).reshape(documents, length)
    names = [f"d{row:03}" for row in range(documents)]
    columns = {"domain": ["text"] * documents, "document": names, "cluster": clusters or names}
    return pa.table(columns | {"tokens": list(ids)})


def test_text_is_rows_of_all_documents_of_which_a_smaller_number_is_the_beginning():
    whole = held_out(30, 20)
    judged = pa.table({"tokens": [list(range(5000, 5020))]})
    few, many = (supervision.choose_text(whole, 10, tokens, [judged], 0.2, seed=1) for tokens in (95, 400))
    assert few.tokens.shape == (10, 10) and many.tokens.shape == (40, 10)
    np.testing.assert_array_equal(few.labels, many.labels[:10])
    np.testing.assert_array_equal(many.tokens[:, 1:], many.labels[:, :-1])
    assert len(np.unique(many.tokens)) == 400 and len(set((many.tokens.ravel() - 1) // 20)) > 15


def test_text_repeats_nothing_that_is_judged():
    whole = held_out(4, 50)
    judged = pa.table({"tokens": [list(range(51, 101))]})  # the second document
    chosen = supervision.choose_text(whole, 10, 100, [judged], 0.0, seed=1)
    of_document = (chosen.tokens - 1) // 50
    assert ((of_document == 1).sum(1) < 8).all() and (of_document == 2).any()  # no run of eight of it
    with pytest.raises(InputError, match="domain 'text': 190 tokens are asked for, but its routing split gives"):
        supervision.choose_text(whole, 10, 190, [judged], 0.0, seed=1)


def test_packages_take_turns():
    """A package of one document and one of nine give as many rows, as long as there are any."""
    whole = held_out(10, 50, ["small"] + ["large"] * 9)
    judged = pa.table({"tokens": [list(range(5000, 5020))]})
    chosen = supervision.choose_text(whole, 10, 100, [judged], 0.2, seed=1)
    assert ((chosen.tokens < 51).all(1)).sum() == 4  # all that fill a row
    assert ((chosen.tokens[:8] < 51).all(1)).sum() == 4
