"""Kinds of models, told from their settings alone."""

import subprocess
import sys

import pytest
from project import REPOSITORY

from duo.settings import Variant
from duo.training import variants
from workflow.params import load_params

PRETRAIN = load_params(REPOSITORY / "params.yaml").pretrain


@pytest.mark.parametrize(
    ("changes", "p_big", "kind"),
    [
        ({}, 0.5, "duo"),
        ({}, 1.0, "dense"),
        ({"p_big": 0.5}, 1.0, "duo"),
        ({"p_big": 1.0}, 0.5, "dense"),
        ({"big_first": 0.5}, 0.5, "frozen"),
        ({"big_first": 0.5, "p_big": 1.0}, 0.5, "dense"),
        ({"p_skip": 0.2, "big": 64}, 0.5, "duo"),
    ],
)
def test_kind(changes, p_big, kind):
    assert variants.kind(Variant(seed=1, **changes), p_big) == kind


def test_a_model_is_trained_as_pretrain_says_but_for_its_changes():
    assert variants.pretraining(Variant(seed=7), PRETRAIN) == PRETRAIN
    changed = variants.pretraining(Variant(seed=7, p_big=0.25, p_skip=0.125, big_first=0.5, big=64), PRETRAIN)
    assert changed == PRETRAIN.model_copy(update={"p_big": 0.25, "p_skip": 0.125})


def test_models_differ_by_their_seed_alone_where_they_are_the_same_without():
    assert variants.without_seed(Variant(seed=1, big=64)) == variants.without_seed(Variant(seed=2, big=64))
    assert variants.without_seed(Variant(seed=1, big=64)) != variants.without_seed(Variant(seed=1, big=65))


@pytest.mark.parametrize(("width", "chance"), [(32, 0.0), (272, 0.5), (512, 1.0), (273, None), (31, None)])
def test_chance_of_equal_flops(width, chance):
    assert variants.equal_chance([0.0, 0.5, 1.0], width, 32, 512) == chance


def test_they_need_no_torch():
    program = "import sys; import duo.training.variants; print([m for m in ('torch', 'pyarrow') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
