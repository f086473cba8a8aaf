"""Who may choose a route without the label: predictions of the next token, calibrated on the validation split.

What is luck for one is foreseen by another, so selection bias has meaning only for a stated chooser: what it may know
is its prediction. Choosers are the model itself under the reference route (`own`), the mean of models that differ from
it by their seed (`others`), larger models (teachers, by their names), and all of these pooled (`stack`).

A prediction that is too sure of itself, or not sure enough, chooses badly and misjudges how lucky an oracle is. So a
chooser's prediction is q ~ exp(sum of w_i log p_i) over its members i, with the weights w that make the labels of the
validation split likeliest, in each domain; of a single member, w is one over the temperature. The likelihood is concave
in w, so the fit is unique.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pyarrow as pa
import torch
from scipy.optimize import minimize
from torch import Tensor

from duo.data.evaluation_set import EvaluationSet
from duo.model.device import Device
from duo.model.routable import Routable
from duo.oracle.branch import log_probabilities
from duo.routes import RouteSpace
from duo.tables.oracle import CALIBRATION
from duo.terms import ALL_BIG, BIG, OTHERS, OWN, STACK

PART = 2**24  # log-probabilities that are fp64 at once
# Log-probabilities [length, vocabulary], fp32 on the CPU, of what follows each token of one document but those that are
# read alone.
Predict = Callable[[np.ndarray], Tensor]


def by_route(
    model: Routable, space: RouteSpace, route: int, device: Device, scope: str = "ffn", context: int = 0
) -> Predict:
    """What the model predicts under a route, a code of the space; scope as in Enumerator.

    context: how many first tokens are read alone.
    """
    return lambda tokens: log_probabilities(model, space, tokens, route, device, scope, context)


def by_mean(models: Sequence[Routable], device: Device) -> Predict:
    """Log of the mean over models of their probabilities, all layers big."""
    space = RouteSpace(len(models[0].layers), (BIG,))  # of one route

    def predict(tokens: np.ndarray) -> Tensor:
        each = [log_probabilities(model, space, tokens, space.named(ALL_BIG), device) for model in models]
        return torch.stack(each).logsumexp(dim=0) - np.log(len(models))

    return predict


def members(
    own: Predict, teachers: Mapping[str, Routable], others: Sequence[Routable], device: Device
) -> dict[str, Predict]:
    """The predictions that choosers are made of, by name; without others, if there are none."""
    predictions = {OWN: own} | ({OTHERS: by_mean(others, device)} if others else {})
    return predictions | {name: by_mean([teacher], device) for name, teacher in teachers.items()}


def choosers(names: Sequence[str]) -> dict[str, list[str]]:
    """The members of each chooser: every member alone, and, where there are several, all of them pooled."""
    return {name: [name] for name in names} | ({STACK: list(names)} if len(names) > 1 else {})


def pooled(log_probabilities: Tensor, weights: Sequence[float]) -> Tensor:
    """Log-probabilities [..., vocabulary] of the weighted pool of log_probabilities [members, ..., vocabulary]."""
    return torch.tensordot(log_probabilities.new_tensor(weights), log_probabilities, dims=1).log_softmax(-1)


def fit(log_probabilities: Tensor, labels: np.ndarray) -> np.ndarray:
    """[members] the weights, none below 0, under which labels [tokens] are likeliest.

    log_probabilities [members, tokens, vocabulary]; they are gone through a part at a time, in fp64.
    """
    of_labels = log_probabilities[:, torch.arange(len(labels)), torch.from_numpy(labels)].double().mean(dim=1).numpy()
    parts = log_probabilities.split(max(1, PART // log_probabilities.shape[-1]), dim=1)

    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        """Cross entropy of the pool in nats, and its gradient."""
        total, expected = 0.0, np.zeros(len(weights))
        for predicted in map(Tensor.double, parts):
            combined = torch.tensordot(torch.from_numpy(weights), predicted, dims=1)
            totals = combined.logsumexp(-1, keepdim=True)
            total += totals.sum().item()
            expected += torch.einsum("tv,mtv->m", (combined - totals).exp(), predicted).numpy()
        return total / len(labels) - weights @ of_labels, expected / len(labels) - of_labels

    start = np.full(len(log_probabilities), 1 / len(log_probabilities))
    return minimize(loss, start, jac=True, method="L-BFGS-B", bounds=[(0, None)] * len(start)).x


def calibrate(model: str, predictions: Mapping[str, Predict], sample: EvaluationSet) -> pa.Table:
    """CALIBRATION of the model's choosers: their weights on the sample, which is of the validation split, by domain."""
    rows = []
    for domain in dict.fromkeys(sample.domains):
        part = sample.of(domain)
        labels = part.labels.ravel()
        by_member = {
            name: torch.cat([predict(tokens) for tokens in part.tokens]) for name, predict in predictions.items()
        }
        for chooser, names in choosers(list(by_member)).items():
            known = torch.stack([by_member[name] for name in names])
            weights = fit(known, labels)
            plain, after = (
                _scores(pooled(known, each), labels) for each in (np.full(len(known), 1 / len(known)), weights)
            )
            columns = ("plain_cross_entropy", "plain_entropy", "cross_entropy", "entropy")
            scores = dict(zip(columns, plain + after, strict=True))
            ids = {"model": model, "domain": domain, "chooser": chooser}
            rows += [ids | {"member": name, "weight": w} | scores for name, w in zip(names, weights, strict=True)]
    return pa.Table.from_pylist(rows, schema=CALIBRATION.schema)


def _scores(predicted: Tensor, labels: np.ndarray) -> tuple[float, float]:
    """Mean surprisal of labels [tokens] under log-probabilities [tokens, vocabulary], and their mean entropy; nats."""
    surprisal = -predicted[torch.arange(len(labels)), torch.from_numpy(labels)]
    return surprisal.double().mean().item(), entropy(predicted).double().mean().item()


def entropy(predicted: Tensor) -> Tensor:
    """[...] nats, of log-probabilities [..., vocabulary]."""
    return -(predicted.exp() * predicted).sum(-1)


class Choosers:
    """The calibrated choosers of one model.

    calibration: CALIBRATION of it. predictions: of its members, by name.
    """

    def __init__(self, calibration: pa.Table, predictions: Mapping[str, Predict]):
        self._predictions = predictions
        self._weights: dict[tuple[str, str], dict[str, float]] = {}  # of members, by domain and chooser
        for row in calibration.to_pylist():
            self._weights.setdefault((row["domain"], row["chooser"]), {})[row["member"]] = row["weight"]
        self.names = list(dict.fromkeys(chooser for _, chooser in self._weights))

    def predict(self, tokens: np.ndarray, domain: str) -> Tensor:
        """Log-probabilities [choosers, length, vocabulary] after each token of one document [length], of its domain."""
        by_member = {name: predict(tokens) for name, predict in self._predictions.items()}
        pools = []
        for chooser in self.names:
            weights = self._weights[domain, chooser]
            pools.append(pooled(torch.stack([by_member[name] for name in weights]), list(weights.values())))
        return torch.stack(pools)


def alone(model: str, own: Predict, validation: EvaluationSet) -> Choosers:
    """The one chooser that a model is to itself, calibrated on the sample of the validation split."""
    return Choosers(calibrate(model, {OWN: own}, validation), {OWN: own})
