"""Small FFNs beside those of pretrained decoders: all big is the model as it was, all else does as its parts say."""

import numpy as np
import pytest
import torch
from made_up_decoders import GPT2, LLAMA, NEOX, OPT, made_up
from models import brute_force

from duo import api
from duo.errors import InputError
from duo.model.extended import Extended, extend, load, save
from duo.routes import RouteSpace
from duo.training.random_routes import final_streams

MODELS = {
    "llama": ("Llama", LLAMA),
    "qwen2": ("Qwen2", LLAMA),
    "gpt2": ("GPT2", GPT2),
    "opt": ("OPT", OPT),
    "pythia": ("GPTNeoX", NEOX),
}
SMALL = 6
# Where their layers are, how wide their FFNs are inside, and which of its matrices are which of ours.
GATED = {"gate_up": ("mlp.gate_proj", "mlp.up_proj"), "down": ("mlp.down_proj",)}
PARTS = {
    "llama": ("model.layers", 48, GATED),
    "qwen2": ("model.layers", 48, GATED),
    "gpt2": ("transformer.h", 128, {"up": ("mlp.c_fc",), "down": ("mlp.c_proj",)}),
    "opt": ("model.decoder.layers", 48, {"up": ("fc1",), "down": ("fc2",)}),
    "pythia": ("gpt_neox.layers", 48, {"up": ("mlp.dense_h_to_4h",), "down": ("mlp.dense_4h_to_h",)}),
}
TOKENS = torch.randint(0, 61, (2, 13), generator=torch.Generator().manual_seed(1))


def adapted(name: str = "llama") -> Extended:
    """Its small FFNs random too, so that they say something."""
    model = extend(made_up(*MODELS[name]), SMALL)
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for weight in model.parameters():
            weight.normal_(0.0, 0.5, generator=generator)
    return model.requires_grad_(False)


@pytest.mark.parametrize("name", MODELS)
def test_all_big_is_the_model_as_it_was(name):
    torch.testing.assert_close(
        adapted(name)(TOKENS, torch.tensor([True] * 3)), made_up(*MODELS[name])(TOKENS).logits, atol=1e-5, rtol=1e-5
    )


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("scope", ["ffn", "layer"])
def test_the_tree_gives_what_forward_passes_of_all_routes_give(name, scope):
    model, space = adapted(name), RouteSpace(3, ("small", "big", "skip"))
    expected = brute_force(model, space, TOKENS[:, :-1], TOKENS[None, :, 1:], scope)[0]
    found = api.losses(model, TOKENS[:, :-1], TOKENS[:, 1:], space, scope=scope)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    assert found.std(-1).min() > 1e-3  # routes differ


@pytest.mark.parametrize("name", MODELS)
def test_tokens_may_take_routes_of_their_own(name):
    """As training runs them, each FFN for the tokens that take it alone, against every FFN for every token."""
    model = adapted(name)
    uniform = np.random.default_rng(0).random((*TOKENS.shape, 3), np.float32)
    found = model.logits(final_streams(model, TOKENS, uniform, 0.5))
    torch.testing.assert_close(found, model(TOKENS, torch.from_numpy(uniform) < 0.5), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", MODELS)
def test_a_small_ffn_is_one_of_the_same_kind(name):
    """As wide as the big one, and with its weights, it is the big one."""
    theirs, (layers, inner, parts) = made_up(*MODELS[name]), PARTS[name]
    model = extend(theirs, inner)
    for layer, their in zip(model.layers, theirs.get_submodule(layers), strict=True):
        for part, sources in parts.items():
            ours, modules = layer.small.get_submodule(part), [their.get_submodule(source) for source in sources]
            weights = [each.weight.T if name == "gpt2" else each.weight for each in modules]
            ours.weight.data = torch.cat(weights)
            if ours.bias is not None:
                ours.bias.data = torch.cat([each.bias for each in modules])
    big, small = (model(TOKENS, torch.tensor([choice] * 3)) for choice in (True, False))
    torch.testing.assert_close(small, big, atol=1e-5, rtol=1e-5)


def test_only_small_ffns_are_the_models_own():
    model, names = adapted(), ("gate_up", "down")
    expected = {f"layers.{layer}.small.{part}.weight" for layer in range(3) for part in names}
    assert {name for name, _ in model.named_parameters()} == set(model.state_dict()) == expected


def test_as_made_small_ffns_say_nothing():
    model = extend(made_up(*MODELS["llama"]), SMALL).initialise(torch.Generator().manual_seed(1))
    small, none = (model(TOKENS, *routes) for routes in ((torch.zeros(3).bool(),), (torch.ones(3).bool(),) * 2))
    assert torch.equal(small, none)
    again = extend(made_up(*MODELS["llama"]), SMALL).initialise(torch.Generator().manual_seed(1))
    assert all(map(torch.equal, model.state_dict().values(), again.state_dict().values()))


def test_they_are_saved_alone(tmp_path):
    for path in (tmp_path / "one", tmp_path / "other"):
        save(adapted(), path)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "other").read_bytes()
    again = load(tmp_path / "one", made_up(*MODELS["llama"]))
    assert torch.equal(again(TOKENS, torch.tensor([False] * 3)), adapted()(TOKENS, torch.tensor([False] * 3)))


def test_what_does_not_fit_is_one_error(tmp_path):
    path = tmp_path / "small.safetensors"
    with pytest.raises(InputError, match=f"{path}: is missing"):
        load(path, made_up(*MODELS["llama"]))
    path.write_bytes(b"nothing")
    with pytest.raises(InputError, match=f"{path}: no small FFNs of this model"):
        load(path, made_up(*MODELS["llama"]))
    save(adapted("gpt2"), path)
    with pytest.raises(InputError, match=f"{path}: no small FFNs of this model"):
        load(path, made_up(*MODELS["llama"]))
