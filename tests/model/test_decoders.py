"""Pretrained decoders give what transformers' own forward pass gives, for every family and option."""

import numpy as np
import pytest
import torch
from made_up_decoders import GPT2, LLAMA, NEOX, OPT, made_up

import duo
from duo import api
from duo.errors import InputError
from duo.model.decoders import FAMILIES, routable
from duo.model.device import Device
from duo.oracle.branch import log_probabilities
from duo.routes import RouteSpace

YARN = {"rope_type": "yarn", "rope_theta": 5e5, "factor": 2.0, "original_max_position_embeddings": 32}
LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 5e5,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 32,
}
CONFIGURATIONS = {
    "llama": ("Llama", LLAMA),
    "llama, one head of keys a query": ("Llama", LLAMA | {"num_key_value_heads": 4}),
    "llama, tied": ("Llama", LLAMA | {"tie_word_embeddings": True}),
    "llama, biases": ("Llama", LLAMA | {"attention_bias": True, "mlp_bias": True}),
    "llama, size of heads": ("Llama", LLAMA | {"head_dim": 12, "hidden_act": "gelu", "rms_norm_eps": 1e-3}),
    "llama 3": ("Llama", LLAMA | {"rope_parameters": LLAMA3}),
    "llama, linear": (
        "Llama",
        LLAMA | {"rope_parameters": {"rope_type": "linear", "rope_theta": 1e4, "factor": 4.0}},
    ),
    "llama, dynamic": (
        "Llama",
        LLAMA | {"rope_parameters": {"rope_type": "dynamic", "rope_theta": 1e4, "factor": 4.0}},
    ),
    "llama, yarn": ("Llama", LLAMA | {"rope_parameters": YARN}),
    "mistral": ("Mistral", LLAMA | {"sliding_window": 40}),
    "mistral, no window": ("Mistral", LLAMA | {"sliding_window": None, "head_dim": 16}),
    "qwen2": ("Qwen2", LLAMA),
    "qwen2, window": ("Qwen2", LLAMA | {"use_sliding_window": True, "sliding_window": 40, "max_window_layers": 1}),
    "qwen3": ("Qwen3", LLAMA | {"head_dim": 8, "attention_bias": True}),
    "qwen3, tied": ("Qwen3", LLAMA | {"head_dim": 16, "tie_word_embeddings": True}),
    "opt": ("OPT", OPT),
    "opt, narrow embedding": ("OPT", OPT | {"word_embed_proj_dim": 16, "tie_word_embeddings": False}),
    "opt, plain": (
        "OPT",
        OPT
        | {
            "enable_bias": False,
            "layer_norm_elementwise_affine": False,
            "_remove_final_layer_norm": True,
            "activation_function": "gelu",
        },
    ),
    "gpt2": ("GPT2", GPT2),
    "gpt2, scales": ("GPT2", GPT2 | {"scale_attn_by_inverse_layer_idx": True, "scale_attn_weights": False}),
    "gpt2, width of the ffn": (
        "GPT2",
        GPT2 | {"n_inner": 40, "activation_function": "relu", "reorder_and_upcast_attn": True},
    ),
    "gpt2, untied": ("GPT2", GPT2 | {"tie_word_embeddings": False}),
    "pythia": ("GPTNeoX", NEOX),
    "pythia, one after the other": ("GPTNeoX", NEOX | {"use_parallel_residual": False, "attention_bias": False}),
    "pythia, tied": (
        "GPTNeoX",
        NEOX | {"tie_word_embeddings": True, "rope_parameters": {"rope_theta": 1e4, "partial_rotary_factor": 0.5}},
    ),
}


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_log_probabilities_are_those_of_transformers(name):
    model = made_up(*CONFIGURATIONS[name])
    tokens = torch.randint(0, 61, (2, 40), generator=torch.Generator().manual_seed(1))
    expected = model(tokens).logits.log_softmax(-1)
    space = RouteSpace(3, ("skip", "big"))
    for row, theirs in zip(tokens.numpy(), expected, strict=True):
        ours = log_probabilities(routable(model), space, row, space.named("all_big"), Device())
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", ["llama", "qwen3", "opt", "gpt2", "pythia", "pythia, one after the other"])
def test_a_skipped_ffn_is_one_that_says_nothing(name):
    """Losses of the tree against forward passes of transformers, in which the FFN of a layer gives zeros."""
    model = made_up(*CONFIGURATIONS[name])
    tokens = torch.randint(0, 61, (2, 13), generator=torch.Generator().manual_seed(2))
    space = RouteSpace(3, ("skip", "big"))
    losses = api.losses(routable(model), tokens[:, :-1], tokens[:, 1:], space)
    for code, digits in enumerate(space.digits):
        hooks = [
            last.register_forward_hook(lambda module, given, result: torch.zeros_like(result))
            for last, digit in zip(ffn_outputs(model), digits, strict=True)
            if space.choices[digit] == "skip"
        ]
        scores = model(tokens[:, :-1]).logits.log_softmax(-1)
        torch.testing.assert_close(
            losses[..., code], -scores.gather(-1, tokens[:, 1:, None])[..., 0], atol=1e-5, rtol=1e-5
        )
        for hook in hooks:
            hook.remove()


@pytest.mark.parametrize("scope", ["ffn", "layer"])
def test_a_model_of_transformers_is_taken_as_it_is(scope):
    """Few departures: the oracle over them, and what it would gain by luck alone, which is what sums over words say."""
    model = made_up(*CONFIGURATIONS["qwen3"])
    tokens = torch.randint(0, 61, (3, 9), generator=torch.Generator().manual_seed(3))
    space = RouteSpace(3, ("skip", "big"), departures=1)
    losses = api.losses(model, tokens[:, :-1], tokens[:, 1:], space, scope=scope)
    best = api.oracle(losses, space)
    torch.testing.assert_close(best.losses, losses.amin(-1))
    assert set(best.routes.ravel().tolist()) <= {0b111, 0b011, 0b101, 0b110}
    null = api.null(model, tokens[:, :-1], space, None, scope=scope)
    every = torch.stack(
        [api.losses(model, tokens[:, :-1], torch.full((3, 8), word), space, scope=scope) for word in range(61)]
    )  # [words, documents, length, routes]
    plain = every[..., space.index(np.array(space.named("all_big")))]
    gain = ((-plain).exp() * (plain - every.amin(-1))).sum(0)
    torch.testing.assert_close(torch.as_tensor(null.gain), gain, atol=1e-5, rtol=1e-4)


def test_an_audit_of_a_model_of_transformers():
    """What its rows say is what losses and null say by themselves."""
    model = made_up(*CONFIGURATIONS["pythia"])
    tokens = torch.randint(0, 61, (4, 9), generator=torch.Generator().manual_seed(3))
    rows = duo.audit(model, tokens, departures=2, resamples=50).rows
    space = duo.RouteSpace(3, ("skip", "big"), departures=2)
    losses = duo.losses(model, tokens[:, :-1], tokens[:, 1:], space)
    gain = losses[..., -1] - duo.oracle(losses, space).losses
    assert [row.departures for row in rows] == [1, 2] and rows[-1].routes == len(space) == 7
    assert rows[-1].gain.value == pytest.approx(gain.mean().item(), rel=1e-4)
    null = duo.null(model, tokens[:, :-1], space, None).gain.mean().item()
    assert rows[-1].plain_null_gain.value == pytest.approx(null, rel=1e-4)
    for wrong in (tokens[:1], tokens[:, :1]):
        with pytest.raises(InputError, match="should be 2 documents or more, of 2 ids or more"):
            duo.audit(model, wrong)


def ffn_outputs(model: torch.nn.Module) -> list[torch.nn.Module]:
    """The last matrix of each layer's FFN."""
    names = ("mlp.down_proj", "fc2", "mlp.c_proj", "mlp.dense_4h_to_h")
    return [module for name, module in model.named_modules() if name.endswith(names)]


def test_every_family_is_held_to_transformers():
    tried = {made_up(*each).config.model_type for each in CONFIGURATIONS.values()}
    assert tried == set(FAMILIES)


@pytest.mark.parametrize(
    ("architecture", "options", "message"),
    [
        ("Gemma", LLAMA | {"head_dim": 8}, "type 'gemma' can't be routed; those of gpt2, gpt_neox, llama"),
        ("GPT2", GPT2 | {"add_cross_attention": True}, "add_cross_attention"),
        ("OPT", OPT | {"do_layer_norm_before": False}, "do_layer_norm_before"),
    ],
)
def test_what_has_no_place_in_a_route_is_refused(architecture, options, message):
    with pytest.raises(InputError, match=message):
        routable(made_up(architecture, options))


@pytest.mark.parametrize(("name", "most"), [("llama", 64), ("mistral", 40), ("qwen2, window", 40), ("gpt2", 64)])
def test_a_text_longer_than_the_model_reads_is_refused(name, most):
    model, tokens = routable(made_up(*CONFIGURATIONS[name])), np.zeros((1, most + 1), np.int64)
    with pytest.raises(InputError, match=f"{most + 1} of them, but the model reads at most {most}"):
        api.losses(model, tokens, tokens, RouteSpace(3, ("big",)))
