"""Sizes and units that numbers are held beside."""

from math import log

import pytest
import torch

from duo import scale
from duo.model.transformer import Duo, Shape
from duo.settings import Model, Tokens


@pytest.mark.parametrize("pretrained", [None, "an-opt"])
def test_parameters_are_those_of_the_network(pretrained):
    tokens = Tokens(vocabulary=300, sequence=64, pretrained=pretrained)
    model = Model(layers=3, width=16, heads=2, big=48, small=8, pretrained=pretrained)
    with torch.device("meta"):
        network = Duo(Shape.of(tokens, model))
    assert scale.parameters(tokens, model) == sum(weights.numel() for weights in network.parameters())


def test_bits_per_byte_is_the_code_length_of_the_text():
    """100 tokens of 3 nats each, over 250 bytes, are 300 nats: 300 / ln 2 bits over 250 bytes."""
    bits = scale.bits_per_nat({"text": {"tokens": 100, "bytes": 250}, "code": {"tokens": 100, "bytes": 500}})
    assert 3 * bits["text"] == pytest.approx(300 / log(2) / 250)
    assert bits["text"] == 2 * bits["code"]
