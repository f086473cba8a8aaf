"""A walk over few departures against brute force over every word; what is said where all is luck, and where not."""

import numpy as np
import pytest
import torch
from models import TINY, brute_force, make, random_tokens

from duo.errors import InputError
from duo.model.device import Device
from duo.oracle import choosers, departures
from duo.oracle.tree import Enumerator
from duo.oracle.walked import Walked
from duo.routes import RouteSpace
from duo.studies.departures import _refit, by_departures, by_sampled

NEAR = {"atol": 1e-3, "rtol": 1e-4}


def walked(duo, space, documents=6):
    tokens, labels = random_tokens(documents, 9).numpy(), random_tokens(documents, 9, seed=1).numpy()
    return tokens, labels, departures.walk(Enumerator(duo, space, Device(), 640), tokens, labels, seed=1)


@pytest.mark.parametrize("bound", [{"departures": 2}, {"blocks": 1, "departures": 5}])
@pytest.mark.parametrize("choices", [("skip", "big"), ("small", "big", "skip")])
def test_a_walk_is_brute_force_over_routes_and_words(choices, bound):
    duo = make()
    space = RouteSpace(TINY.layers, choices, **bound)
    tokens, labels, found = walked(duo, space)
    tokens, labels = torch.from_numpy(tokens), torch.from_numpy(labels)
    wanted = torch.stack([labels, torch.from_numpy(found.sampled_labels)])
    np.testing.assert_allclose([found.losses, found.sampled], brute_force(duo, space, tokens, wanted), **NEAR)
    words = torch.arange(TINY.vocabulary)[:, None, None].expand(-1, *tokens.shape)
    every = brute_force(duo, space, tokens, words).double()  # [words, documents, length, routes]
    plain = -every[..., int(space.index(np.array(space.named("all_big"))))]
    tempered = (plain / torch.from_numpy(found.temperatures)[:, None]).log_softmax(0)
    np.testing.assert_allclose(found.expected, (tempered.exp()[..., None] * every).sum(0), **NEAR)
    np.testing.assert_allclose(found.surprisal, -tempered.gather(0, labels[None])[0], **NEAR)
    np.testing.assert_allclose(found.entropy, -(tempered.exp() * tempered).sum(0), **NEAR)
    np.testing.assert_allclose(found.plain_entropy, -(plain.exp() * plain).sum(0), **NEAR)
    away = space.places - space.counts("big")
    for most in range(away.max() + 1):
        gain = -plain - every[..., np.flatnonzero(away <= most)].amin(-1)
        np.testing.assert_allclose(found.null_gain[most], (tempered.exp() * gain).sum(0), **NEAR)
        np.testing.assert_allclose(found.plain_null_gain[most], (plain.exp() * gain).sum(0), **NEAR)
        sharper = (plain * (1 / torch.from_numpy(found.temperatures)[:, None] + 1e-3)).log_softmax(0)
        changed = ((sharper.exp() - tempered.exp()) * gain).sum(0) / 1e-3
        np.testing.assert_allclose(found.null_slopes[most], changed, atol=1e-2, rtol=1e-2)
    assert abs(found.temperatures[0] - 1) > 0.2, "or the tempered prediction was not told from the plain one"


def known(scores: torch.Tensor):
    """A prediction that depends on the last token alone."""
    return lambda tokens: scores.log_softmax(-1)[torch.from_numpy(tokens)]


def drawn(scores: torch.Tensor, tokens: np.ndarray, sharpness: float) -> np.ndarray:
    chances = (scores * sharpness).softmax(-1)[torch.from_numpy(tokens).ravel()]
    return torch.multinomial(chances, 1, generator=torch.Generator().manual_seed(5)).view(tokens.shape).numpy()


@pytest.mark.parametrize("sharpness", [(0.5, 1.0), (1.6, 0.8), (0.3, 6.0)])
def test_each_half_has_the_temperature_that_fits_the_other(sharpness):
    scores = torch.randn(12, 12, generator=torch.Generator().manual_seed(2)) * 1.5
    tokens = np.random.default_rng(0).integers(12, size=(7, 900))
    labels = tokens.copy()
    for half in (0, 1):
        labels[half::2] = drawn(scores, tokens[half::2], sharpness[half])
    found, *_ = departures.cross_fitted(known(scores), tokens, labels)
    for half in (0, 1):
        others = slice(1 - half, None, 2)
        (exact,) = choosers.fit(known(scores)(tokens[others].ravel())[None], labels[others].ravel())
        np.testing.assert_allclose(found[half::2], exact, rtol=1e-3)
        assert exact == pytest.approx(sharpness[1 - half], rel=0.1)


def test_drawn_documents_have_temperatures_of_their_own():
    scores = torch.randn(12, 12, generator=torch.Generator().manual_seed(2))
    tokens = np.random.default_rng(0).integers(12, size=(12, 100))
    labels = drawn(scores, tokens, 1.3)
    sharpness, *derivatives = departures.cross_fitted(known(scores), tokens, labels)
    assert np.abs(derivatives[0].reshape(-1, 2).sum(axis=0)).max() < 1e-3
    weights = np.random.default_rng(1).multinomial(12, np.full(12, 1 / 12), 50).astype(float)
    steps = _refit(np.concatenate([np.ones((1, 12)), weights]), *derivatives)
    assert np.abs(steps[0]).max() < 1e-5
    exact = np.empty((50, 2))
    for row, times in enumerate(weights.astype(int)):
        for half in (0, 1):
            drawn_again = np.repeat(np.arange(12), times)
            others = drawn_again[drawn_again % 2 != half]
            (exact[row, half],) = choosers.fit(known(scores)(tokens[others].ravel())[None], labels[others].ravel())
    found = (sharpness + steps[1:])[:, :2]
    np.testing.assert_allclose(found, exact, atol=0.03)
    assert all(np.corrcoef(found[:, half], exact[:, half])[0, 1] > 0.98 for half in (0, 1))
    assert (_refit(np.eye(12), *derivatives)[0, ::2] == 0).all(), "where none is drawn of the other half"


def test_a_document_has_no_say_in_its_own_temperature():
    scores = torch.randn(12, 12, generator=torch.Generator().manual_seed(2))
    tokens = np.random.default_rng(0).integers(12, size=(4, 50))
    labels = drawn(scores, tokens, 1.0)
    before = departures.cross_fitted(known(scores), tokens, labels)[0]
    labels[2] = labels[2][::-1]
    after = departures.cross_fitted(known(scores), tokens, labels)[0]
    assert (before[::2] == after[::2]).all() and (before[1::2] != after[1::2]).all()


@pytest.mark.parametrize("likeliest", [True, False])
def test_a_temperature_that_has_no_best_stays_finite(likeliest):
    scores = torch.randn(12, 12, generator=torch.Generator().manual_seed(2))
    tokens = np.random.default_rng(0).integers(12, size=(2, 50))
    labels = (scores if likeliest else -scores).argmax(-1).numpy()[tokens]
    expected = departures.SHARPEST if likeliest else departures.FLATTEST
    np.testing.assert_allclose(departures.cross_fitted(known(scores), tokens, labels)[0], expected)


def test_rows_are_means_over_tokens_and_gains_add_up():
    duo, space = make(), RouteSpace(TINY.layers, ("skip", "big"), departures=2)
    _, _, found = walked(duo, space)
    rows, calibration = by_departures(found, space, 200, 0.9, seed=1)
    assert [(row.departures, row.routes) for row in rows] == [(1, 1 + TINY.layers), (2, len(space))]
    plain = found.losses[..., int(space.index(np.array(space.named("all_big"))))].mean()
    assert calibration.plain_cross_entropy.value == pytest.approx(plain, rel=1e-5)
    assert rows[-1].gain.value == pytest.approx(plain - found.losses.min(-1).mean(), rel=1e-5)
    chosen = np.take_along_axis(found.losses, found.expected.argmin(-1)[..., None], -1)
    assert rows[-1].foreseen.value == pytest.approx(plain - chosen.mean(), rel=1e-4)
    for row in rows:
        assert row.unexplained.value == pytest.approx(row.gain.value - row.null_gain.value)
        assert row.plain_unexplained.value == pytest.approx(row.gain.value - row.plain_null_gain.value)
        assert row.share.value == pytest.approx(row.null_gain.value / row.gain.value)
        assert row.gain.value >= max(row.foreseen.value, row.fixed.value) and row.null_gain.value >= 0
        assert row.gain.low < row.gain.value < row.gain.high
    assert rows[1].gain.value >= rows[0].gain.value


def made_up(lucky: bool, sure: float = 1.0, documents: int = 60, seed: int = 0, fitted: bool = False):
    """Routes whose predictions differ from the model's own by noise; labels come as the model predicts, or as one of
    the routes does. sure: what all predictions are multiplied by afterwards; the temperature is known, or fitted.
    """
    rng, space = np.random.default_rng(seed), RouteSpace(3, ("skip", "big"), departures=1)
    length, words = 40, 8

    def normed(scores):
        return scores - np.logaddexp.reduce(scores, axis=-1, keepdims=True)

    scores = rng.normal(0, 1, (documents, length, 1, words)) + rng.normal(0, 0.4, (documents, length, 4, words))
    truth = normed(scores)[:, :, -1 if lucky else 0]  # all big has the highest code
    predicted = normed(scores * sure)
    own = predicted[:, :, -1]

    def of(labels):
        return -np.take_along_axis(predicted, labels[..., None, None], axis=-1)[..., 0]

    def draw(log_chances):
        return (np.exp(log_chances).cumsum(-1) > rng.random((documents, length, 1))).argmax(-1)

    def mean(log_chances, values):
        return (np.exp(log_chances) * values).sum(-1)

    labels = draw(truth)
    sharpness, *derivatives = np.full(documents, 1 / sure), np.zeros(documents), np.zeros(documents)
    if fitted:
        ids = np.repeat(np.arange(documents)[:, None], length, axis=1)
        sharpness, *derivatives = departures.cross_fitted(lambda ids: torch.from_numpy(own[ids[0]]), ids, labels)
    tempered = normed(own * sharpness[:, None, None])
    sampled = draw(tempered)
    gains = [np.zeros_like(own), predicted.max(axis=2) - own]
    found = Walked(
        of(labels),
        of(sampled),
        sampled,
        -(np.exp(tempered)[:, :, None] * predicted).sum(-1),
        np.stack([mean(tempered, gain) for gain in gains]),
        np.stack([mean(own, gain) for gain in gains]),
        -np.take_along_axis(tempered, labels[..., None], axis=-1)[..., 0],
        -mean(tempered, tempered),
        -mean(own, own),
        1 / sharpness,
        *derivatives,
        np.stack([mean(tempered, gain * own) - mean(tempered, gain) * mean(tempered, own) for gain in gains]),
    )
    return found, space


def test_where_labels_come_as_the_model_says_all_is_luck():
    found, space = made_up(lucky=True)
    ((row,), calibration) = by_departures(found, space, 500, 0.95, seed=1)
    assert row.gain.low > 0.1 and row.null_gain.low > 0.1, "the oracle gains by luck"
    assert row.unexplained.low < 0 < row.unexplained.high and row.share.low < 1 < row.share.high
    assert [*row.foreseen[:3]] == pytest.approx([0, 0, 0], abs=1e-9), "nothing is better than all big in expectation"
    assert calibration.cross_entropy.low < calibration.entropy.value < calibration.cross_entropy.high


def test_a_model_too_sure_of_itself_makes_luck_look_real_unless_its_temperature_is_known():
    found, space = made_up(lucky=True, sure=1.6)
    ((row,), calibration) = by_departures(found, space, 500, 0.95, seed=1)
    assert row.plain_unexplained.low > 0, "more than luck, by the prediction as it is"
    assert row.unexplained.low < 0 < row.unexplained.high
    assert calibration.plain_cross_entropy.low > calibration.plain_entropy.high
    assert calibration.temperatures == pytest.approx((1.6, 1.6))


def test_intervals_cover_luck_as_often_as_they_say_though_the_temperature_is_fitted():
    covered = []
    for seed in range(100):
        found, space = made_up(lucky=True, sure=1.6, documents=6, seed=seed, fitted=True)
        ((row,), _) = by_departures(found, space, 200, 0.9, seed=1)
        covered.append(row.unexplained.low < 0 < row.unexplained.high)
    assert 0.82 < np.mean(covered) < 0.98


def test_where_a_route_knows_more_something_is_left_to_explain():
    found, space = made_up(lucky=False)
    ((row,), _) = by_departures(found, space, 500, 0.95, seed=1)
    assert row.unexplained.low > 0 and row.fixed.low > 0


@pytest.mark.parametrize("lucky", [True, False])
def test_sampled_labels_say_what_the_exact_null_says(lucky):
    found, space = made_up(lucky)
    away, document = space.places - space.counts("big"), np.repeat(np.arange(60), 40)
    ((row,), _) = by_departures(found, space, 500, 0.95, seed=1)
    flat = [each.reshape(len(document), -1) for each in (found.losses, found.sampled)]
    (sampled,) = by_sampled(*flat, document, document, away, 500, 0.95, seed=1)
    assert sampled.gain == row.gain and sampled.fixed == row.fixed and sampled.routes == row.routes
    assert sampled.null_gain.low < row.null_gain.value < sampled.null_gain.high
    assert (sampled.unexplained.low < 0 < sampled.unexplained.high) == lucky


def test_sampled_labels_by_hand():
    """Two documents, of 2 and 1 tokens; three routes, the second of which is the reference; two draws a token."""
    losses = np.array([[1.0, 2.0, 0.5], [3.0, 1.0, 2.0], [1.0, 4.0, 5.0]])
    drawn = np.array([[1, 2, 3], [2, 2, 2], [0, 1, 3], [4, 1, 0.5], [3, 2, 1], [2, 2, 2.0]])
    document, of_draws = np.array([0, 0, 1]), np.array([0, 0, 0, 0, 1, 1])
    one, two = by_sampled(losses, drawn, document, of_draws, np.array([1, 0, 2]), 50, 0.9, seed=1)
    assert (one.departures, one.routes, two.departures, two.routes) == (1, 2, 2, 3)
    assert one.gain.value == pytest.approx((1 + 0 + 3) / 3) and two.gain.value == pytest.approx((1.5 + 0 + 3) / 3)
    assert one.null_gain.value == pytest.approx(((1 + 0 + 1 + 0) / 2 + 0) / 3)
    assert two.null_gain.value == pytest.approx(((1 + 0 + 1 + 0.5) / 2 + 1 / 2) / 3)
    assert two.unexplained.value == pytest.approx(1.5 - 1.75 / 3) and two.share.value == pytest.approx(1.75 / 3 / 1.5)
    # The first document is best off on route 0 by the second, which the second is by the first as it is.
    assert one.fixed.value == pytest.approx((3.0 - 4.0 + 0) / 3)


def test_one_route_is_nothing_to_choose_from():
    for bound in ({"departures": 0}, {}):
        with pytest.raises(InputError, match="should be 1 or more, or there is nothing to choose"):
            walked(make(), RouteSpace(TINY.layers, ("skip", "big"), **bound))
