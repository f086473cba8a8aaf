"""The gain taken apart, on losses where what can be foreseen is planted: by definition, by known truth, by placebo."""

from functools import cache

import numpy as np
import pyarrow as pa
import pytest
from made_up import tabled

from duo.data.evaluation_set import EvaluationSet
from duo.oracle import select
from duo.oracle.null import ENTROPY_EDGES, SURPRISAL_EDGES, Tables, WalkedDocument
from duo.routes import RouteSpace
from duo.stats import Intervals
from duo.studies import gain as study_of_gain
from duo.studies import gain_statistics as gain
from duo.studies import joint, oracle_curves
from duo.tables.files import fixed_lists
from duo.tables.studies import GAIN_CURVES, GAIN_HEAT_MAPS, GAIN_LAYERS, GAIN_STATISTICS
from duo.terms import EXCESS, FIXED, ISOLATED, MATCHED, OWN, PLACEBO, SAMPLED, STACK, TRUE

LAYERS, VOCABULARY, TOKENS, DOCUMENTS = 4, 12, 8, 200
SPACE = RouteSpace(LAYERS)
ALL_BIG = SPACE.named("all_big")
BUDGETS = list(range(LAYERS + 1))
SETS = [(SAMPLED, 0), (SAMPLED, 1), (MATCHED, 0), (PLACEBO, 0)]


def log_softmax(values: np.ndarray) -> np.ndarray:
    return values - np.log(np.exp(values).sum(-1, keepdims=True))


def draw(log_q: np.ndarray, rng: np.random.Generator, among: np.ndarray | None = None) -> np.ndarray:
    chances = np.exp(log_q) if among is None else np.exp(log_q) * among
    cumulative = (chances / chances.sum(-1, keepdims=True)).cumsum(-1)
    return (cumulative < rng.random((*chances.shape[:-1], 1))).sum(-1)


@cache
def made_up(knows: float) -> tuple[study_of_gain.Gain, Intervals, dict[str, np.ndarray]]:
    """One domain whose labels come from a mix of the model's own prediction (all layers big) and what routes say.

    Every route predicts as the own does, with noise of its own. A teacher predicts the truth. knows: 0, and labels come
    from the own prediction itself, so all that an oracle gains is luck; 1, and they come from the prediction of one
    route of two big layers, another at every token, so that a teacher foresees which.
    """
    rng = np.random.default_rng(5)
    own = log_softmax(rng.normal(size=(DOCUMENTS, TOKENS, VOCABULARY)) * 1.5)
    noise = rng.normal(size=(len(SPACE), DOCUMENTS, TOKENS, VOCABULARY)) * 0.6
    noise[ALL_BIG] = 0
    routes = log_softmax(own + noise)
    better = rng.choice(SPACE.with_budget(2), size=(DOCUMENTS, TOKENS))
    informed = np.take_along_axis(routes, better[None, ..., None], 0)[0]
    truth = np.log((1 - knows) * np.exp(own) + knows * np.exp(informed))
    labels = [draw(truth, rng), draw(own, rng), draw(own, rng)]
    for index in (0, 1):  # matched to the true label, and to the first sampled one
        bins = np.floor(-own / 0.3)
        among = bins == np.take_along_axis(bins, labels[index][..., None], -1)
        labels.append(draw(own, rng, among))
    predicted = np.stack([own, truth])
    names, parts = [OWN, "teacher"], []
    names_of, clusters = (
        [f"{kind}{row // size:03}" for row in range(DOCUMENTS)] for kind, size in (("d", 1), ("c", 2))
    )
    for row in range(DOCUMENTS):
        document = WalkedDocument(
            EvaluationSet(["text"], [names_of[row]], [clusters[row]], *(each[row : row + 1] for each in labels[1::-1])),
            SPACE.codes,
            SETS,
            np.stack([each[row] for each in labels]),
            np.stack([-np.take_along_axis(routes[:, row], each[row][None, :, None], -1)[..., 0].T for each in labels]),
            np.stack([-(np.exp(q[row]) * routes[:, row]).sum(-1).T for q in predicted]),
            predicted[:, row],
            np.stack([routes[SPACE.with_budget(k), row].max(0) for k in BUDGETS]),
            own[row],
        )
        parts.append(document.tables("duo", names, SPACE, ALL_BIG, 0.3, BUDGETS, seed=1))
    tables = Tables(*map(pa.concat_tables, zip(*parts, strict=True)))
    of_true = -np.take_along_axis(routes, labels[0][None, ..., None], -1)[..., 0]
    losses = pa.table(
        {
            "domain": ["text"] * DOCUMENTS * TOKENS,
            "document": np.repeat(names_of, TOKENS),
            "cluster": np.repeat(clusters, TOKENS),
            "position": pa.array(np.tile(np.arange(TOKENS), DOCUMENTS), pa.int32()),
            "losses": fixed_lists(of_true.reshape(len(SPACE), -1).T.astype(np.float32)),
        }
    )
    selected = {k: select.apply("duo", losses, SPACE, k, 3, seed=1) for k in BUDGETS}
    (curves,) = oracle_curves.gather(selected, SPACE)
    study = study_of_gain.gather(
        curves,
        "all_big",
        tables.choices,
        tables.predictions,
        tables.matched,
        tables.cells,
        tables.label_selections,
        {k: each.selections for k, each in selected.items()},
    )
    arrays = {"routes": routes, "own": own, "truth": truth, "labels": np.stack(labels)}
    return study, study.intervals(400, 0.95, seed=1), arrays


def value(found: Intervals, statistic) -> float:
    return found[statistic].value


@pytest.mark.parametrize("knows", [0.0, 1.0])
@pytest.mark.parametrize("chooser", [OWN, "teacher"])
def test_every_part_is_that_of_its_definition(knows, chooser):
    _, found, made = made_up(knows)
    rows, labels = np.arange(DOCUMENTS)[:, None], made["labels"][0]
    q = np.exp(made["own" if chooser == OWN else "truth"])
    for budget in (1, 2, 3):
        routes = made["routes"][SPACE.with_budget(budget)]
        losses = -np.take_along_axis(routes, labels[None, ..., None], -1)[..., 0]
        reference = -made["routes"][ALL_BIG][rows, np.arange(TOKENS), labels]
        expected = -(q * routes).sum(-1)
        foreseen = np.take_along_axis(losses, expected.argmin(0)[None], 0)[0]
        luck = (expected.min(0) + (q * routes.max(0)).sum(-1)).mean()
        oracle = losses.min(0)
        assert value(found, gain.gain("all_big", budget)) == pytest.approx((reference - oracle).mean(), abs=1e-5)
        assert value(found, gain.foreseeable(chooser, "all_big", budget)) == pytest.approx(
            (reference - foreseen).mean(), abs=1e-5
        )
        rest = (foreseen - oracle).mean()
        assert value(found, gain.beyond(chooser, budget)) == pytest.approx(rest, abs=1e-5)
        assert value(found, gain.luck(chooser, budget)) == pytest.approx(luck, abs=1e-5)
        assert value(found, gain.unexplained(chooser, budget)) == pytest.approx(rest - luck, abs=1e-5)
        share = (reference - foreseen).mean() / (reference - oracle).mean()
        assert value(found, gain.share_foreseeable(chooser, budget)) == pytest.approx(share, abs=1e-5)


def test_where_all_is_luck_nothing_is_foreseen_and_nothing_is_unexplained():
    _, found, _ = made_up(0.0)
    for budget in (1, 2, 3):
        assert found[gain.gain("all_big", budget)].low > 0.05  # and yet the oracle gains
        assert found[gain.foreseeable(OWN, "all_big", budget)].value < 0.02
        for statistic in (
            gain.unexplained(OWN, budget),
            gain.matched_excess("all_big", budget),
            gain.cells_excess("all_big", budget),
        ):
            assert abs(found[statistic].value) < 3 * found[statistic].error


def test_what_a_route_knows_is_foreseen_by_who_knows_it_and_unexplained_to_who_does_not():
    _, found, _ = made_up(1.0)
    assert found[gain.foreseeable("teacher", "all_big", 2)].low > 0.03
    assert found[gain.foreseeable(OWN, "all_big", 2)].high < found[gain.foreseeable("teacher", "all_big", 2)].low
    assert found[gain.unexplained(OWN, 2)].low > 0
    assert abs(value(found, gain.unexplained("teacher", 2))) < 3 * found[gain.unexplained("teacher", 2)].error
    assert found[gain.matched_excess("all_big", 2)].low > 0 and found[gain.cells_excess("all_big", 2)].low > 0
    assert found[gain.difference("teacher", FIXED, 2)].high < 0


@pytest.mark.parametrize("knows", [0.0, 1.0])
def test_placebo_has_nothing_beyond_luck_whatever_the_labels_are(knows):
    _, found, _ = made_up(knows)
    for budget in (1, 2, 3):
        assert found[gain.foreseeable(OWN, "all_big", budget, PLACEBO)].value < 0.02
        excess = found[gain.matched_excess("all_big", budget, PLACEBO)]
        assert abs(excess.value) < 3.5 * excess.error


def test_predictions_are_as_sure_as_they_are_right_where_they_are_the_truth():
    _, found, made = made_up(0.0)
    sure = found[gain.calibration(OWN)]
    assert abs(sure.value) < 3 * sure.error
    labels = made["labels"][0]
    surprisal = -np.take_along_axis(made["own"], labels[..., None], -1).mean()
    assert value(found, gain.cross_entropy(OWN)) == pytest.approx(surprisal, abs=1e-5)


def test_claims_read_off_the_curve_of_who_knows_most():
    study, found, _ = made_up(1.0)
    assert gain.best_chooser(study.choosers) == OWN and gain.best_chooser([OWN, "teacher", STACK]) == STACK
    ends = [study.curves.budgets[k].losses["mean"].sum() for k in (0, LAYERS)]
    chosen = study.choices[OWN, 1].foreseen.sum()
    expected = (study.references[TRUE].sum() - chosen) / (ends[0] - ends[1])
    assert value(found, joint.single_big(OWN, ISOLATED)) == pytest.approx(expected)
    assert oracle_curves.random_gap(OWN) in found and oracle_curves.lowest_at_half(OWN) in found


def test_tables_fit_their_schemas_and_heat_maps_add_up():
    study, found, _ = made_up(1.0)
    for table in (GAIN_CURVES, GAIN_STATISTICS, GAIN_LAYERS, GAIN_HEAT_MAPS):
        rows = tabled(table, (study, found))
        assert len(rows) and rows.schema.names == table.schema.names
    heat = tabled(GAIN_HEAT_MAPS, (study, found)).to_pandas()
    for budget in (1, 2, 3):
        for labels in (TRUE, SAMPLED, MATCHED):
            part = heat[(heat.labels == labels) & (heat.budget == budget)]
            np.testing.assert_allclose(part.groupby("position").share.sum(), budget)
        excess = heat[(heat.labels == EXCESS) & (heat.budget == budget)]
        np.testing.assert_allclose(excess.groupby("position").share.sum(), 0, atol=1e-9)


def test_cells_are_few_and_cover_most_labels():
    _, found, _ = made_up(1.0)
    assert found[gain.cells_covered(2)].low > 0.99
    assert (len(SURPRISAL_EDGES) + 1) * (len(ENTROPY_EDGES) + 1) < 250
