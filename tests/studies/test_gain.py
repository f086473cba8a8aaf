"""Selection bias is told apart from what some route really knows, on made-up routes whose predictions are known."""

from dataclasses import asdict

import numpy as np
import pyarrow as pa
import pytest
import torch
from made_up import LAYERS, SPACE, selected, tabled

from duo.data.evaluation_set import EvaluationSet
from duo.oracle import null
from duo.report import claims, corrected_claims
from duo.settings import SampledLabels
from duo.stats import Intervals, Statistic
from duo.studies import gain, oracle_curves
from duo.studies.skips import CONSISTENCY
from duo.tables.report import CORRECTED_CLAIMS
from duo.tables.studies import GAIN_CURVES, GAIN_HEAT_MAPS, GAIN_LAYERS, GAIN_STATISTICS, SKIP_STATISTICS

DOCUMENTS, TOKENS, WORDS, SAMPLES = 24, 16, 12, 3
BUDGETS = range(LAYERS + 1)
HALF = LAYERS // 2
SCOPE = claims.Scope(LAYERS, list(BUDGETS), routers=0, skipping=False, dense=[], frozen=False)
EMPTY = pa.Table.from_pylist([], schema=SKIP_STATISTICS.schema)


def made_up(known: bool, labels: str | int = "all_big") -> tuple[gain.Gain, Intervals]:
    """Routes that predict at random, though alike. True labels come from the same route as sampled ones, by default
    all big; or, if `known`,
    from what one route of each token predicts.

    The teacher predicts as the labels are sampled.
    """
    rng = np.random.default_rng(0)
    everyone = EvaluationSet(
        ["text"] * DOCUMENTS,
        [f"d{index:02}" for index in range(DOCUMENTS)],
        [f"d{index:02}" for index in range(DOCUMENTS)],
        *np.zeros((2, DOCUMENTS, TOKENS), np.int64),
    )
    source, tables, plain = SPACE.named(labels), [], {}
    for index, name in enumerate(everyone.documents):
        logits = rng.normal(size=(TOKENS, 1, WORDS)) + rng.normal(size=(TOKENS, len(SPACE), WORDS))
        predicted = torch.from_numpy(logits).log_softmax(-1)
        knowing = np.full(TOKENS, source)
        if known:
            knowing = rng.choice(SPACE.with_budget(HALF), TOKENS)
        chances = predicted[torch.arange(TOKENS), torch.from_numpy(knowing)]
        sampled = [
            null.sample_labels(chances, 1.0, rng),
            *(null.sample_labels(predicted[:, source], 1.0, rng) for _ in range(SAMPLES)),
        ]
        losses = np.stack([-predicted.numpy()[np.arange(TOKENS), :, each] for each in sampled]).astype(np.float32)
        expected = np.stack(
            [-(judge.exp()[:, None] * predicted).sum(-1).numpy() for judge in (chances, predicted[:, source])]
        )
        normaliser = np.stack(
            [predicted[:, SPACE.with_budget(budget)].amax(1).logsumexp(-1).numpy() for budget in BUDGETS], axis=1
        )
        document = everyone.take(slice(index, index + 1))
        tables.append(
            null.select(
                "duo", document, losses, expected, normaliser.astype(np.float32), SPACE, source, BUDGETS, seed=1
            )
        )
        plain["text", name] = losses[0]
    (curves,) = oracle_curves.gather(selected(plain), SPACE)
    settings = SampledLabels(
        reference=labels, temperature=1.0, samples=SAMPLES, within=0.1, teachers=["teacher"], others=False
    )
    study = gain.gather(pa.concat_tables(tables), curves, SPACE, settings, HALF)
    return study, study.intervals(200, 0.95, seed=1)


def test_the_mean_of_the_other_models_is_a_teacher_behind_those_by_name():
    settings = SampledLabels(
        reference="all_big", temperature=1.0, samples=1, within=0.1, teachers=["b", "a"], others=False
    )
    assert gain.teachers(settings) == ["b", "a"]
    assert gain.teachers(settings.model_copy(update={"others": True})) == ["b", "a", "others"]


@pytest.fixture(scope="module")
def noise_alone():
    return made_up(known=False)


@pytest.fixture(scope="module")
def signal():
    return made_up(known=True)


@pytest.mark.parametrize("budget", range(1, LAYERS))
def test_what_selection_bias_gives_is_a_gain_and_no_more_than_the_null_gain(noise_alone, budget):
    _, found = noise_alone
    for labels in ("true", "sampled"):
        found_gain = found[gain.gain("all_big", budget, labels)]
        assert found_gain.value > found_gain.error > 0
    left = found[gain.gain("all_big", budget, "difference")]
    assert left.low < 0 < left.high
    assert left.value == pytest.approx(
        found[gain.gain("all_big", budget)].value - found[gain.gain("all_big", budget, "sampled")].value
    )
    assert found[gain.null_share("all_big", budget)].value == pytest.approx(
        found[gain.gain("all_big", budget, "sampled")].value / found[gain.gain("all_big", budget)].value
    )


def test_where_all_is_selection_bias_choosing_without_the_label_gains_nothing(noise_alone):
    _, found = noise_alone
    assert found[gain.ceiling_difference("teacher", "all_big", HALF)].high > 0
    assert (
        found[gain.difference("normalised", "all_big", HALF)].low > 0
    )  # a proper distribution is no better than the one that labels come from


def test_labels_of_any_route_are_chance_to_the_others():
    _, found = made_up(known=False, labels=6)
    assert (
        found[gain.GainLoss("route_6", SPACE.counts("big")[6])].value
        < found[gain.GainLoss("fixed", SPACE.layers)].value
    ), "labels come from another route than all big"
    for budget in range(1, LAYERS):
        assert (
            found[gain.gain("route_6", budget, "difference")].low
            < 0
            < found[gain.gain("route_6", budget, "difference")].high
            and found[gain.gain("route_6", budget)].low > 0
        )
    assert found[gain.difference("normalised", "route_6", HALF)].low > 0
    assert found[gain.calibration("route_6")].low < 0 < found[gain.calibration("route_6")].high, (
        "true labels are sampled alike"
    )


def test_what_a_route_knows_is_left_and_the_teacher_finds_it(signal):
    _, found = signal
    assert found[gain.gain("all_big", HALF, "difference")].low > 0.1
    assert (
        found[gain.ceiling_difference("teacher", "fixed", HALF)].high < -0.1
        and found[gain.ceiling_difference("teacher", "all_big", HALF)].high < -0.1
    )
    assert found[gain.GainLoss("ceiling", HALF, "teacher")].value > found[gain.GainLoss("oracle", HALF)].value, (
        "the oracle has selection bias as well"
    )


def corrected(statistic: Statistic) -> Statistic:
    return statistic.of("corrected")


def test_claims_on_true_labels_are_those_of_the_oracle_curves(noise_alone):
    """Same numbers, same replicates: what is corrected is what the claims rest on."""
    study, found = noise_alone
    on_true = study.curves.intervals(200, 0.95, seed=1)
    names = [key for key in on_true if isinstance(key, Statistic) and corrected(key) in found]
    assert len(names) == 5 + LAYERS - 1
    for name in names:
        assert found[name] == pytest.approx(on_true[name], abs=1e-9), name


def test_what_is_read_off_the_curve_is_corrected_on_the_curve(noise_alone):
    _, found = noise_alone
    curve = [found[gain.GainLoss("corrected", budget)].value for budget in BUDGETS]
    assert found[corrected(oracle_curves.less_all_big("oracle", 1))].value == pytest.approx(curve[1] - curve[-1])
    assert found[gain.difference("corrected", "all_big", 1)].value == pytest.approx(curve[1] - curve[-1])
    assert found[gain.selection_bias(1)].value == pytest.approx(curve[1] - found[gain.GainLoss("oracle", 1)].value)
    best = int(found[oracle_curves.BEST_BUDGET].value)
    assert found[corrected(oracle_curves.at_best_budget("all_small"))].value == pytest.approx(curve[best] - curve[0])
    assert found[corrected(oracle_curves.BEST_BUDGET)].value == np.argmin(curve)
    assert found[corrected(oracle_curves.less_other_budgets("oracle", HALF))].value == pytest.approx(
        curve[HALF] - min(curve[:HALF] + curve[HALF + 1 :])
    )
    for end in (0, LAYERS):
        assert curve[end] == pytest.approx(found[gain.GainLoss("oracle", end)].value), "no choice, no selection bias"


def test_selection_bias_is_all_that_is_gained_over_the_best_choice_without_a_label(noise_alone):
    """On true labels, sampled like the others, no route chosen without the label is better than the one that they are
    sampled from.
    """
    _, found = noise_alone
    for budget in range(1, LAYERS):
        assert (
            found[gain.selection_bias(budget)].low > 0
            and found[gain.difference("corrected", "all_big", budget)].high > 0
        )


def test_where_all_is_selection_bias_no_claim_on_the_curve_survives(noise_alone):
    """The oracle's curve falls and rises, below both ends; what is left of it is nowhere below all layers big."""
    rows = corrected_claims.judge(claims.claims(SCOPE), tabled(GAIN_STATISTICS, noise_alone), EMPTY).to_pylist()
    by_statistic = {row["statistic"]: row for row in rows}
    for statistic in (oracle_curves.at_best_budget("all_big"), oracle_curves.less_all_big("oracle", 1)):
        row = by_statistic[statistic.words]
        assert row["true_high"] < 0 and row["verdict"] != "survives"
    assert not any(row["claim_verdict"] == "survives" for row in rows if row["claim"] in ("C2", "C3", "C7", "C9"))


def test_depth_biases_and_shares_are_corrected_by_their_difference(noise_alone):
    _, found = noise_alone
    assert found[corrected(oracle_curves.depth_bias(1))].value == pytest.approx(
        found[oracle_curves.depth_bias(1)].value - found[oracle_curves.depth_bias(1).of("sampled")].value
    )
    for layer in range(LAYERS):
        true, sampled, difference = (
            found[gain.LabelShare(labels, 1, layer)].value for labels in (gain.TRUE, gain.SAMPLED, gain.DIFFERENCE)
        )
        assert difference == pytest.approx(true - sampled)
    assert found[corrected(oracle_curves.depth_bias(1))].low < 0 < found[corrected(oracle_curves.depth_bias(1))].high


def test_a_gain_that_selection_bias_gives_labels_of_like_loss_is_none():
    """High losses of 10 nats: half of the true labels gain 5, half nothing; sampled ones of like loss have a bias of
    4.5, or none.
    """
    documents = np.repeat(["a", "b"], 50)
    loss = np.tile([10.0, 1.0, 1.0, 1.0, 1.0], 20)[:, None]
    true = loss, np.where(np.arange(100) < 50, 0.5, 1.0)[:, None] * loss
    sampled = loss.repeat(2, axis=1), 0.5 * loss.repeat(2, axis=1)
    for bias_share, left in ((0.45, 1.0), (0.0, 0.5)):
        shares = gain.without_gain(true, sampled, bias_share * sampled[0], documents)
        found = {statistic.labels: share(np.ones((1, 2)))[0] for statistic, share in shares.items()}
        assert found == {"true": 0.5, "sampled": 0.0, "corrected": left}
        assert {statistic.family for statistic in shares} == {gain.WITHOUT_GAIN.family}


def test_tables_fit_their_schemas(noise_alone, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for table in (GAIN_CURVES, GAIN_STATISTICS, GAIN_HEAT_MAPS, GAIN_LAYERS):
        rows = tabled(table, noise_alone)
        table.write(rows)
        assert table.read().equals(rows)
    strategies = {(row["strategy"], row["teacher"]) for row in GAIN_CURVES.read().to_pylist()}
    known = {"oracle", "null", "corrected", "normalised", "fixed", "all_big"}
    assert strategies == {(name, "") for name in known} | {("ceiling", "teacher")}
    cells = [row for row in GAIN_HEAT_MAPS.read().to_pylist() if row["budget"] == 1 and row["position"] == 0]
    true, sampled, difference = (
        [row["share"] for row in cells if row["labels"] == labels] for labels in ("true", "sampled", "difference")
    )
    assert sum(true) == pytest.approx(1) == sum(sampled) and difference == pytest.approx(
        np.subtract(true, sampled).tolist()
    )


def row(statistic: Statistic, low: float, high: float, model: str = "duo") -> dict:
    ids = {"model": model, "domain": "text"} | asdict(statistic)
    return ids | {"value": (low + high) / 2, "low": low, "high": high}


def every_label(statistic: Statistic, true: tuple, null: tuple, corrected: tuple, model: str = "duo") -> list[dict]:
    ends = {"true": true, "sampled": null, "corrected": corrected}
    return [row(statistic.of(labels), *interval, model) for labels, interval in ends.items()]


C3 = oracle_curves.less_all_big("oracle", 1)


def judged(on_true: tuple[float, float], corrected: tuple[float, float], *others: dict) -> list[dict]:
    scope = claims.Scope(12, range(13), routers=0, skipping=False, dense=[], frozen=False)
    rows = pa.Table.from_pylist([*every_label(C3, on_true, (-1, 1), corrected), *others], GAIN_STATISTICS.schema)
    return corrected_claims.judge(claims.claims(scope), rows, EMPTY).to_pylist()


@pytest.mark.parametrize(
    ("on_true", "corrected", "verdict"),
    [
        ((-2, -1), (-0.2, -0.1), "survives"),
        ((-2, -1), (-0.1, 0.1), "undecided"),
        ((-2, -1), (0.1, 0.2), "does not"),
        ((1, 2), (-0.2, -0.1), "does not"),
        ((-1, 1), (-0.2, -0.1), "undecided"),
    ],
)
def test_a_claim_survives_where_it_holds_on_true_labels_and_corrected(on_true, corrected, verdict):
    (found,) = judged(on_true, corrected)
    assert (found["claim"], found["statistic"], found["supports"]) == ("C3", C3.words, "< 0")
    assert found["verdict"] == found["claim_verdict"] == verdict
    assert (found["true_low"], found["null_high"], found["corrected_high"]) == (on_true[0], 1, corrected[1])


def test_models_must_agree_on_what_survives():
    others = every_label(C3, (1, 2), (1, 2), (1, 2), "seed-2")
    assert [found["verdict"] for found in judged((-2, -1), (-2, -1), *others)] == ["survives", "does not"]
    assert {found["claim_verdict"] for found in judged((-2, -1), (-2, -1), *others)} == {"undecided"}


def test_claims_that_selection_bias_can_touch_have_a_row(noise_alone):
    skips = pa.Table.from_pylist(every_label(CONSISTENCY, *[(0.1, 0.2)] * 3, "skip"), SKIP_STATISTICS.schema)
    table = corrected_claims.judge(claims.claims(SCOPE), tabled(GAIN_STATISTICS, noise_alone), skips)
    assert table["claim"].unique().to_pylist() == ["C2", "C3", "C7", "C8", "C9", "C10", "C15"]
    assert CORRECTED_CLAIMS.schema.names == table.column_names
