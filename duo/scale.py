"""What a number must be held beside to be compared: the size of its model, and bits per byte where it is in nats.

It takes settings and counts alone, so that figures and pages can ask without loading a network.
"""

from collections.abc import Mapping
from math import log

from duo.settings import Model, Tokens


def parameters(tokens: Tokens, model: Model) -> int:
    """How many weights a Duo model of these params has, those of both FFNs of every layer counted.

    As duo.model.transformer builds it: embeddings tied to the output; like Llama 2, or where it is pretrained like OPT,
    with biases and learned positions.
    """
    width, inner = model.width, model.big + model.small
    if model.pretrained:
        layer = 4 * width * (width + 1) + 2 * width * inner + inner + 2 * width + 4 * width
        return (tokens.vocabulary + tokens.sequence) * width + model.layers * layer + 2 * width
    layer = 4 * width**2 + 3 * width * inner + 2 * width
    return tokens.vocabulary * width + model.layers * layer + width


def bits_per_nat(evaluation: Mapping[str, Mapping[str, int]]) -> dict[str, float]:
    """Bits per byte of a nat per token, by domain, from EVALUATION_SET_METRICS of one split.

    Models whose tokens differ can be compared by bits per byte of text alone.
    """
    return {domain: counts["tokens"] / counts["bytes"] / log(2) for domain, counts in evaluation.items()}
