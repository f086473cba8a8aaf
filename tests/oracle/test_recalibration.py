"""A recalibrated model predicts as the original does at one temperature, under every route."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from models import DEVICE, TINY, make, random_tokens

from duo.data.evaluation_set import EvaluationSet
from duo.oracle.branch import log_probabilities
from duo.oracle.recalibration import recalibrate
from duo.routes import RouteSpace

SPACE = RouteSpace(TINY.layers)
REFERENCE = SPACE.named("all_big")


def drawn(duo, sharpness: float, documents: int = 400) -> EvaluationSet:
    """Random tokens whose labels come from the model's predictions, all layers big, to this power."""
    tokens, generator = random_tokens(documents, 8).numpy(), torch.Generator().manual_seed(5)
    labels = np.empty_like(tokens)
    for row, document in enumerate(tokens):
        predicted = log_probabilities(duo, SPACE, document, REFERENCE, DEVICE) * sharpness
        labels[row] = torch.multinomial(predicted.softmax(-1), 1, generator=generator)[:, 0]
    names = [str(row) for row in range(documents)]
    return EvaluationSet(["text"] * documents, names, names, tokens, labels)


@pytest.mark.parametrize("family", ["llama", "opt"])
@pytest.mark.parametrize("temperature", [0.7, 1.5])
def test_the_planted_temperature_divides_the_logits_of_every_route(family, temperature):
    duo, document = make(replace(TINY, family=family), scale=1.0), random_tokens(1, 8, seed=7)[0].numpy()
    for name, bias in duo.named_parameters():
        if name == "norm.bias":  # as a trained one has
            bias += 0.3
    sample = drawn(duo, 1 / temperature)
    before = [log_probabilities(duo, SPACE, document, route, DEVICE) for route in range(len(SPACE))]
    found = recalibrate(duo, REFERENCE, sample, DEVICE)
    assert found.temperature == pytest.approx(temperature, rel=0.1)
    assert found.loss_after < found.loss_before
    for route, plain in enumerate(before):
        now = log_probabilities(duo, SPACE, document, route, DEVICE)
        torch.testing.assert_close(now, (plain / found.temperature).log_softmax(-1), atol=1e-4, rtol=1e-4)
