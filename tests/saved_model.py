"""A tiny pretrained model in a directory, as transformers saves it: a random Llama, and a tokenizer of ASCII signs."""

from pathlib import Path

import torch
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

BOTH = {"bos_token": "<s>", "eos_token": "</s>"}  # ids 128 and 129


def save(path: Path, special: dict[str, str] = BOTH, layers: int = 2, scale: float = 1.0, words: int = 130, **options):
    """The model, which now lies at the path; its matrices are scaled up so that layers matter to the logits.

    words: how many the model knows; the tokenizer knows 130. options: of transformers' save_pretrained.
    """
    vocabulary = {chr(byte): byte for byte in range(128)} | {"<s>": 128, "</s>": 129}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.Split("", "isolated"), decoders.Fuse()
    transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special).save_pretrained(path)
    config = transformers.LlamaConfig(
        vocab_size=words, hidden_size=16, intermediate_size=24, num_hidden_layers=layers, num_attention_heads=2
    )
    torch.manual_seed(0)
    model = transformers.LlamaForCausalLM(config).eval().requires_grad_(False)
    for weight in model.parameters():
        weight *= scale if weight.ndim == 2 else 1
    model.save_pretrained(path, **options)
    return model
