"""What the walk says of choosers, of the oracle and of matched words, against brute force over routes and words."""

import numpy as np
import pytest
import torch
from models import TINY, make, random_tokens

from duo.data.evaluation_set import EvaluationSet
from duo.errors import InputError
from duo.model.device import Device
from duo.oracle import choosers, null
from duo.oracle.branch import log_probabilities
from duo.oracle.tree import Enumerator
from duo.routes import RouteSpace
from duo.tables import oracle as tables
from duo.terms import BIG, MATCHED, PLACEBO, SAMPLED

DEVICE = Device()
SETTINGS = null.Sampling("all_big", samples=2, within=0.3)
SPACE = RouteSpace(TINY.layers)
FEW = RouteSpace(TINY.layers, ("skip", "big", "repeat"), departures=1)
BUDGETS = {SPACE: list(range(TINY.layers + 1)), FEW: [TINY.layers - 1, TINY.layers]}


def sample(documents: int = 5, tokens: int = 6, seed: int = 0) -> EvaluationSet:
    """Documents of two domains, every two of a cluster."""
    names, half = [f"d{index}" for index in range(documents)], documents // 2
    ids = random_tokens(documents, tokens + 1, seed=seed).numpy()
    clusters = [f"c{index // 2}" for index in range(documents)]
    return EvaluationSet(["text"] * half + ["code"] * (documents - half), names, clusters, ids[:, :-1], ids[:, 1:])


def made(space: RouteSpace = SPACE) -> tuple[Enumerator, choosers.Choosers]:
    duo, teacher = make(scale=1.0), make(seed=4, scale=1.0)
    own = choosers.by_route(duo, space, space.named("all_big"), DEVICE)
    predictions = choosers.members(own, {"teacher": teacher}, [], DEVICE)
    calibration = choosers.calibrate("duo", predictions, sample(8, seed=9))
    scope = "layer" if space == FEW else "ffn"
    return Enumerator(duo, space, DEVICE, 64, scope), choosers.Choosers(calibration, predictions)


@pytest.fixture(scope="module", params=[SPACE, FEW], ids=["all routes", "few departures"])
def found(request) -> tuple[EvaluationSet, Enumerator, choosers.Choosers, null.Tables]:
    enumerator, chooser = made(request.param)
    held_out, budgets = sample(), BUDGETS[request.param]
    return held_out, enumerator, chooser, null.run("duo", enumerator, held_out, chooser, SETTINGS, budgets, seed=1)


def test_labels_are_drawn_as_often_as_predicted():
    chances = np.array([0.5, 0.25, 0.2, 0.05, 0.0])
    with np.errstate(divide="ignore"):
        rows = np.log(np.tile(chances, (20_000, 1))) + 3  # of any scale
    sampled = null.sample_labels(rows, np.random.default_rng(0))
    np.testing.assert_allclose(np.bincount(sampled, minlength=5) / len(rows), chances, atol=0.01)


@pytest.mark.parametrize("height", [0.0, np.nextafter(1, 0)])
def test_every_draw_is_a_word_of_some_chance(height):
    class Always:
        def random(self, shape):
            return np.full(shape, height)

    with np.errstate(divide="ignore"):
        rows = np.log(np.array([[0.0, 0.3, 0.7, 0.0]]))
    assert null.sample_labels(rows, Always()).tolist() == [1 if height == 0 else 2]


def test_matched_words_make_bins_that_each_word_shares():
    rng = np.random.default_rng(0)
    log_q = torch.log_softmax(torch.from_numpy(rng.normal(size=(4, 30))), -1).numpy()
    for word in range(30):
        among = null.matched(log_q, np.full(4, word), 0.3)
        assert among[:, word].all()
        for row, column in zip(*np.nonzero(among), strict=True):
            assert abs(log_q[row, column] - log_q[row, word]) < 0.3
            same = null.matched(log_q[row : row + 1], np.array([column]), 0.3)[0]
            assert (same == among[row]).all()  # so its words are exchangeable


def test_labels_belong_to_their_document_and_matched_ones_to_their_bin():
    _, chooser = made()
    whole = sample()
    predicted = [*null.own_predictions(chooser, whole)]
    sets = null.label_sets(predicted, whole, 3, 0.3, 7)
    assert {labels: len(each) for labels, each in sets.items()} == {SAMPLED: 3, MATCHED: 1, PLACEBO: 1}
    order = np.array([3, 1])
    part = null.label_sets([predicted[row] for row in order], whole.take(order), 3, 0.3, 7)
    for labels in sets:
        np.testing.assert_array_equal(part[labels], sets[labels][:, order])
    for labels, truth in {MATCHED: whole.labels, PLACEBO: sets[SAMPLED][0]}.items():
        for row in range(5):
            among = null.matched(predicted[row].numpy(), truth[row], 0.3)
            assert among[np.arange(6), sets[labels][0, row]].all()
    assert (sets[MATCHED][0] != whole.labels).any()


def every_word(enumerator: Enumerator, document: np.ndarray) -> np.ndarray:
    """[routes, length, vocabulary] log-probabilities of every word under every route, one plain pass a route."""
    routes = [
        log_probabilities(enumerator.model, enumerator.space, document, int(route), DEVICE, enumerator.scope)
        for route in enumerator.space.codes
    ]
    return torch.stack(routes).double().numpy()


def test_every_number_is_that_of_brute_force(found):
    held_out, enumerator, chooser, written = found
    space = enumerator.space
    losses_by_route, selections, choices, predictions, matched, _ = (table.to_pylist() for table in written)
    at_reference = space.index(np.array(space.named("all_big")))
    for row in range(len(held_out.documents)):
        name, labels, length = held_out.documents[row], held_out.labels[row], 6
        words = every_word(enumerator, held_out.tokens[row])
        q = chooser.predict(held_out.tokens[row], held_out.domains[row]).double().exp().numpy()
        own = chooser.names.index("own")
        reference, tokens = words[at_reference], np.arange(length)
        mine = [each["losses"] for each in losses_by_route if each["document"] == name]
        np.testing.assert_allclose(mine, -words[:, tokens, labels].T, rtol=1e-4)
        for budget in BUDGETS[space]:
            codes = space.with_budget(budget)
            counts = space.count(codes, BIG)
            assert (counts == budget).all() if space == SPACE else (counts >= budget).all()
            of_budget = words[space.index(codes)]
            highest = of_budget.max(axis=0)
            for index, of in enumerate(chooser.names):
                expected = -(q[index] * of_budget).sum(-1)  # [routes, length]
                key = name, budget, of
                mine = [each for each in choices if (each["document"], each["budget"], each["chooser"]) == key]
                assert [each["route"] for each in mine] == codes[expected.argmin(axis=0)].tolist()
                np.testing.assert_allclose([each["expected"] for each in mine], expected.min(axis=0), rtol=1e-4)
                np.testing.assert_allclose([each["null"] for each in mine], -(q[index] * highest).sum(-1), rtol=1e-4)
                losses = -of_budget[expected.argmin(axis=0), tokens, labels]
                np.testing.assert_allclose([each["loss"] for each in mine], losses, rtol=1e-4)
            gain = highest - reference
            among = null.matched(np.log(q[own]), labels, SETTINGS.within)
            weights = np.where(among, q[own], 0)
            mine = [each for each in matched if (each["document"], each["budget"]) == (name, budget)]
            np.testing.assert_allclose([each["gain"] for each in mine], gain[tokens, labels], atol=1e-5)
            means = (weights * gain).sum(-1) / weights.sum(-1)
            np.testing.assert_allclose([each["matched_gain"] for each in mine], means, atol=1e-5)
            others = 1 - weights[tokens, labels] / weights.sum(-1)
            np.testing.assert_allclose([each["other_mass"] for each in mine], others, atol=1e-5)
            normaliser = np.log(np.exp(highest).sum(-1))
            np.testing.assert_allclose([each["log_normaliser"] for each in mine], normaliser, atol=1e-5)
            for each in (each for each in selections if (each["document"], each["budget"]) == (name, budget)):
                losses = -of_budget[:, each["position"], each["label"]]
                assert each["oracle_loss"] == pytest.approx(losses.min(), rel=1e-4)
                assert each["oracle_route"] == codes[losses.argmin()]
                assert each["mean_loss"] == pytest.approx(losses.mean(), rel=1e-4)
                assert each["reference_loss"] == pytest.approx(-reference[each["position"], each["label"]], rel=1e-4)
        for each in (each for each in predictions if each["document"] == name):
            chances = q[chooser.names.index(each["chooser"]), each["position"]]
            assert each["surprisal"] == pytest.approx(-np.log(chances[labels[each["position"]]]), rel=1e-4)
            assert each["entropy"] == pytest.approx(-(chances * np.log(chances)).sum(), rel=1e-4)


def test_cells_add_up_to_all_words_and_all_labels(found):
    held_out, enumerator, chooser, written = found
    cells, matched = written.cells.to_pandas(), written.matched.to_pandas()
    space, most = enumerator.space, BUDGETS[enumerator.space][1]
    for budget in BUDGETS[space]:
        here = cells[cells.budget == budget]
        assert here["count"].sum() == held_out.labels.size
        assert here.weight.sum() == pytest.approx(held_out.labels.size)  # chances of a context's words add up to 1
        assert here.gain.sum() == pytest.approx(matched[matched.budget == budget].gain.sum(), rel=1e-4)
    total = 0.0
    for tokens, domain in zip(held_out.tokens, held_out.domains, strict=True):
        words = every_word(enumerator, tokens)
        q = chooser.predict(tokens, domain)[chooser.names.index("own")].double().exp().numpy()
        among, reference = space.index(space.with_budget(most)), space.index(np.array(space.named("all_big")))
        total += (q * (words[among].max(axis=0) - words[reference])).sum()
    assert cells[cells.budget == most].null_gain.sum() == pytest.approx(total, rel=1e-3, abs=1e-5)
    assert set(cells.cluster) == set(held_out.clusters)


def test_labels_from_the_prediction_itself_give_nothing_beyond_luck():
    """Where labels do come as the chooser says, what remains above its routes is its luck, in expectation: here each
    word of the vocabulary plays the label once, and counts by its chance.
    """
    enumerator, chooser = made()
    one = sample(1, 4)
    words = every_word(enumerator, one.tokens[0])
    q = chooser.predict(one.tokens[0], one.domains[0])[0].double().exp().numpy()
    codes = SPACE.with_budget(2)
    chosen = codes[(-(q * words[codes]).sum(-1)).argmin(axis=0)]
    foreseen = -words[chosen, np.arange(4)]  # [length, vocabulary]
    oracle = -words[codes].max(axis=0)
    written = null.run("duo", enumerator, one, chooser, SETTINGS, [2], seed=1).choices.to_pandas()
    own = written[written.chooser == "own"]
    np.testing.assert_allclose((q * (foreseen - oracle)).sum(-1), (own.expected - own.null), atol=1e-4)


def test_tables_fit_their_schemas_and_shards_say_the_same(found, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    held_out, enumerator, chooser, written = found
    for name, rows in written._asdict().items():
        schema = tables.MATCHED_GAINS if name == "matched" else getattr(tables, name.upper())
        schema.write(rows, model="duo", shard=0)
    odd, budgets = held_out.take(slice(1, None, 2)), BUDGETS[enumerator.space]
    part = null.run("duo", enumerator, odd, chooser, SETTINGS, budgets, seed=1)
    names = held_out.documents[1::2]
    whole = [row for row in written.label_selections.to_pylist() if row["document"] in names]
    for mine, other in zip(part.label_selections.to_pylist(), whole, strict=True):
        assert mine.keys() == other.keys() and mine["label"] == other["label"]
        assert mine["oracle_loss"] == pytest.approx(other["oracle_loss"], rel=1e-4)


def test_a_loss_that_is_not_finite_is_named(found):
    held_out, _, chooser, _ = found
    broken = make(scale=1.0)
    broken.layers[0].ffns["big"].down.weight.data[:] = torch.nan
    with pytest.raises(InputError, match="model duo, domain text, document d0: a loss is not finite"):
        null.run("duo", Enumerator(broken, SPACE, DEVICE, 64), held_out, chooser, SETTINGS, BUDGETS[SPACE], seed=1)


def test_several_label_sets_give_what_each_gives_alone():
    enumerator, _ = made()
    held_out = sample()
    together = null.losses(enumerator, held_out, np.stack([held_out.labels, held_out.tokens]))
    alone = null.losses(enumerator, held_out, held_out.tokens[None])
    np.testing.assert_allclose(together[1], alone[0], rtol=1e-5)
