"""Pretrained models with small FFNs beside their own, in params.yaml and through their stages."""

import json
import re

import pytest
from project import REPOSITORY

from duo.errors import InputError
from workflow.__main__ import merge
from workflow.params import load_params, read_yaml

ROUTER = {"model": "smollm2", "mix": {"text": 0.5, "code": 0.5}, "choices": ["small", "big"], "big": 9}


def experiment(**groups) -> dict:
    """params.yaml as params/full.yaml changes it, and then as told."""
    values = read_yaml(REPOSITORY / "params.yaml")
    for patch in (read_yaml(REPOSITORY / "params/full.yaml"), groups):
        merge(values, patch)
    return values


def test_the_papers_three_routers_are_those_of_figure_9(tmp_path):
    path = tmp_path / "params.yaml"
    path.write_text(json.dumps(experiment()))  # JSON is YAML
    params = load_params(path)
    routers = [params.adapted_routers[name] for name in params.figures.adapted_patterns["figure-9"]]
    shares = [(*each.choices, each.big / 30, (each.skip or 0) / 30) for each in routers]
    assert shares == [("small", "big", 0.3, 0), ("skip", "big", 0.5, 0), ("small", "big", "skip", 0.3, 0.2)]
    assert {each.model for each in routers} == {"smollm2"} and params.adapted["smollm2"].small * 16 == 1536


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"adapted": {"smollm3": experiment()["adapted"]["smollm2"]}},
            "adapted: 'smollm3' is none of pretrained: ['smollm2'",
        ),
        (
            {"adapted": {"smollm2": {"p_skip": 0.5}}},
            "adapted.smollm2.p_big + p_skip: 1.0 leaves nothing to the small FFNs",
        ),
        (
            {"adapted_routers": {"one": ROUTER | {"model": "duo"}}},
            "adapted_routers.one.model: 'duo' is none of adapted: ['smollm2']",
        ),
        (
            {"adapted_routers": {"one": ROUTER | {"mix": {"text": 1.0}}}},
            "adapted_routers.one.mix: ['text'] must name the domains of corpus that have a training split",
        ),
        (
            {"figures": {"adapted_patterns": {"figure-9": ["both-4"]}}},
            "figures.adapted_patterns.figure-9: 'both-4' is none of adapted_routers",
        ),
        (
            {"figures": {"adapted_patterns": {"figure-7": ["smollm2-small-70-big-30"]}}},
            "figures.adapted_patterns: 'figure-7' needs another name: another figure has it",
        ),
    ],
)
def test_impossible_settings(tmp_path, change, message):
    path = tmp_path / "params.yaml"
    path.write_text(json.dumps(experiment(**change)))
    with pytest.raises(InputError, match=re.escape(message)):
        load_params(path)
