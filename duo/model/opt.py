"""The duo treatment of a pretrained OPT: its weights in a Duo model, whose small FFNs are new (paper, appendix A).

The FFNs of the checkpoint become the big ones; with every token on them the model is the OPT.
"""

import torch
from torch import Tensor

from duo.errors import InputError
from duo.model import pretrained
from duo.model.transformer import Duo, Shape
from duo.terms import BIG

KEY = "model.pretrained"
OFFSET = 2  # rows in OPT's table of positions that stand before the first position
# What a checkpoint must say of itself, as every OPT but the 350M one does.
NEEDED = {
    "model_type": "opt",
    "do_layer_norm_before": True,
    "_remove_final_layer_norm": False,
    "activation_function": "relu",
    "enable_bias": True,
    "layer_norm_elementwise_affine": True,
    "tie_word_embeddings": True,
}


def fill(model: Duo, name: str) -> None:
    """Give the model, of the family opt, all weights of a pretrained OPT; the small FFNs keep theirs.

    name: a local directory or NAME[@REVISION] on the Hugging Face hub. InputError where it can't be read, holds no
    safetensors, is another kind of model, or has other sizes than the model; the model is then as it was.
    """
    _check(pretrained.from_pretrained("AutoConfig", name, KEY).to_dict(), model.shape, name)
    # Only safetensors: the other format that checkpoints come in can run code when it is read.
    opt, found = pretrained.from_pretrained(
        "OPTForCausalLM", name, KEY, dtype=torch.float32, use_safetensors=True, output_loading_info=True
    )
    if found["missing_keys"]:
        raise InputError(f"{KEY}: {name!r} lacks the weights {', '.join(sorted(found['missing_keys']))}")
    model.load_state_dict(translate(opt.state_dict(), model.shape), strict=False)


def translate(weights: dict[str, Tensor], shape: Shape) -> dict[str, Tensor]:
    """An OPT's weights, by transformers' names, as those of a Duo of this shape: all but the small FFNs."""

    def both(mine: str, *its: str) -> dict[str, Tensor]:
        """Weight and bias of one module, from its own or from several stacked."""
        return {
            f"{mine}.{part}": torch.cat([weights[f"model.decoder.{name}.{part}"] for name in its])
            for part in ("weight", "bias")
        }

    found = both("norm", "final_layer_norm")
    found["embedding.weight"] = weights["model.decoder.embed_tokens.weight"]
    found["places.weight"] = weights["model.decoder.embed_positions.weight"][OFFSET : OFFSET + shape.sequence]
    for index in range(shape.layers):
        at = f"layers.{index}."
        found |= both(at + "attention_norm", at + "self_attn_layer_norm")
        found |= both(at + "attention.qkv", *(f"{at}self_attn.{letter}_proj" for letter in "qkv"))
        found |= both(at + "attention.out", at + "self_attn.out_proj")
        found |= both(at + "ffn_norm", at + "final_layer_norm")
        found |= both(at + f"ffns.{BIG}.up", at + "fc1")
        found |= both(at + f"ffns.{BIG}.down", at + "fc2")
    return found


def _check(config: dict, shape: Shape, name: str) -> None:
    """InputError where the checkpoint is no OPT of the known kind, or where params.yaml gives other sizes than it
    has.
    """
    needed = NEEDED if config.get("model_type") != "opt" else NEEDED | {"word_embed_proj_dim": config["hidden_size"]}
    for entry, value in needed.items():
        if config.get(entry) != value:
            raise InputError(
                f"{KEY}: {name!r} has {entry} {config.get(entry)!r} in its config.json; only {value!r} is supported"
            )
    sizes = {
        "model.layers": (shape.layers, config["num_hidden_layers"]),
        "model.width": (shape.width, config["hidden_size"]),
        "model.heads": (shape.heads, config["num_attention_heads"]),
        "model.big": (shape.big, config["ffn_dim"]),
        "tokens.vocabulary": (shape.vocabulary, config["vocab_size"]),
    }
    wrong = [f"{key}: {mine} should be {its}" for key, (mine, its) in sizes.items() if mine != its]
    if shape.sequence > config["max_position_embeddings"]:
        wrong.append(f"tokens.sequence: {shape.sequence} should be at most {config['max_position_embeddings']}")
    if wrong:
        raise InputError(f"{KEY}: {name!r} has other sizes than params.yaml: {'; '.join(wrong)}")
