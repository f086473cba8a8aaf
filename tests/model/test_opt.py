"""A pretrained OPT in a Duo model: parity with transformers, what trains and what stays, what is refused."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from made_up import OPTIMIZER, TEXTS, corpora
from project import REPOSITORY as ROOT
from project import default_params
from torch.utils.flop_counter import FlopCounterMode

from duo.data import evaluation_set
from duo.data import tokenizer as tokens
from duo.errors import InputError
from duo.model import opt, transformer
from duo.model.device import Device
from duo.model.transformer import Duo, Shape
from duo.oracle.tree import Enumerator
from duo.routers import gate
from duo.routes import RouteSpace
from duo.settings import EvaluationSize, OneRouter, Pretrain
from duo.tables import files
from duo.tables.data import PACKED, held_out
from duo.training import loop, pretrain
from workflow.__main__ import merge
from workflow.params import Params, load_params, read_yaml

transformers = pytest.importorskip("transformers")


SHAPE = Shape(vocabulary=304, sequence=16, layers=2, width=24, heads=2, big=40, small=8, family="opt")
DEVICE = Device()
SETTINGS = Pretrain(
    tokens=16 * 4 * 6,
    batch=4,
    mix={"a": 1.0},
    p_big=0.5,
    p_skip=0.1,
    **OPTIMIZER,
    validate_every=3,
)
ROWS = {"a": np.random.default_rng(0).integers(0, 300, (12, 17)).astype(np.uint16)}
DATA = {"train": ROWS, "validation": ROWS}


def save_opt(path: Path, **changes) -> Path:
    """A random OPT in transformers' format, in which every weight, also a bias or norm, matters; of SHAPE but for
    `changes`.
    """
    settings = {"vocab_size": 304, "hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2, "ffn_dim": 40}
    settings |= {"max_position_embeddings": 20, "word_embed_proj_dim": 24} | changes
    torch.manual_seed(0)
    theirs = transformers.OPTForCausalLM(transformers.OPTConfig(**settings))
    with torch.no_grad():
        for weight in theirs.parameters():
            weight += 0.3 * torch.randn_like(weight)
    theirs.save_pretrained(path)
    return path


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """Weights, and a tokenizer of 301 entries whose BOS token is not that of our own tokenizers."""
    path = save_opt(tmp_path_factory.mktemp("opt") / "tiny")
    own = tokens.train(TEXTS, 299)
    vocabulary, merges = (json.loads(own.to_str())["model"][part] for part in ("vocab", "merges"))
    del vocabulary[tokens.BOS]
    vocabulary = {"<s>": 0, "<pad>": 1, "</s>": 2} | {entry: number + 2 for entry, number in vocabulary.items()}
    special = {"bos_token": "</s>", "eos_token": "</s>", "unk_token": "</s>", "pad_token": "<pad>"}
    transformers.GPT2TokenizerFast(
        vocab=vocabulary, merges=[tuple(pair) for pair in merges], **special
    ).save_pretrained(path)
    return path


@pytest.fixture
def filled(checkpoint):
    duo = Duo(SHAPE).initialise(torch.Generator().manual_seed(0))
    opt.fill(duo, str(checkpoint))
    return duo.eval().requires_grad_(False)


def some_tokens(seed: int = 0) -> torch.Tensor:
    return torch.randint(0, 304, (3, 16), generator=torch.Generator().manual_seed(seed))


def test_all_big_is_the_opt(checkpoint, filled):
    theirs = transformers.OPTForCausalLM.from_pretrained(checkpoint).eval()
    with torch.no_grad():
        expected = theirs(some_tokens()).logits
    found = filled(some_tokens(), torch.ones(2, dtype=torch.bool))
    assert expected.std() > 0.1
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    assert not torch.allclose(filled(some_tokens(), torch.tensor([True, False])), expected, atol=1e-2)


def test_only_the_small_ffns_train(checkpoint, filled, tmp_path):
    run = loop.TrainingRun("model", 1, tmp_path / "c")
    trained, history = pretrain.train(SHAPE, SETTINGS, DEVICE, DATA, run, pretrained=str(checkpoint))
    changed = {
        name for name, weight in trained.named_parameters() if not torch.equal(weight, filled.get_parameter(name))
    }
    fresh = dict(Duo(SHAPE).named_parameters())
    assert changed == {name for name in fresh if ".ffns.small." in name}
    losses = {(series, step): value for step, series, value in history}
    assert losses["validation/a/all_small", 6] < losses["validation/a/all_small", 3]
    assert losses["validation/a/all_big", 6] == losses["validation/a/all_big", 3]


def test_resumed_bitwise(checkpoint, tmp_path):
    def kill(step, values):
        if step == 5:
            raise KeyboardInterrupt

    def run(path, observe=lambda step, values: None):
        part = loop.TrainingRun("model", 1, path, observe)
        return pretrain.train(SHAPE, SETTINGS, DEVICE, DATA, part, pretrained=str(checkpoint))

    whole, history = run(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "killed", kill)
    resumed, resumed_history = run(tmp_path / "killed")
    assert resumed_history == history
    assert all(torch.equal(weight, resumed.get_parameter(name)) for name, weight in whole.named_parameters())


def test_saved_and_loaded(filled, tmp_path):
    transformer.save(filled, tmp_path / "m")
    loaded = transformer.load(tmp_path / "m")
    assert loaded.shape == SHAPE
    route = torch.tensor([True, False])
    assert torch.equal(loaded(some_tokens(), route), filled(some_tokens(), route))


def test_routes_are_enumerated_as_of_any_model(filled):
    losses = Enumerator(filled, RouteSpace(2), DEVICE, 64).losses(some_tokens(1), some_tokens(2)[None])[0]
    for code, route in enumerate(([False, False], [False, True], [True, False], [True, True])):
        logits = filled(some_tokens(1), torch.tensor(route))
        expected = torch.nn.functional.cross_entropy(logits.transpose(1, 2), some_tokens(2), reduction="none")
        torch.testing.assert_close(losses[..., code], expected, rtol=1e-4, atol=1e-4)


def test_a_router_trains_on_it(filled, tmp_path):
    shared = SETTINGS.model_dump(exclude={"mix", "p_big", "p_skip"}) | {"tokens": 16 * 4 * 40, "learning_rate": 0.1}
    settings = default_params().router.model_copy(update=shared | {"temperature": [1.0, 0.2]})
    one = OneRouter(model="duo", mix={"a": 1.0}, choices=["small", "big"], big=0.5)
    before = {name: weight.clone() for name, weight in filled.state_dict().items()}
    routed, history = gate.train(
        filled, one, "ffn", settings, DEVICE, DATA, loop.TrainingRun("router", 1, tmp_path / "c")
    )
    assert all(torch.equal(weight, before[name]) for name, weight in routed.backbone.state_dict().items())
    budget = [value for _, series, value in history if series == "budget_loss"]
    assert budget[-1] < 0.1 * budget[0] and budget[0] == pytest.approx(0.25**2)
    inputs, labels = ROWS["a"][:, :-1].astype(np.int64), ROWS["a"][:, 1:].astype(np.int64)
    found = gate.score(routed, one, 0.2, inputs, labels, DEVICE)
    big = torch.from_numpy(RouteSpace(2).decode(found["hard"]["route"]) == 1)
    logits = filled(torch.from_numpy(inputs), big)
    expected = torch.nn.functional.cross_entropy(logits.transpose(1, 2), torch.from_numpy(labels), reduction="none")
    np.testing.assert_allclose(found["hard"]["loss"], expected, rtol=1e-3, atol=1e-3)


def test_the_routes_of_24_layers_are_too_many(filled):
    with pytest.raises(
        InputError, match="24 layers, each small or big, make 16777216 routes; at most 1048576 can be tried"
    ):
        Enumerator(filled, RouteSpace(24), DEVICE, 64)


@pytest.mark.parametrize("big", [0, 2])
def test_flops_equal_the_counted_products(filled, big):
    filled.requires_grad_(True)  # attention in plain products, which torch counts

    def run():
        x = filled.embed(some_tokens())
        for index, layer in enumerate(filled.layers):
            x = layer.attend(x, filled.positions(16))
            x = x + layer.ffns["big" if index < big else "small"](layer.ffn_norm(x))
        filled.logits(x)

    with FlopCounterMode(display=False) as counter:
        run()
    assert counter.get_total_flops() == transformer.forward_flops(SHAPE, 16, big) * some_tokens().numel()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"width": 32},
            r"^pretrained: .*tiny' has other sizes than the model: width: 32 should be 24$",
        ),
        ({"big": 64, "layers": 3}, r" layers: 3 should be 2; big: 64 should be 40$"),
        ({"vocabulary": 300}, r" vocabulary: 300 should be 304$"),
        ({"sequence": 32}, r" sequence: 32 should be at most 20$"),
    ],
)
def test_other_sizes_are_one_clear_error(checkpoint, change, message):
    duo = Duo(replace(SHAPE, **change)).initialise(torch.Generator().manual_seed(0))
    before = {name: weight.clone() for name, weight in duo.state_dict().items()}
    with pytest.raises(InputError, match=message):
        opt.fill(duo, str(checkpoint))
    assert all(torch.equal(weight, before[name]) for name, weight in duo.state_dict().items())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"do_layer_norm_before": False}, "has do_layer_norm_before False in its config.json; only True is supported"),
        ({"word_embed_proj_dim": 16}, "has word_embed_proj_dim 16 in its config.json; only 24 is supported"),
        (
            {"activation_function": "gelu"},
            "has activation_function 'gelu' in its config.json; only 'relu' is supported",
        ),
    ],
)
def test_other_kinds_of_opt_are_refused(tmp_path, change, message):
    with pytest.raises(InputError, match=message):
        opt.fill(Duo(SHAPE), str(save_opt(tmp_path / "other", **change)))


def test_what_cannot_be_read_is_one_clear_error(checkpoint, tmp_path):
    for path in (tmp_path / "llama", tmp_path / "bin", tmp_path / "cut", tmp_path / "lacking"):
        path.mkdir()
        (path / "config.json").write_text((checkpoint / "config.json").read_text())
    (tmp_path / "llama" / "config.json").write_text('{"model_type": "llama"}')
    (tmp_path / "bin" / "pytorch_model.bin").write_bytes(b"pickled")
    weights = (checkpoint / "model.safetensors").read_bytes()
    (tmp_path / "cut" / "model.safetensors").write_bytes(weights[:-100])
    kept = {name: weight for name, weight in safetensors.torch.load(weights).items() if "layers.1.fc1" not in name}
    safetensors.torch.save_file(kept, tmp_path / "lacking" / "model.safetensors", metadata={"format": "pt"})
    messages = {
        "llama": "has model_type 'llama' in its config.json; only 'opt' is supported",
        "bin": "pretrained: .*bin' can't be read: .*safetensors",
        "cut": "pretrained: .*cut' can't be read: ",
        "lacking": r"lacks the weights model\.decoder\.layers\.1\.fc1\.bias, model\.decoder\.layers\.1\.fc1\.weight",
        "missing": "pretrained: .*missing' can't be read: ",
    }
    for name, message in messages.items():
        with pytest.raises(InputError, match=message):
            opt.fill(Duo(SHAPE), str(tmp_path / name))


def test_its_tokenizer_and_bos_token(checkpoint, tmp_path, monkeypatch):
    """Documents come back whole behind </s>, id 2, also one that spells it out; the evaluation set begins with it."""
    monkeypatch.setattr("duo.tables.files.ROOT", tmp_path)
    texts = {"train": TEXTS[:100], "validation": TEXTS[100:120], "test": [*TEXTS[120:130], "what </s> says"]}
    texts["routing"] = TEXTS[130:132]
    tokens.tokenize(corpora(**texts), 304, 16, 1, str(checkpoint))
    tested, tokenizer = held_out("test"), tokens.load()
    ids = tested["tokens"].to_pylist()
    assert [tokenizer.decode(each[1:]) for each in ids] == texts["test"]
    assert {each[0] for each in ids} == {2} and not any(2 in each[1:] for each in ids)
    assert (files.matrix(PACKED.read()["tokens"])[:, :-1] == 2).sum() >= 110
    size, known = EvaluationSize(documents=3, tokens=8, inside=0.0, shared=1.0), np.empty(0, np.uint64)
    chosen = evaluation_set.choose(tested, {"notes": known}, size, 3, tokenizer, 1, "test")
    sample = evaluation_set.of_windows(chosen.windows)
    assert (sample.tokens[:, 0] == 2).all()
    np.testing.assert_array_equal(sample.tokens[:, 1:], sample.labels[:, :-1])


def test_tokenizers_that_do_not_fit(checkpoint, tmp_path):
    with pytest.raises(InputError, match=r"vocabulary: 290 entries are too few for '.*tiny', whose largest id is 300"):
        tokens.pretrained(str(checkpoint), 290)
    with pytest.raises(InputError, match=r"tokenizer: '.*nothing' can't be read"):
        tokens.pretrained(str(tmp_path / "nothing"), 304)


def experiment(**groups) -> dict:
    """params.yaml as params/opt.yaml changes it, and then as told."""
    values = read_yaml(ROOT / "params.yaml")
    for patch in (read_yaml(ROOT / "params/opt.yaml"), groups):
        merge(values, patch)
    return values


def test_the_experiment_loads():
    params = Params.model_validate(experiment())
    assert Shape.of(params.tokens, params.model) == Shape(50272, 1024, 24, 2048, 32, 8192, 512, "opt")
    shares = [
        (one.big / 24, (one.skip or 0) / 24)
        for one in (params.routers[name] for name in params.figures.patterns["figure-9"])
    ]
    np.testing.assert_allclose(shares, [(0.3, 0), (0.5, 0), (0.3, 0.2)])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"tokens": {"pretrained": None}},
            "tokens.pretrained: None must be that of the weights (model.pretrained: 'facebook/opt-1.3b')",
        ),
        (
            {"models": {"duo": {"big": 100}}},
            "models.duo.big: 100 has no effect on big FFNs that are pretrained; remove it",
        ),
        (
            {"models": {"duo": {"big_first": 0.5}}},
            "models.duo.big_first: 0.5 has no effect on big FFNs that are pretrained; remove it",
        ),
        ({"models": {"duo": {"p_big": 1.0}}}, "models.duo.p_big: 1.0 leaves nothing to train"),
        ({"figures": {"patterns": {"figure-9": ["both-4"]}}}, "figures.patterns.figure-9: 'both-4' is none of routers"),
    ],
)
def test_impossible_settings(tmp_path, change, message):
    path = tmp_path / "params.yaml"
    path.write_text(json.dumps(experiment(**change)))  # JSON is YAML
    with pytest.raises(InputError, match=re.escape(message)):
        load_params(path)
