"""The Duo treatment of a pretrained OPT: its weights in a Duo model, whose small FFNs are new (paper, appendix A).

How much of a finished model's depth do its tokens need? The FFNs of the checkpoint become the big ones, so that with
all layers big the model is the OPT; only the small ones beside them have to be trained.
"""

import torch
from torch import Tensor

from duo.errors import InputError
from duo.model import pretrained
from duo.model.transformer import Duo, Shape
from duo.terms import BIG

ARGUMENT = "pretrained"  # which names the checkpoint in errors
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
    _check(pretrained.from_pretrained("AutoConfig", name, ARGUMENT).to_dict(), model.shape, name)
    # Only safetensors: the other format that checkpoints come in can run code when it is read.
    opt, report = pretrained.from_pretrained(
        "OPTForCausalLM", name, ARGUMENT, dtype=torch.float32, use_safetensors=True, output_loading_info=True
    )
    if report["missing_keys"]:
        raise InputError(f"{ARGUMENT}: {name!r} lacks the weights {', '.join(sorted(report['missing_keys']))}")
    model.load_state_dict(translate(opt.state_dict(), model.shape), strict=False)


def translate(weights: dict[str, Tensor], shape: Shape) -> dict[str, Tensor]:
    """An OPT's weights, by transformers' names, as those of a Duo of this shape: all but the small FFNs."""

    def both(module: str, *theirs: str) -> dict[str, Tensor]:
        """Weight and bias of one of our modules, from one of the OPT's or from several stacked."""
        return {
            f"{module}.{part}": torch.cat([weights[f"model.decoder.{name}.{part}"] for name in theirs])
            for part in ("weight", "bias")
        }

    ours = both("norm", "final_layer_norm")
    ours["embedding.weight"] = weights["model.decoder.embed_tokens.weight"]
    ours["places.weight"] = weights["model.decoder.embed_positions.weight"][OFFSET : OFFSET + shape.sequence]
    for index in range(shape.layers):
        at = f"layers.{index}."
        ours |= both(at + "attention_norm", at + "self_attn_layer_norm")
        ours |= both(at + "attention.qkv", *(f"{at}self_attn.{letter}_proj" for letter in "qkv"))
        ours |= both(at + "attention.out", at + "self_attn.out_proj")
        ours |= both(at + "ffn_norm", at + "final_layer_norm")
        ours |= both(at + f"ffns.{BIG}.up", at + "fc1")
        ours |= both(at + f"ffns.{BIG}.down", at + "fc2")
    return ours


def _check(config: dict, shape: Shape, name: str) -> None:
    """InputError where the checkpoint is no OPT of the known kind, or has other sizes than the shape."""
    needed = NEEDED if config.get("model_type") != "opt" else NEEDED | {"word_embed_proj_dim": config["hidden_size"]}
    for entry, value in needed.items():
        if config.get(entry) != value:
            raise InputError(
                f"{ARGUMENT}: {name!r} has {entry} {config.get(entry)!r} in its config.json; only {value!r} is "
                "supported"
            )
    sizes = {
        "layers": (shape.layers, config["num_hidden_layers"]),
        "width": (shape.width, config["hidden_size"]),
        "heads": (shape.heads, config["num_attention_heads"]),
        "big": (shape.big, config["ffn_dim"]),
        "vocabulary": (shape.vocabulary, config["vocab_size"]),
    }
    wrong = [f"{size}: {ours} should be {theirs}" for size, (ours, theirs) in sizes.items() if ours != theirs]
    if shape.sequence > config["max_position_embeddings"]:
        wrong.append(f"sequence: {shape.sequence} should be at most {config['max_position_embeddings']}")
    if wrong:
        raise InputError(f"{ARGUMENT}: {name!r} has other sizes than the model: {'; '.join(wrong)}")
