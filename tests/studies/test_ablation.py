"""Random routing at a chance of the big FFN, and what the ablations' comparisons say."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from made_up import setting, tabled
from project import REPOSITORY

from duo.data.evaluation_set import EvaluationSet
from duo.errors import InputError
from duo.figures import ablation as figures
from duo.figures import base
from duo.model.device import Device
from duo.model.transformer import Shape, forward_flops
from duo.stats import Interval, Intervals
from duo.studies import ablation
from duo.studies.ablation import (
    FROZEN_COST,
    NEARNESS,
    AblationCosts,
    Compared,
    MeanCost,
    duo_against_dense,
    frozen_against_scratch,
    nearness,
)
from duo.studies.curves import LossFrom
from duo.tables.studies import ABLATION_CURVES, ABLATION_STATISTICS
from duo.tables.training import ABLATION_LOSSES
from workflow.params import load_params

SHAPE = Shape(vocabulary=300, sequence=16, layers=3, width=16, heads=2, big=48, small=8)
DEVICE = Device()
PARAMS = load_params(REPOSITORY / "params.yaml")
SETTINGS = PARAMS.ablation.model_copy(update={"p_big": [0.0, 0.5, 1.0]})


def test_a_dense_model_stands_where_duo_does_the_same_flops():
    kinds = {"duo": SHAPE, "dense": Shape(300, 16, 3, 16, 2, 28, 8)}
    chances = {
        kind: ablation.chances(kind, shape.big, SETTINGS.p_big, small=8, big=48) for kind, shape in kinds.items()
    }
    assert chances == {"dense": {0.5: 1.0}, "duo": {0.0: 0.0, 0.5: 0.5, 1.0: 1.0}}
    flops = {kind: {at: forward_flops(kinds[kind], 16, 3 * p) for at, p in chances[kind].items()} for kind in kinds}
    models = [Compared(kind, kind, 1, chances[kind], flops[kind]) for kind in kinds]
    costs = [MeanCost(model.name, place) for model in models for place in model.chances]
    estimates = dict.fromkeys([*costs, *(LossFrom(cost, "duo") for cost in costs)], Interval(0.0, 0.0, 0.0))
    study = AblationCosts("text", "loss", models, 3, 0.5, {}, np.ones(2))
    rows = tabled(ABLATION_CURVES, (study, estimates)).to_pylist()
    equal = [row["flops"] for row in rows if row["p_big"] == 0.5]
    assert len(equal) == 2 and equal[0] == equal[1] > 0
    assert [row["flops"] for row in rows if row["model"] == "duo"] == list(flops["duo"].values())


PLACES, FLOPS = {0.0: 0.0, 1.0: 1.0}, {0.0: 1e6, 1.0: 2e6}
FOUR = [Compared("d", "duo", 1, PLACES, FLOPS), Compared("f", "frozen", 1, PLACES, FLOPS)]
FOUR += [Compared("small", "dense", 1, {0.0: 1.0}, {0.0: 1e6}), Compared("big", "dense", 1, {1.0: 1.0}, {1.0: 2e6})]
MEANS = {("d", 0.0): 3.0, ("d", 1.0): 2.0, ("f", 0.0): 3.5, ("f", 1.0): 1.9, ("small", 0.0): 2.6, ("big", 1.0): 1.9}
LAYERS = 3


def contrasts(models: list[Compared], measure: str) -> dict:
    means = {MeanCost(*key): np.array([value]) for key, value in MEANS.items()}
    return ablation.contrasts(means, models, measure, LAYERS)


@pytest.mark.parametrize("measure", ["loss", "accuracy"])
def test_contrasts_by_hand(measure):
    expected = {
        frozen_against_scratch(measure, 0.0): 0.5,
        frozen_against_scratch(measure, 3.0): -0.1,
        duo_against_dense(measure, 0.0): 0.4,
        duo_against_dense(measure, 3.0): 0.1,
        nearness(measure): 0.1 / 0.4,
    }
    found = contrasts(FOUR, measure)
    assert {key: round(value.item(), 9) for key, value in found.items()} == {
        key: pytest.approx(value) for key, value in expected.items()
    }


def test_nearness_is_one_where_nothing_is_to_be_neared():
    means = {MeanCost(*key): np.array([value]) for key, value in MEANS.items()} | {
        MeanCost("small", 0.0): np.full(1, 3.5)
    }
    assert ablation.contrasts(means, FOUR, "loss", LAYERS)[NEARNESS].tolist() == [1]


def test_the_frozen_cost_is_a_share_of_the_depth_at_the_chance_of_training():
    places = {0.0: 0.0, 0.5: 0.5, 1.0: 1.0}
    models = [Compared(name, kind, 1, places, places) for name, kind in (("d", "duo"), ("f", "frozen"))]
    costs = {("d", 0.0): 4.0, ("d", 0.5): 3.0, ("d", 1.0): 2.0, ("f", 0.0): 9.0, ("f", 0.5): 3.5, ("f", 1.0): 2.5}
    sums = {MeanCost(*key): 10 * np.full(3, value) for key, value in costs.items()}

    def numbers(measure: str, trained_at: float, models: list[Compared] = models) -> dict:
        return AblationCosts("text", measure, models, LAYERS, trained_at, sums, np.full(3, 10)).numbers(np.ones((1, 3)))

    assert numbers("loss", 0.5)[FROZEN_COST] == pytest.approx(0.5 / 2)
    assert numbers("loss", 0.0)[FROZEN_COST] == pytest.approx(5 / 2)
    assert FROZEN_COST not in numbers("loss", 0.3) and FROZEN_COST not in numbers("accuracy", 0.5)
    assert FROZEN_COST not in numbers("loss", 0.5, models[:1])


def test_models_are_compared_with_the_duo_of_their_seed():
    """Seed 2's models cost 1 more, all alike: differences are the same, and each study is of its own Duo."""
    ids = np.zeros((4, 12), int)
    sample = EvaluationSet(["text"] * 4, list("abcd"), list("ppqq"), ids, ids)
    models, parts = [], []
    for seed in (1, 2):
        for model in FOUR:
            name = model.name if seed == 1 else f"{model.name}-2"
            models.append(Compared(name, model.kind, seed, model.chances, model.flops))
            losses = {place: np.full((4, 12), MEANS[model.name, place] + seed) for place in model.chances}
            parts.append(ablation.loss_table(models[-1], sample, losses))
    table = pa.concat_tables(parts[::-1])
    answers = pa.table({"domain": pa.array([], pa.string())})
    studies = list(ablation.gather(table, answers, ablation.compared(table), LAYERS, 0.5))
    assert {study.ids["model"]: study.clusters for study in studies} == {"d": 2, "d-2": 2}
    for study in studies:
        numbers = study.numbers(np.ones((1, 2)))
        assert numbers[NEARNESS] == pytest.approx(0.1 / 0.4)
        assert numbers[duo_against_dense("loss", 0.0)] == pytest.approx(0.4)
        assert {key.model.endswith("-2") for key in numbers if isinstance(key, MeanCost)} == {
            study.ids["model"] == "d-2"
        }


def test_what_is_worse_comes_first_by_its_losses_and_second_by_its_accuracy():
    """So that a number above 0 says the same of both measures."""
    pairs = {
        (statistic.family, statistic.subject, statistic.reference)
        for against in (duo_against_dense, frozen_against_scratch)
        for statistic in (against("loss", 1.0), against("accuracy", 1.0))
    }
    assert pairs == {
        ("loss_difference", "duo", "dense"),
        ("accuracy_difference", "dense", "duo"),
        ("loss_difference", "frozen", "duo"),
        ("accuracy_difference", "duo", "frozen"),
    }


def test_nearness_needs_dense_models_at_both_ends():
    assert nearness("loss") in contrasts(FOUR, "loss") and nearness("loss") not in contrasts(FOUR[:3], "loss")


def test_two_models_of_a_kind_at_one_place_are_an_error():
    twin = Compared("f", "frozen", 1, {1.0: 1.0}, {1.0: 2e6})
    with pytest.raises(InputError, match="model f: another frozen one stands at p_big 1; compare one"):
        contrasts([*FOUR, twin], "loss")


def test_models_come_back_from_the_table_of_their_losses(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ids = np.zeros((2, 5), int)
    sample = EvaluationSet(["text", "code"], ["a", "b"], ["a", "b"], ids, ids)
    for model in FOUR:
        table = ablation.loss_table(model, sample, dict.fromkeys(model.chances, np.ones((2, 5))))
        ABLATION_LOSSES.write(table, model=model.name)
    assert ablation.compared(pa.concat_tables([ABLATION_LOSSES.read(model=model.name) for model in FOUR])) == FOUR


def test_losses_and_choices_become_costs_of_documents():
    ids = np.zeros((4, 12), int)
    sample = EvaluationSet(["text", "text", "code", "code"], names := ["a", "b", "c", "d"], names, ids, ids)
    losses = {place: np.random.default_rng(round(place)).gamma(4, 0.5, (4, 12)) for place in PLACES}
    table = ablation.loss_table(FOUR[0], sample, losses)
    assert set(table["kind"].to_pylist()) == {"duo"} and set(table["tokens"].to_pylist()) == {12}
    code = table.filter(pc.equal(table["domain"], "code"))
    costs = ablation.loss_costs(code, "code", FOUR[:1], LAYERS, 0.5)
    assert costs.means(np.ones((1, 2)))[MeanCost("d", 1.0)][0] == pytest.approx(losses[1.0][2:].mean(), rel=1e-9)
    assert costs.means(np.array([[1, 0]]))[MeanCost("d", 0.0)][0] == pytest.approx(losses[0.0][2].mean(), rel=1e-9)
    answers = pa.table(
        {"model": ["d"] * 6, "p_big": [0.0] * 3 + [1.0] * 3, "domain": ["text"] * 6, "document": ["a", "b", "c"] * 2}
        | {"cluster": ["p", "q", "p"] * 2}
        | {"correct": [True, False, False, True, True, True]}
    )
    errors = ablation.error_costs(answers, "text", FOUR[:1], LAYERS, 0.5)
    assert {key: value.tolist() for key, value in errors.sums.items()} == {
        MeanCost("d", 0.0): [1, 1],
        MeanCost("d", 1.0): [0, 0],
    }
    assert errors.counts.tolist() == [2, 1]
    studies = list(ablation.gather(table, answers, FOUR[:1], LAYERS, 0.5))
    assert [(study.ids["domain"], study.measure) for study in studies] == [
        ("text", "loss"),
        ("code", "loss"),
        ("text", "accuracy"),
    ]


def made_up(measure: str, domain: str = "text", models: list[Compared] = FOUR) -> tuple[AblationCosts, Intervals]:
    """Costs of six documents, the dense ones lower by about 0.4 at chance 0 and the same at 1; with their intervals."""
    rng = np.random.default_rng(0)
    common = rng.gamma(4, 0.2, 6)
    sums = {MeanCost(*key): 10 * (common + value + 0.01 * rng.standard_normal(6)) for key, value in MEANS.items()}
    study = AblationCosts(domain, measure, models, LAYERS, 0.0, sums, np.full(6, 10))
    return study, study.intervals(PARAMS.bootstrap.resamples, PARAMS.bootstrap.confidence, 1)


def test_intervals_are_paired_and_tables_fit_their_schemas(tmp_path, monkeypatch):
    monkeypatch.setattr("duo.tables.files.ROOT", tmp_path)
    loss, accuracy = made_up("loss"), made_up("accuracy")
    difference, level = loss[1][duo_against_dense("loss", 0.0)], loss[1][MeanCost("d", 0.0)]
    assert difference.low > 0.35 and difference.high - difference.low < (level.high - level.low) / 5
    assert made_up("loss")[1] == loss[1]
    curves = tabled(ABLATION_CURVES, loss, accuracy)
    ABLATION_CURVES.write(curves)
    right = base.of(curves, measure="accuracy", model="d").to_pylist()[0]
    assert right["value"] == pytest.approx(1 - accuracy[1][MeanCost("d", 0.0)].value)
    assert right["low"] <= right["value"] <= right["high"]
    for row in curves.to_pylist():
        (duo,) = [
            each
            for each in curves.to_pylist()
            if each["kind"] == "duo" and (each["measure"], each["p_big"]) == (row["measure"], row["p_big"])
        ]
        assert row["from_duo"] == pytest.approx(row["value"] - duo["value"])
        assert row["from_duo_low"] <= row["from_duo"] <= row["from_duo_high"]
        assert row["from_duo_high"] - row["from_duo_low"] < (row["high"] - row["low"]) / 2
    ABLATION_STATISTICS.write(tabled(ABLATION_STATISTICS, loss, accuracy))
    rows = ABLATION_STATISTICS.read().to_pylist()
    assert {row["family"] for row in rows} == {
        "frozen_cost",
        *(f"{measure}_{kind}" for measure in ("loss", "accuracy") for kind in ("difference", "nearness")),
    }
    assert {row["model"] for row in rows} == {"d"} and {row["budget"] for row in rows} == {0.0, 3.0, None}
    assert len(rows) == 11 == len({row["words"] for row in rows}), "every statistic has words of its own"


SETTING = setting(layers=12, documents=32, tokens=128, random_routes=100, confidence=0.95)


def test_figure_8_shows_every_kind_and_states_its_constraint():
    studies = [made_up(measure, domain) for domain in ("text", "code") for measure in ("loss", "accuracy")]
    curves = tabled(ABLATION_CURVES, *studies, made_up("accuracy", "arc_easy"))
    picture = figures.chances(curves, SETTING, SETTINGS, {"arc_easy": 70})
    assert "and 70 questions of arc_easy; the choice" in picture.caption
    left = picture.figure.axes[::2]
    measured = ["text: loss", "text: right choices", "code: loss", "code: right choices", "arc_easy: right choices"]
    assert [axes.get_title() for axes in left] == measured
    guessing = [["guessing" in [line.get_label() for line in axes.get_lines()] for axes in left]]
    assert guessing == [[False, True, False, True, False]]
    legend = {text.get_text() for text in picture.figure.legends[0].get_texts()}
    assert legend == {*figures.KINDS.values(), "guessing"}
    for words in ("on average alone", "95% percentile bootstrap", "1000 items", "3.4 M parameters"):
        assert words in picture.caption


def test_figure_8_shows_intervals_of_differences_from_duo_alone():
    curves = tabled(ABLATION_CURVES, made_up("loss"), made_up("loss", "code"))
    left, right, _, other = figures.chances(curves, SETTING, SETTINGS, {}).figure.axes
    assert not left.containers and len(right.containers) == 2, "error bars of dense and frozen models"
    assert right.get_ylim() == other.get_ylim()
    rows = base.of(curves, domain="text", kind="frozen").sort_by("p_big")
    drawn = {bars.get_label(): bars.lines[0].get_ydata() for bars in right.containers}
    assert drawn[figures.KINDS["frozen"]].tolist() == rows["from_duo"].to_pylist()


def test_figure_8_draws_a_line_of_the_first_seed_and_marks_of_others():
    first = made_up("loss")
    others = [Compared(f"{model.name}-2", model.kind, 2, model.chances, model.flops) for model in FOUR]
    study = AblationCosts("text", "loss", others, LAYERS, 0.0, {}, np.ones(6))
    renamed = {key: MeanCost(f"{key.model}-2", key.p_big) for key in first[1] if isinstance(key, MeanCost)}
    estimates = {new: first[1][key] for key, new in renamed.items()}
    estimates |= {LossFrom(new, "duo"): first[1][LossFrom(key, "duo")] for key, new in renamed.items()}
    curves = tabled(ABLATION_CURVES, first, (study, estimates))
    axes, _ = figures.chances(curves, SETTING, SETTINGS, {}).figure.axes
    drawn = [line for line in axes.get_lines() if line.get_marker() in "os^vD"]
    lines = [line for line in drawn if line.get_linestyle() != "None"]
    assert len(lines) == 3 and len(drawn) == 6, "a line and as many loose marks for each of three kinds"
    assert [len(line.get_xdata()) for line in lines] == [2, 2, 2]


def test_a_kind_and_a_measure_that_nobody_listed_are_drawn():
    curves = tabled(ABLATION_CURVES, made_up("loss"))
    new = curves.set_column(curves.column_names.index("kind"), "kind", pa.array(["pruned"] * len(curves)))
    new = new.set_column(new.column_names.index("measure"), "measure", pa.array(["regret"] * len(curves)))
    figure = figures.chances(pa.concat_tables([curves, new.cast(curves.schema)]), SETTING, SETTINGS, {}).figure
    assert [axes.get_title() for axes in figure.axes[::2]] == ["text: loss", "text: regret"]
    assert "pruned" in {text.get_text() for text in figure.legends[0].get_texts()}
    drawn = [line for line in figure.axes[2].get_lines() if line.get_marker() not in ("None", "_")]
    assert drawn and len(drawn[0].get_xdata()) == len(new)
