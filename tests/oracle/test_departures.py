"""A walk over few departures against brute force over every word; what is said where all is luck, and where not."""

import numpy as np
import pytest
import torch
from models import TINY, brute_force, make, random_tokens

from duo.errors import InputError
from duo.model.device import Device
from duo.oracle import departures
from duo.oracle.tree import Enumerator
from duo.routes import RouteSpace
from duo.studies.departures import by_departures


def walked(duo, space, documents=6):
    tokens, labels = random_tokens(documents, 9).numpy(), random_tokens(documents, 9, seed=1).numpy()
    return tokens, labels, departures.walk(Enumerator(duo, space, Device(), 640), tokens, labels)


@pytest.mark.parametrize("bound", [{"departures": 2}, {"blocks": 1, "departures": 5}])
@pytest.mark.parametrize("choices", [("skip", "big"), ("small", "big", "skip")])
def test_a_walk_is_brute_force_over_routes_and_words(choices, bound):
    duo = make()
    space = RouteSpace(TINY.layers, choices, **bound)
    tokens, labels, found = walked(duo, space)
    tokens, labels = torch.from_numpy(tokens), torch.from_numpy(labels)
    expected = brute_force(duo, space, tokens, labels[None])[0]
    np.testing.assert_allclose(found.losses, expected, atol=1e-4, rtol=1e-4)
    words = torch.arange(TINY.vocabulary)[:, None, None].expand(-1, *tokens.shape)
    every = brute_force(duo, space, tokens, words)  # [words, documents, length, routes]
    chances = (-every[..., int(space.index(np.array(space.named("all_big"))))]).exp()
    np.testing.assert_allclose(found.expected, (chances[..., None] * every).sum(0), atol=1e-3, rtol=1e-4)
    away = space.places - space.counts("big")
    for most, null in enumerate(found.null):
        best = every[..., np.flatnonzero(away <= most)].amin(-1)
        np.testing.assert_allclose(null, (chances * best).sum(0), atol=1e-3, rtol=1e-4)


def test_rows_are_means_over_tokens_and_gains_add_up():
    duo, space = make(), RouteSpace(TINY.layers, ("skip", "big"), departures=2)
    _, _, found = walked(duo, space)
    rows = by_departures(*found, space, 200, 0.9, seed=1)
    assert [(row.departures, row.routes) for row in rows] == [(1, 1 + TINY.layers), (2, len(space))]
    plain = found.losses[..., int(space.index(np.array(space.named("all_big"))))].mean()
    assert rows[-1].gain.value == pytest.approx(plain - found.losses.min(-1).mean(), rel=1e-5)
    for row in rows:
        assert row.unexplained.value == pytest.approx(row.gain.value - row.null_gain.value)
        assert row.gain.value >= max(row.foreseen.value, row.fixed.value) and row.null_gain.value >= 0
        assert row.gain.low < row.gain.value < row.gain.high
    assert rows[1].gain.value >= rows[0].gain.value


def made_up(lucky: bool, documents: int = 60, length: int = 40, words: int = 8) -> tuple[departures.Walked, RouteSpace]:
    """Routes whose predictions differ from the model's own by noise; labels come as the model predicts, or as one of
    the routes does.
    """
    rng, space = np.random.default_rng(0), RouteSpace(3, ("skip", "big"), departures=1)
    scores = rng.normal(0, 1, (documents, length, 1, words)) + rng.normal(0, 0.4, (documents, length, 4, words))
    predicted = scores - np.logaddexp.reduce(scores, axis=-1, keepdims=True)
    own = predicted[:, :, -1]  # all big has the highest code
    truth = own if lucky else predicted[:, :, 0]
    labels = (np.exp(truth).cumsum(-1) > rng.random((documents, length, 1))).argmax(-1)
    losses = -np.take_along_axis(predicted, labels[..., None, None], axis=-1)[..., 0]
    expected = -(np.exp(own)[:, :, None] * predicted).sum(-1)
    null = [-(np.exp(own) * best).sum(-1) for best in (own, predicted.max(axis=2))]
    return departures.Walked(losses, expected, np.stack(null)), space


def test_where_labels_come_as_the_model_says_all_is_luck():
    found, space = made_up(lucky=True)
    (row,) = by_departures(*found, space, 500, 0.95, seed=1)
    assert row.gain.low > 0.1 and row.null_gain.low > 0.1, "the oracle gains by luck"
    assert row.unexplained.low < 0 < row.unexplained.high
    assert [*row.foreseen[:3]] == pytest.approx([0, 0, 0], abs=1e-9), "nothing is better than all big in expectation"


def test_where_a_route_knows_more_something_is_left_to_explain():
    found, space = made_up(lucky=False)
    (row,) = by_departures(*found, space, 500, 0.95, seed=1)
    assert row.unexplained.low > 0 and row.fixed.low > 0


def test_one_route_is_nothing_to_choose_from():
    for bound in ({"departures": 0}, {}):
        with pytest.raises(InputError, match="should be 1 or more, or there is nothing to choose"):
            walked(make(), RouteSpace(TINY.layers, ("skip", "big"), **bound))
