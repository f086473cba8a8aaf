"""Pretrained models and tokenizers, from a local directory, a GGUF file or the Hugging Face hub.

transformers reads them; it is an optional package, slow to import, and so imported only here and when it is needed.
"""

from pathlib import Path
from typing import Any

import torch

from duo.errors import InputError

# Tokens of a window that are read alone: the one that begins a text. What follows it is not scored; it takes the route
# under trial with all others, and none of its own where each token has one.
CONTEXT = 1


def from_pretrained(kind: str, name: str, argument: str, **options: Any) -> Any:
    """What transformers' class `kind` makes of `name`, a local directory or NAME[@REVISION] on the hub.

    InputError, naming the `argument` that `name` came as, where transformers is not installed or `name` can't be read.
    """
    try:
        import transformers
    except ImportError:
        remedy = "needs the extra `pretrained`: pip install '.[pretrained]' in the checkout"
        raise InputError(f"{argument}: {name!r} {remedy}") from None
    path, _, revision = (name, "", "") if Path(name).is_dir() else name.partition("@")
    if revision:
        options["revision"] = revision
    try:
        return getattr(transformers, kind).from_pretrained(path, **options)
    except Exception as error:  # whatever is wrong with files or network, each library below raises errors of its own
        raise InputError(f"{argument}: {name!r} can't be read: {' '.join(str(error).split())}") from None


def load(name: str, argument: str = "model") -> tuple[Any, Any]:
    """A model for causal language modelling, in fp32 and for reading alone, and its tokenizer; both of transformers.

    name: a local directory or NAME[@REVISION] on the hub, with safetensors, a GGUF file, or a directory with one,
    whose weights are unpacked.
    InputError, naming the `argument` that it came as, where it can't be read.
    """
    source, options = _source(name, argument)
    weights = dict(options) if options else {"use_safetensors": True}
    if options:
        from transformers import GgufConfig

        weights["quantization_config"] = GgufConfig(dequantize=True)
    tokenizer = from_pretrained("AutoTokenizer", source, argument, **options)
    model = from_pretrained("AutoModelForCausalLM", source, argument, dtype=torch.float32, **weights)
    return model.eval().requires_grad_(False), tokenizer


def outline(name: str, argument: str = "model") -> Any:
    """The same model without its weights: what it takes can be told before it is read. name as in `load`."""
    source, options = _source(name, argument)
    config = from_pretrained("AutoConfig", source, argument, **options)
    from transformers import AutoModelForCausalLM

    try:
        with torch.device("meta"):
            return AutoModelForCausalLM.from_config(config).eval().requires_grad_(False)
    except ValueError as error:  # of a kind that is no causal language model
        raise InputError(f"{argument}: {name!r} can't be read: {' '.join(str(error).split())}") from None


def _source(name: str, argument: str) -> tuple[str, dict[str, str]]:
    """What transformers reads a model from, and with which options."""
    path = Path(name)
    unpacked = path.is_dir() and list(path.glob("*.safetensors"))
    if path.is_dir() and not unpacked and len(packed := list(path.glob("*.gguf"))) == 1:
        path = packed[0]
    if path.suffix == ".gguf":
        if not path.is_file():
            raise InputError(f"{argument}: {name!r} is no file")
        return str(path.parent), {"gguf_file": path.name}
    if path.is_dir() and not unpacked and list(path.glob("*.bin")):
        raise InputError(
            f"{argument}: {name!r} has weights in .bin files alone, which can run code when they are read; where you "
            'trust them, convert them: python -c "import transformers as t; '
            f"t.AutoModelForCausalLM.from_pretrained('{name}').save_pretrained('{name}')\""
        )
    return name, {}


def window(tokenizer: Any, text: str, tokens: int) -> list[int] | None:
    """The first ids of a text, so many to be scored and CONTEXT to be read before them; None where it has fewer.

    Before them stands the token that begins a text (`beginning`). It says little of where one begins, and that of a
    chat model says something else, so what follows it is not scored.
    """
    start = beginning(tokenizer)
    ids = tokenizer(text, add_special_tokens=False)["input_ids"][: CONTEXT + tokens]
    return [start, *ids] if len(ids) == CONTEXT + tokens else None


def beginning(tokenizer: Any) -> int:
    """Id of the token that begins a text; where there is none, of the one that ends it, as authors of such models
    advise. InputError where there is neither.
    """
    for index in (tokenizer.bos_token_id, tokenizer.eos_token_id):
        if index is not None:
            return index
    raise InputError("tokenizer: has neither a token that begins a text nor one that ends it")
