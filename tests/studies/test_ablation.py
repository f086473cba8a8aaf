"""Random routing at a chance of the big FFN, and what the ablations' contrasts say."""

import numpy as np
import pyarrow as pa
import pytest
import torch
import torch.nn.functional as F
from project import REPOSITORY

from duo.data.evaluation_set import Sample
from duo.figures import ablation as figures
from duo.figures import base
from duo.model.device import Device
from duo.model.transformer import Duo, Shape
from duo.studies import ablation
from duo.studies.ablation import Compared, Costs
from duo.tables.studies import ABLATION_CURVES, ABLATION_STATISTICS
from workflow.params import load_params

SHAPE = Shape(vocabulary=300, sequence=16, layers=3, width=16, heads=2, big=48, small=8)
DEVICE = Device()
PARAMS = load_params(REPOSITORY / "params.yaml")
SETTINGS = PARAMS.ablation.model_copy(update={"p_big": [0.0, 0.5, 1.0]})


@pytest.fixture(scope="module")
def model() -> Duo:
    return Duo(SHAPE).initialise(torch.Generator().manual_seed(0)).requires_grad_(False)


@pytest.fixture(scope="module")
def sample() -> Sample:
    ids = np.random.default_rng(0).integers(0, 300, (4, 13))
    return Sample(["text", "text", "code", "code"], ["a", "b", "c", "d"], ids[:, :-1], ids[:, 1:])


def plain(model: Duo, sample: Sample, big: torch.Tensor) -> torch.Tensor:
    """Losses by the model's own forward pass under a route."""
    logits = model(torch.from_numpy(sample.tokens), big)
    return F.cross_entropy(logits.transpose(1, 2), torch.from_numpy(sample.labels), reduction="none")


def losses(model, sample, p_big, draws=1, seed=1):
    return torch.from_numpy(ablation.losses(model, sample, p_big, draws, DEVICE, seed)).float()


@pytest.mark.parametrize("p_big", [0.0, 1.0])
def test_at_the_ends_every_layer_is_small_or_big(model, sample, p_big):
    torch.testing.assert_close(losses(model, sample, p_big), plain(model, sample, torch.full((3,), p_big == 1)))


def test_between_each_layer_of_each_token_follows_its_own_draw(model, sample):
    draws = np.random.default_rng(3).random((4, 12, 3), np.float32)
    tokens = torch.from_numpy(sample.tokens)
    logits = model.logits(ablation.final_streams(model, tokens, draws, 0.4))
    torch.testing.assert_close(logits, model(tokens, torch.from_numpy(draws < 0.4)))


def test_losses_are_means_over_draws_that_depend_on_the_seed_and_the_document_alone(model, sample):
    one, two = losses(model, sample, 0.5), losses(model, sample, 0.5, draws=2)
    assert not torch.equal(one, two) and not torch.equal(one, losses(model, sample, 0.5, seed=2))
    torch.testing.assert_close(losses(model, sample.take(np.array([2, 1])), 0.5), one[[2, 1]])


def test_a_dense_model_stands_where_duo_does_the_same_flops():
    narrow = Shape(300, 16, 3, 16, 2, 28, 8)
    dense = ablation.compared("dense", "dense", narrow, SETTINGS, small=8, big=48)
    duo = ablation.compared("duo", "duo", SHAPE, SETTINGS, small=8, big=48)
    assert dense.chances == {0.5: 1.0} and duo.chances == {0.0: 0.0, 0.5: 0.5, 1.0: 1.0}
    found = {(of.name, place): (0.0, 0.0, 0.0) for of in (duo, dense) for place in of.chances}
    rows = ablation.curves("text", "loss", found, [duo, dense]).to_pylist()
    assert [row["flops"] for row in rows if row["model"] == "dense"] == [
        row["flops"] for row in rows if row["p_big"] == 0.5
    ][:1]


PLACES = {0.0: 0.0, 1.0: 1.0}
THREE = [Compared("d", "duo", SHAPE, PLACES), Compared("f", "frozen", SHAPE, PLACES)]
THREE += [Compared("small", "dense", SHAPE, {0.0: 1.0}), Compared("big", "dense", SHAPE, {1.0: 1.0})]
MEANS = {("d", 0.0): 3.0, ("d", 1.0): 2.0, ("f", 0.0): 3.5, ("f", 1.0): 1.9, ("small", 0.0): 2.6, ("big", 1.0): 1.9}


@pytest.mark.parametrize(
    ("measure", "deficit", "gain"),
    [("loss", "duo-dense", "frozen-scratch"), ("accuracy", "dense-duo", "scratch-frozen")],
)
def test_contrasts_by_hand(measure, deficit, gain):
    found = ablation.contrasts({key: np.array([value]) for key, value in MEANS.items()}, THREE, measure)
    expected = {
        f"{gain}_0.00": 0.5,
        f"{gain}_1.00": -0.1,
        f"{deficit}_0.00": 0.4,
        f"{deficit}_1.00": 0.1,
        "nearness": 0.1 - 0.2,
    }
    assert {name: round(value.item(), 9) for name, value in found.items()} == {
        f"{name}_{measure}": pytest.approx(value) for name, value in expected.items()
    }


def test_nearness_needs_dense_models_at_both_ends():
    means = {key: np.array([value]) for key, value in MEANS.items()}
    assert not [name for name in ablation.contrasts(means, THREE[:3], "loss") if "nearness" in name]


def test_losses_and_choices_become_costs_of_documents(model, sample):
    duo = ablation.compared("d", "duo", SHAPE, SETTINGS, 8, 48)
    table = ablation.loss_table(duo, model, sample, 1, DEVICE, 1)
    costs = ablation.loss_costs(table, "code")
    mean = costs.numbers(np.ones((1, 2)))["d", 0.5][0]
    assert mean == pytest.approx(losses(model, sample.of("code"), 0.5).double().mean().item(), rel=1e-6)
    answers = pa.table(
        {"model": ["d"] * 6, "p_big": [0.0] * 3 + [1.0] * 3, "domain": ["text"] * 6, "document": ["a", "b", "a"] * 2}
        | {"correct": [True, False, False, True, True, True]}
    )
    errors = ablation.error_costs(answers, "text", THREE[:1])
    assert {key: value.tolist() for key, value in errors.sums.items()} == {("d", 0.0): [1, 1], ("d", 1.0): [0, 0]}
    assert errors.counts.tolist() == [2, 1]


def made_up() -> Costs:
    """Costs of six documents, the dense ones lower by about 0.4 at chance 0 and the same at 1."""
    rng = np.random.default_rng(0)
    common = rng.gamma(4, 0.2, 6)
    sums = {key: 10 * (common + value + 0.01 * rng.standard_normal(6)) for key, value in MEANS.items()}
    return Costs(sums, np.full(6, 10))


def test_intervals_are_paired_and_tables_fit_their_schemas(tmp_path, monkeypatch):
    monkeypatch.setattr("duo.tables.files.ROOT", tmp_path)
    parts = {
        measure: ablation.evaluate(made_up(), THREE, measure, PARAMS.bootstrap, 1) for measure in ("loss", "accuracy")
    }
    difference, level = parts["loss"]["duo-dense_0.00_loss"], parts["loss"]["d", 0.0]
    assert difference.low > 0.35 and difference.high - difference.low < (level.high - level.low) / 5
    assert ablation.evaluate(made_up(), THREE, "loss", PARAMS.bootstrap, 1) == parts["loss"]
    curves = pa.concat_tables([ablation.curves("text", measure, found, THREE) for measure, found in parts.items()])
    ABLATION_CURVES.write(curves)
    right = base.of(curves, measure="accuracy", model="d").to_pylist()[0]
    assert (
        right["value"] == pytest.approx(1 - parts["accuracy"]["d", 0.0].value)
        and right["low"] <= right["value"] <= right["high"]
    )
    ABLATION_STATISTICS.write(pa.concat_tables([ablation.statistics("text", found, THREE) for found in parts.values()]))
    names = ABLATION_STATISTICS.read()["name"].to_pylist()
    assert {"nearness_loss", "nearness_accuracy", "dense-duo_0.00_accuracy", "frozen-scratch_1.00_loss"} <= set(names)


def test_figure_8_shows_every_kind_and_states_its_constraint():
    parts = {
        measure: ablation.evaluate(made_up(), THREE, measure, PARAMS.bootstrap, 1) for measure in ("loss", "accuracy")
    }
    tables = [
        ablation.curves(domain, measure, found, THREE)
        for domain in ("text", "code")
        for measure, found in parts.items()
    ]
    other = ablation.curves("arc_easy", "accuracy", parts["accuracy"], THREE)
    setting = base.Setting("duo", 12, 32, 128, 100, 0.95)
    picture = figures.chances(pa.concat_tables([*tables, other]), setting, SETTINGS)
    titles = [axes.get_title() for axes in picture.figure.axes]
    assert titles == ["text", "text", "code", "code", "arc_easy"]
    labels = [
        [text.get_label() for text in axes.get_lines() if text.get_label() == "guessing"]
        for axes in picture.figure.axes
    ]
    assert [len(each) for each in labels] == [0, 1, 0, 1, 0]
    legend = {text.get_text() for text in picture.figure.legends[0].get_texts()}
    assert legend == {line.label for line in figures.LINES.values()} | {"guessing"}
    assert (
        "on average alone" in picture.caption
        and "95% percentile bootstrap" in picture.caption
        and "1000 items" in picture.caption
    )
