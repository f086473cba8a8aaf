"""Kinds of models, told from their settings alone."""

import subprocess
import sys

import pytest
from project import REPOSITORY

from duo.settings import OneRouter, Variant
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


def test_a_router_is_trained_on_its_own_mix_or_on_that_of_pretrain():
    router = OneRouter(model="duo", choices=["small", "big"], big=2.0)
    own, theirs = {"text": 1.0, "code": 0.0}, {"text": 0.8, "code": 0.2}
    pretrain = PRETRAIN.model_copy(update={"mix": theirs})
    assert variants.mixed(router, pretrain).mix == theirs
    chosen = variants.mixed(router.model_copy(update={"mix": own}), pretrain)
    assert chosen.mix == own
    assert variants.learns_from(chosen, "text") and not variants.learns_from(chosen, "code")
    equal = variants.mixed(router, PRETRAIN.model_copy(update={"mix": None}))
    assert equal.mix is None and variants.learns_from(equal, "code")


def test_they_need_no_torch():
    program = "import sys; import duo.training.variants; print([m for m in ('torch', 'pyarrow') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
