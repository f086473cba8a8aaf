"""The model: parity with Hugging Face's Llama, causality, sizes, operation counts."""

import pytest
import torch
from models import TINY, make, random_tokens
from project import REPOSITORY
from torch.utils.flop_counter import FlopCounterMode

from duo.errors import InputError
from duo.model import transformer
from duo.model.transformer import Duo, Shape
from duo.terms import BIG, SMALL
from workflow.params import read_yaml


@pytest.mark.parametrize("choice", [BIG, SMALL])
def test_equals_llama(choice):
    """With one FFN everywhere, ours is LlamaForCausalLM with the same weights."""
    transformers = pytest.importorskip("transformers")
    duo = make()
    inner = TINY.big if choice == BIG else TINY.small
    llama = transformers.LlamaForCausalLM(
        transformers.LlamaConfig(
            vocab_size=TINY.vocabulary,
            hidden_size=TINY.width,
            intermediate_size=inner,
            num_hidden_layers=TINY.layers,
            num_attention_heads=TINY.heads,
            max_position_embeddings=TINY.sequence,
            rms_norm_eps=transformer.EPSILON,
            tie_word_embeddings=True,
        )
    ).eval()
    weights = {
        "model.embed_tokens.weight": duo.embedding.weight,
        "lm_head.weight": duo.embedding.weight,
        "model.norm.weight": duo.norm.weight,
    }
    for index, layer in enumerate(duo.layers):
        at = f"model.layers.{index}."
        q, k, v = layer.attention.qkv.weight.chunk(3)
        gate, up = layer.ffns[choice].gate_up.weight.chunk(2)
        weights |= {at + f"self_attn.{name}_proj.weight": weight for name, weight in zip("qkv", (q, k, v), strict=True)}
        weights |= {
            at + "self_attn.o_proj.weight": layer.attention.out.weight,
            at + "mlp.down_proj.weight": layer.ffns[choice].down.weight,
        }
        weights |= {at + "mlp.gate_proj.weight": gate, at + "mlp.up_proj.weight": up}
        weights |= {
            at + "input_layernorm.weight": layer.attention_norm.weight,
            at + "post_attention_layernorm.weight": layer.ffn_norm.weight,
        }
    llama.load_state_dict(weights)
    tokens = random_tokens(4, TINY.sequence)
    with torch.no_grad():
        theirs = llama(tokens).logits
    ours = duo(tokens, torch.full((TINY.layers,), choice == BIG))
    assert theirs.std() > 0.1
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


def test_training_attention_equals_inference_attention():
    duo = make()
    tokens, route = random_tokens(2, 16), torch.tensor([True, False, True])
    inference = duo(tokens, route)
    torch.testing.assert_close(duo.requires_grad_(True)(tokens, route).detach(), inference, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("trains", [False, True])
def test_the_future_changes_nothing_earlier(trains):
    duo = make().requires_grad_(trains)
    tokens = random_tokens(1, 16)
    route = torch.rand(1, 16, TINY.layers, generator=torch.Generator().manual_seed(1)) < 0.5
    changed, other_route = tokens.clone(), route.clone()
    changed[:, 9] = (changed[:, 9] + 1) % TINY.vocabulary
    other_route[:, 9] = ~other_route[:, 9]
    before, after = duo(tokens, route), duo(changed, other_route)
    assert torch.equal(before[:, :9], after[:, :9])
    assert not torch.allclose(before[:, 9:], after[:, 9:])
    assert not torch.allclose(before[:, 10:], after[:, 10:]), "position 9 must be seen later, through attention"


def test_skip_leaves_the_ffn_out():
    duo = make()
    tokens, nothing = random_tokens(2, 16), torch.zeros(TINY.layers, dtype=torch.bool)
    without = make()
    for layer in without.layers:
        for ffn in layer.ffns.values():
            ffn.down.weight.zero_()
    torch.testing.assert_close(duo(tokens, nothing, ~nothing), without(tokens, nothing))


@pytest.mark.parametrize("big", [0, 1, 3])
def test_flops_equal_the_counted_products(big):
    """The formula against torch's counter, over the layers' own grouped computation that runs each FFN where it is
    due.
    """
    duo = make()
    tokens = random_tokens(2, 16)

    def run():
        positions = duo.positions(16)
        x = duo.embedding(tokens)
        for index, layer in enumerate(duo.layers):
            x = layer.attend(x, positions)
            x = x + layer.ffns[BIG if index < big else SMALL](layer.ffn_norm(x))
        duo.logits(x)

    duo.requires_grad_(True)  # attention in plain products: torch does not count those inside its fused one
    with FlopCounterMode(display=False) as counter:
        run()
    assert counter.get_total_flops() == transformer.forward_flops(TINY, 16, big) * tokens.numel()


def test_the_papers_model_has_the_papers_size():
    """1.399 B parameters: 59 M in small FFNs, 944 M in big ones, 314 M in attention (paper, section 3), by
    params/paper.yaml.
    """
    changes = read_yaml(REPOSITORY / "params/paper.yaml")
    with torch.device("meta"):
        duo = Duo(Shape(**changes["tokens"], **changes["model"]))
    sizes = {
        part: sum(w.numel() for name, w in duo.named_parameters() if part in name) / 1e6
        for part in ("", "small", "big", "attention.")
    }
    assert round(sizes[""], 2) == 1399.26
    for part, printed in (("small", 59), ("big", 944), ("attention.", 314)):
        assert abs(sizes[part] - printed) < 1, part


def test_saved_and_loaded(tmp_path):
    duo = make()
    for path in (tmp_path / "a", tmp_path / "b"):
        transformer.save(duo, path)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    loaded = transformer.load(tmp_path / "a")
    assert loaded.shape == TINY
    tokens, route = random_tokens(1, 8), torch.tensor([True, True, False])
    assert torch.equal(loaded(tokens, route), duo(tokens, route))


def test_a_damaged_model_is_one_clear_error(tmp_path):
    path = tmp_path / "model.safetensors"
    with pytest.raises(InputError, match=r"model\.safetensors: is missing"):
        transformer.load(path)
    transformer.save(make(), path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(InputError, match=r"model\.safetensors: not a Duo model"):
        transformer.load(path)
