"""Pretrained models with small FFNs beside their own, in params.yaml and through their stages."""

import json
import re
import shutil

import numpy as np
import pyarrow as pa
import pytest
import torch
from made_up import TEXTS
from made_up_decoders import LLAMA, made_up
from project import REPOSITORY
from transformers import PreTrainedTokenizerFast

from duo.data import tokenizer
from duo.errors import InputError
from duo.model import pretrained
from duo.tables import adapted as tables
from duo.tables.data import DOCUMENTS, OWN_WINDOWS
from duo.tables.pretrained import ROUTE_LOSSES
from duo.tables.report import FIGURE
from workflow import instance, stage
from workflow.__main__ import merge
from workflow.params import load_params, read_yaml
from workflow.stages import adapted, adapted_patterns, adapted_router, pretrained_losses

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
            "adapted.smollm2.p_big + p_skip: 1.0 leaves nothing to small FFNs",
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
            "figures.patterns.figure-7: 'figure-7' needs another name: another figure has this one",
        ),
        (
            {"pretrained_routes": {"smollm2-small-big": {"of": "pretrained"}}},
            "pretrained_routes.smollm2-small-big.choices: ['small', 'big'] hold small: that needs of: adapted",
        ),
        (
            {"pretrained_routes": {"smollm2-small-big": {"choices": ["skip", "big"]}}},
            "pretrained_routes.smollm2-small-big.choices: ['skip', 'big'] hold no small: that needs of: pretrained",
        ),
        (
            {"answers": {"smollm2-arc_easy": {"choices": ["small", "big"]}}},
            "answers.smollm2-arc_easy.choices: ['small', 'big'] hold small, which no model of pretrained has",
        ),
        (
            {"pretrained_routes": {"smollm2-blocks": {"blocks": 1}}},  # one block has no budget between none and all
            "pretrained_routes.smollm2-blocks.blocks: 1: input should be greater than or equal to 2",
        ),
    ],
)
def test_impossible_settings(tmp_path, change, message):
    path = tmp_path / "params.yaml"
    path.write_text(json.dumps(experiment(**change)))
    with pytest.raises(InputError, match=re.escape(message)):
        load_params(path)


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A directory with text, a tiny pretrained model and its windows; what stages make of them is left to do."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DUO_LIVE", "0")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    shutil.copy(REPOSITORY / "dvc.yaml", tmp_path)
    part = {"tokens": 8 * 4 * 16, "learning_rate": 1e-2}
    changes = {
        "seed": 1,
        "small": 4,
        "sequence": 16,
        "batch": 4,
        "optimizer": "adamw",
        "validation_sequences": 4,
        "p_big": 0.5,
        "p_skip": 0.0,
        **dict.fromkeys(("fit", "routes", "router"), part),
    }
    router = ROUTER | {"model": "tiny", "big": 1}
    values = read_yaml(REPOSITORY / "params.yaml")
    merge(
        values,
        {
            "runtime": {"threads": 1, "compile": False},
            "pretrained": {"tiny": {"source": "directory", "path": "tiny", "licence": "MIT", "attribution": "me"}},
            "adapted": {"tiny": changes},
            "adapted_routers": {
                "two": router,
                "three": router | {"choices": ["small", "big", "skip"], "skip": 0.6},
            },
            "figures": {"adapted_patterns": {"figure-9": ["two", "three"]}},
            "pretrained_windows": {"documents": 3, "validation_documents": 3, "tokens": 12},
            "pretrained_routes": {
                "small-big": {
                    "of": "adapted",
                    "model": "tiny",
                    "scope": "ffn",
                    "choices": ["small", "big"],
                    "blocks": 3,
                },
            },
        },
    )
    (tmp_path / "params.yaml").write_text(json.dumps(values))
    theirs = PreTrainedTokenizerFast(tokenizer_object=tokenizer.train(TEXTS, 300), bos_token=tokenizer.BOS)
    made_up("Llama", LLAMA | {"vocab_size": 300}).save_pretrained("artifacts/pretrained/tiny")
    theirs.save_pretrained("artifacts/pretrained/tiny")
    windows = []
    for domain in ("text", "code"):
        splits = ["train"] * 150 + ["validation"] * 20 + ["test"] * 15 + ["routing"] * 15
        names = [f"{domain}{index}" for index in range(len(TEXTS))]
        rows = {"id": names, "cluster": names, "domain": [domain] * len(names), "split": splits, "text": TEXTS}
        DOCUMENTS.write(rows | {key: [""] * len(names) for key in ("source", "licence")}, domain=domain)
        ids = {"domain": domain, "start": 0, "bytes": 1}
        windows += [
            ids | {"document": name, "cluster": name, "tokens": [0, *theirs(text)["input_ids"][:13]]}
            for name, text in list(zip(names, TEXTS, strict=True))[170:173]
        ]
    for split in ("test", "validation"):
        OWN_WINDOWS.write(pa.Table.from_pylist(windows, schema=OWN_WINDOWS.schema), model="tiny", split=split)
    (tmp_path / "artifacts/code").mkdir()
    for name in ("adapted", "adapted_router", "adapted_patterns", "pretrained_losses"):
        (tmp_path / f"artifacts/code/{name}.json").write_text("{}")
    return tmp_path


def run(module, key: str) -> None:
    """The stage, held to what it declares."""
    with stage.held(instance.find(module.__name__.split(".")[-1], key)):
        module.main(key)


def test_from_text_to_figure_9(project):
    run(adapted, "tiny")
    first = tables.SMALL_FFNS.path(model="tiny").read_bytes()
    losses = tables.ADAPTED_METRICS.read(model="tiny")["losses"]
    for domain in ("text", "code"):
        assert len(set(losses[f"{domain}/all_big"].values())) == 1  # the model stays as it was
        assert losses[f"{domain}/all_small"]["trained"] < losses[f"{domain}/all_small"]["before"]
    run(adapted, "tiny")
    assert tables.SMALL_FFNS.path(model="tiny").read_bytes() == first
    for router in ("two", "three"):
        run(adapted_router, router)
        routed = tables.ADAPTED_ROUTED.read(router=router).to_pandas()
        assert set(routed["kind"]) == {"soft", "hard"} | ({"exact"} if router == "two" else set())
        assert len(routed[routed["kind"] == "hard"]) == 2 * 3 * 12 and np.isfinite(routed["loss"]).all()
        assert (routed[routed["kind"] == "exact"]["big"] == 1).all()
        means = tables.ADAPTED_ROUTER_METRICS.read(router=router)
        assert means["code"]["hard"]["loss"] == pytest.approx(
            routed[(routed["kind"] == "hard") & (routed["domain"] == "code")]["loss"].mean(), rel=1e-5
        )
    run(adapted_patterns, "figure-9")
    assert "Figure 9" in FIGURE.path(name="figure-9", format="svg").read_text()
    assert not list((project / "artifacts/checkpoints").glob("*"))


def test_the_oracle_over_small_and_big(project):
    """Its routes are of the model with the small FFNs: all big is the model as it was, all small is what they say."""
    run(adapted, "tiny")
    run(pretrained_losses, "small-big")
    found = ROUTE_LOSSES.read(routes="small-big")
    losses = np.array(found["losses"].to_pylist())
    layers = tables.ADAPTED_METRICS.read(model="tiny")["layers"]
    assert losses.shape == (2 * 3 * 12, 2**layers), "what follows the token that begins a text is not scored"
    theirs, _ = pretrained.load("artifacts/pretrained/tiny", "tiny")
    windows = OWN_WINDOWS.read(model="tiny", split="test")["tokens"].to_pylist()
    ids = torch.tensor(windows)
    own = theirs(ids[:, :-1]).logits.log_softmax(-1).gather(-1, ids[:, 1:, None])[:, 1:, 0]
    np.testing.assert_allclose(losses[:, -1].reshape(own.shape), -own.detach(), atol=2e-2)
    assert abs(losses[:, 0] - losses[:, -1]).mean() > 1e-3
