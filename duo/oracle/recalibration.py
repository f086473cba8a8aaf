"""A model that is as sure of itself as text bears out.

A model that is too sure of itself gains by any change of its predictions, routing included, and what an oracle gains
over it is not all to the credit of routes. A recalibrated one has no such gain to give: one temperature, the one that
makes validation text likeliest under the reference route, divides all its logits, whatever the route.
"""

from typing import NamedTuple

import torch

from duo.data.evaluation_set import EvaluationSet
from duo.model.device import Device
from duo.model.transformer import Duo
from duo.oracle.choosers import by_route, fit
from duo.routes import RouteSpace


class Recalibration(NamedTuple):
    """The temperature, and the mean loss in nats under the reference route on what it was fitted on."""

    temperature: float
    loss_before: float
    loss_after: float


def recalibrate(duo: Duo, reference: int, sample: EvaluationSet, device: Device) -> Recalibration:
    """Divide the model's final norm by the temperature under which the sample's labels are likeliest, in place.

    The sample is of the validation split. All of it counts, as one model serves all domains. reference: code of the
    route of small and big that predicts. Logits are linear in the norm's weights and biases, so these alone change.
    """
    predict = by_route(duo, RouteSpace(len(duo.layers)), reference, device)
    predicted, labels = torch.cat([predict(tokens) for tokens in sample.tokens]), sample.labels.ravel()
    (sharpness,) = fit(predicted[None], labels)
    with torch.no_grad():
        for weight in duo.norm.parameters():
            weight.mul_(sharpness)
    return Recalibration(1 / sharpness, _loss(predicted, labels), _loss(predicted * sharpness, labels))


def _loss(scores: torch.Tensor, labels: torch.Tensor) -> float:
    """Mean loss of labels [tokens] under logits [tokens, vocabulary]."""
    return torch.nn.functional.cross_entropy(scores.double(), torch.from_numpy(labels)).item()
