"""Sampled labels follow the predictions they are sampled from, and selections take what they say, on a tiny model and
made-up scores.
"""

import numpy as np
import pytest
import torch
from models import TINY, make, random_tokens

from duo.data.evaluation_set import EvaluationSet
from duo.errors import InputError
from duo.model.device import Device
from duo.oracle import null
from duo.oracle.branch import log_probabilities
from duo.oracle.tree import Enumerator
from duo.routes import RouteSpace
from duo.settings import SampledLabels
from duo.tables.files import matrix
from duo.tables.oracle import SAMPLED_LABELS

DEVICE = Device()
SETTINGS = SampledLabels(
    reference="all_big", temperature=1.0, samples=3, within=0.1, teachers=["teacher"], others=False
)
SPACE = RouteSpace(TINY.layers)
ALL_BIG = SPACE.named("all_big")
BUDGETS = range(TINY.layers + 1)
SOURCE = 5


def sample(documents: int = 5, tokens: int = 6) -> EvaluationSet:
    """Documents of two domains."""
    names, half = [f"d{index}" for index in range(documents)], documents // 2
    ids = random_tokens(documents, tokens + 1).numpy()
    return EvaluationSet(["text"] * half + ["code"] * (documents - half), names, names, ids[:, :-1], ids[:, 1:])


def test_labels_are_drawn_as_often_as_predicted():
    chances = np.array([0.5, 0.25, 0.2, 0.05, 0.0])
    with np.errstate(divide="ignore"):
        rows = torch.from_numpy(np.log(np.tile(chances, (20_000, 1))))
    for temperature, expected in ((1.0, chances), (0.5, chances**2 / (chances**2).sum())):
        sampled = null.sample_labels(rows, temperature, np.random.default_rng(0))
        np.testing.assert_allclose(np.bincount(sampled, minlength=5) / len(rows), expected, atol=0.01)


@pytest.mark.parametrize("height", [0.0, np.nextafter(1, 0)])
def test_every_draw_is_a_word_of_some_chance(height):
    class Always:
        def random(self, shape):
            return np.full(shape, height)

    rows = torch.log(torch.tensor([[0.0, 0.3, 0.7, 0.0]]))
    assert null.sample_labels(rows, 1.0, Always()).tolist() == [1 if height == 0 else 2]


def test_labels_belong_to_their_document():
    """Neither the other documents, nor their order, nor how many labels are sampled changes a label."""
    duo, whole = make(scale=1.0), sample()
    sampled = null.null_labels(duo, SPACE, whole, ALL_BIG, 1.0, 3, 7, DEVICE)
    part = null.null_labels(duo, SPACE, whole.take(np.array([3, 1])), ALL_BIG, 1.0, 2, 7, DEVICE)
    np.testing.assert_array_equal(part, sampled[:2, [3, 1]])
    assert (sampled[0] != sampled[1]).any() and (
        sampled != null.null_labels(duo, SPACE, whole, 0, 1.0, 3, 7, DEVICE)
    ).any()


def test_labels_come_from_the_route_asked_for():
    """At a low temperature the likeliest word is sampled, whatever route it is of."""
    duo, whole = make(scale=1.0), sample()
    for route, big in enumerate(SPACE.digits == 1):
        likeliest = duo(torch.from_numpy(whole.tokens), torch.from_numpy(big)).argmax(dim=-1)
        sampled = null.null_labels(duo, SPACE, whole, route, 1e-4, 1, 1, DEVICE)
        np.testing.assert_array_equal(sampled[0], likeliest.numpy())


def test_matched_labels_are_drawn_among_words_of_like_surprisal():
    """Two words are as likely as the label 0, one is a little less so, and two far more and far less."""
    chances = np.array([0.1, 0.1, 0.095, 0.1, 0.6, 0.005])
    rows = torch.from_numpy(np.log(np.tile(chances, (30_000, 1))))
    labels = np.zeros(len(rows), np.int64)
    rng = np.random.default_rng(0)
    for within, allowed in ((1e-6, [0, 1, 3]), (0.1, [0, 1, 2, 3])):
        drawn = null.matched_labels(rows, 1.0, labels, within, rng)
        expected = np.where(np.isin(np.arange(6), allowed), chances, 0)
        np.testing.assert_allclose(np.bincount(drawn, minlength=6) / len(rows), expected / expected.sum(), atol=0.01)
    assert (null.matched_labels(rows, 1.0, labels + 5, 0.1, rng) == 5).all(), "nothing else is as unlikely"
    flat = null.matched_labels(rows, 1e9, labels, 0.1, rng)  # at such a temperature all words are alike
    np.testing.assert_allclose(np.bincount(flat, minlength=6) / len(rows), 1 / 6, atol=0.01)


def test_label_sets_are_matched_to_the_true_labels_and_to_the_first_sample():
    duo, whole = make(scale=1.0), sample()
    sets = null.label_sets(duo, SPACE, whole, ALL_BIG, 1.0, 2, 0.3, 7, DEVICE)
    assert {name: labels.shape for name, labels in sets.items()} == {
        "sampled": (2, *whole.labels.shape),
        "matched": (1, *whole.labels.shape),
        "placebo": (1, *whole.labels.shape),
    }
    np.testing.assert_array_equal(sets["sampled"], null.null_labels(duo, SPACE, whole, ALL_BIG, 1.0, 2, 7, DEVICE))
    for row, tokens in enumerate(whole.tokens):
        surprisal = -log_probabilities(duo, SPACE, tokens, ALL_BIG, DEVICE).numpy()
        places = np.arange(len(tokens))
        for name, truth in (("matched", whole.labels[row]), ("placebo", sets["sampled"][0, row])):
            assert (abs(surprisal[places, sets[name][0, row]] - surprisal[places, truth]) <= 0.3 + 1e-5).all()
    assert (sets["matched"][0] != whole.labels).any() and (sets["placebo"][0] != sets["sampled"][0]).any()
    part = null.label_sets(duo, SPACE, whole.take(np.array([3, 1])), ALL_BIG, 1.0, 1, 0.3, 7, DEVICE)
    for name in ("matched", "placebo"):
        np.testing.assert_array_equal(part[name], sets[name][:, [3, 1]])


def test_several_teachers_predict_the_mean_of_their_probabilities():
    models, tokens = [make(), make(scale=1.0)], sample().tokens[0]
    each = [log_probabilities(model, SPACE, tokens, ALL_BIG, DEVICE).exp() for model in models]
    torch.testing.assert_close(null.mean_prediction(models, tokens, DEVICE).exp(), (each[0] + each[1]) / 2)


def scores(teachers: int = 2) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    losses, expected = (
        rng.random((count, 6, len(SPACE))).astype(np.float32) for count in (1 + SETTINGS.samples, teachers + 1)
    )
    return losses, expected, rng.random((6, len(BUDGETS))).astype(np.float32)


def test_selection_takes_the_lowest_of_each_budget(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    document, (losses, expected, normaliser) = sample().take(slice(0, 1)), scores()
    table = null.select("duo", document, losses, expected, normaliser, SPACE, SOURCE, BUDGETS, seed=1)
    SAMPLED_LABELS.write(table, model="duo", shard=0)
    for row in SAMPLED_LABELS.read(model="duo", shard=0).to_pylist():
        budget, token = row["budget"], row["position"]
        routes = SPACE.with_budget(budget)
        best = losses[:, token, routes].argmin(axis=1)
        assert [row["oracle_route"], *row["null_route"]] == routes[best].tolist()
        assert [row["oracle_loss"], *row["null_loss"]] == [
            losses[index, token, routes[each]] for index, each in enumerate(best)
        ]
        *chosen, foreseen = routes[expected[:, token, routes].argmin(axis=1)]
        assert (
            row["label_free_route"] == foreseen and row["null_label_free_loss"] == losses[1:, token, foreseen].tolist()
        )
        assert row["ceiling_route"] == chosen and row["ceiling_loss"] == losses[0, token, chosen].tolist()
        assert row["log_normaliser"] == normaliser[token, budget]
        assert [row["reference_loss"], *row["null_reference_loss"]] == losses[:, token, SOURCE].tolist()
    assert len(table) == 6 * len(BUDGETS)


def test_a_loss_that_is_not_finite_is_one_error():
    losses, expected, normaliser = scores()
    losses[1, 2, 3] = np.nan
    with pytest.raises(InputError, match="model duo, domain text, document d0: a loss is not finite"):
        null.select("duo", sample().take(slice(0, 1)), losses, expected, normaliser, SPACE, SOURCE, BUDGETS, seed=1)


def test_one_pass_gives_what_each_part_alone_does():
    """On a tiny model: losses of true and sampled labels from the plain pass, expected losses and normaliser by brute
    force.
    """
    duo, teacher, held_out = make(scale=1.0), make(scale=1.5), sample()
    enumerator = Enumerator(duo, SPACE, DEVICE, 64)
    table = null.run("duo", enumerator, held_out, [[teacher]], SETTINGS, BUDGETS, seed=1)
    assert table["document"].to_pylist()[:: len(BUDGETS) * 6] == held_out.documents

    sampled = null.null_labels(duo, SPACE, held_out, ALL_BIG, 1.0, SETTINGS.samples, 1, DEVICE)
    plain = null.losses(enumerator, held_out, np.concatenate([held_out.labels[None], sampled]))
    tokens = torch.from_numpy(held_out.tokens)
    predicted = torch.stack(
        [duo(tokens, torch.from_numpy(digits == 1)).log_softmax(-1) for digits in SPACE.digits], dim=2
    )
    everything = torch.ones(TINY.layers, dtype=torch.bool)
    expected, own = (
        -(judge(tokens, everything).softmax(-1)[:, :, None] * predicted).sum(-1) for judge in (teacher, duo)
    )
    for budget in BUDGETS:
        routes = SPACE.with_budget(budget)
        rows = table.filter(np.array(table["budget"]) == budget)
        best = plain[..., routes].min(axis=-1).reshape(1 + SETTINGS.samples, -1)
        np.testing.assert_allclose(rows["oracle_loss"], best[0], rtol=1e-4)
        np.testing.assert_allclose(matrix(rows["null_loss"]).T, best[1:], rtol=1e-4)
        normaliser = predicted[:, :, routes].amax(dim=2).logsumexp(-1)
        np.testing.assert_allclose(rows["log_normaliser"], normaliser.ravel(), rtol=1e-4, atol=1e-5)
        ceiling = np.take_along_axis(expected.flatten(0, 1).numpy(), matrix(rows["ceiling_route"]), axis=1)
        np.testing.assert_allclose(ceiling[:, 0], expected[..., routes].amin(-1).ravel(), rtol=1e-5)
        foreseen = np.take_along_axis(
            own.flatten(0, 1).detach().numpy(), rows["label_free_route"].to_numpy()[:, None], axis=1
        )
        np.testing.assert_allclose(foreseen[:, 0], own[..., routes].amin(-1).detach().ravel(), rtol=1e-5)


def test_losses_of_several_labels_are_those_of_each():
    held_out = sample()
    enumerator = Enumerator(make(), SPACE, DEVICE, 64, budget=1)
    together = null.losses(enumerator, held_out, np.stack([held_out.labels, held_out.tokens]))
    for labels, losses in zip((held_out.labels, held_out.tokens), together, strict=True):
        alone = enumerator.documents(torch.from_numpy(held_out.tokens), torch.from_numpy(labels))
        np.testing.assert_allclose(losses, alone, rtol=1e-5)
