"""Tiny pretrained decoders, as transformers builds them, with random weights."""

import torch
import transformers

SIZES = {"vocab_size": 61, "hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4}
LLAMA = SIZES | {"intermediate_size": 48, "max_position_embeddings": 64, "num_key_value_heads": 2}
OPT = SIZES | {"ffn_dim": 48, "max_position_embeddings": 64}
GPT2 = {"vocab_size": 61, "n_embd": 32, "n_layer": 3, "n_head": 4, "n_positions": 64}
NEOX = SIZES | {"intermediate_size": 48, "max_position_embeddings": 64}


def made_up(architecture: str, options: dict) -> torch.nn.Module:
    """A model with random weights, also where a new one has only ones and zeros."""
    torch.manual_seed(0)
    config = getattr(transformers, f"{architecture}Config")(**options)
    model = transformers.AutoModelForCausalLM.from_config(config).eval().requires_grad_(False)
    for weights in model.parameters():
        weights.add_(0.1 * torch.randn(weights.shape))
    return model
