"""One walk of the tree of a model that has too many routes to try all: what few departures from all big gain, and luck.

An oracle leaves out layers, token by token, with the true next token in hand, and gains. How much would it gain if next
tokens came as the model itself predicts them, so that no route were better than all big in expectation? That is luck,
computed exactly (duo.oracle.null). Losses are isolated: all tokens of a document take the route under trial.

A model that is too sure of itself makes luck look small, and what is left real. So its prediction is taken at the
temperature under which labels are likeliest. No document has a say in its own: every other one makes a half, and the
temperature of a half is fitted on the other.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from duo.errors import InputError
from duo.oracle import choosers
from duo.oracle.choosers import Predict
from duo.oracle.null import sample_labels
from duo.oracle.tree import Enumerator
from duo.oracle.walked import Walked
from duo.progress import progress
from duo.seeds import stream
from duo.terms import ALL_BIG, SAMPLED

FLATTEST, SHARPEST = 1 / 32, 32.0  # one over the temperature
STEP = 1e-3  # of it, relative: after a step of Newton's that is shorter, what is missing is some millionth
STEPS = 30


def walk(enumerator: Enumerator, tokens: np.ndarray, labels: np.ndarray, seed: int = 0) -> Walked:
    """Walk the tree of each document, one after the other, so that memory is that of one; shows its progress.

    labels [documents, length], of two documents or more; tokens [documents, length] or more, the first of which are
    read alone. seed: of the labels that are sampled. InputError where the enumerator's space is not bounded by
    departures, or leaves one route, or a loss is not finite.
    """
    space = enumerator.space
    if not space.departures or len(space) < 2:
        raise InputError(f"departures {space.departures}: should be 1 or more, or there is nothing to choose")
    context, reference = tokens.shape[1] - labels.shape[1], space.named(ALL_BIG)
    predict = choosers.by_route(enumerator.model, space, reference, enumerator.device, enumerator.scope, context)
    sharpness, *derivatives = cross_fitted(predict, tokens, labels)
    found = _empty(*labels.shape, len(space), 1 + min(space.departures, space.places))
    found.temperatures[:] = 1 / sharpness
    found.fit_slopes[:], found.fit_curvatures[:] = derivatives
    with progress("departures", "losses", total=labels.size * len(space)) as shown:
        for row, (document, wanted) in enumerate(zip(tokens, labels, strict=True)):
            predicted = predict(document)
            tempered = (predicted * sharpness[row]).log_softmax(-1)
            drawn = sample_labels(tempered.numpy(), stream(seed, SAMPLED, row))
            words = torch.from_numpy(np.stack([wanted, drawn]))
            budgets = [space.places - departures for departures in range(len(found.null_gain))]
            ids = torch.from_numpy(document)[None]
            scores = enumerator.everything(ids, words[:, None], tempered[None, None], budgets, shown.update)
            found.losses[row], found.sampled[row] = scores.losses[:, 0].numpy()
            if not np.isfinite(found.losses[row]).all():
                raise InputError(f"losses of the model: one of document {row} is not finite")
            found.sampled_labels[row], found.expected[row] = drawn, scores.expected[0, 0].numpy()
            found.surprisal[row] = -tempered.gather(1, words[0, :, None])[:, 0].numpy()
            found.entropy[row] = choosers.entropy(tempered).numpy()
            found.plain_entropy[row] = choosers.entropy(predicted).numpy()
            for departures, highest in enumerate(scores.highest[:, 0]):
                gain = highest - scores.highest[0, 0]
                expected = _mean(tempered, gain)
                slope = _mean(tempered, gain * predicted) - expected * _mean(tempered, predicted)
                found.null_gain[departures, row], found.null_slopes[departures, row] = expected, slope
                found.plain_null_gain[departures, row] = _mean(predicted, gain)
    return found


def _empty(documents: int, length: int, routes: int, bounds: int) -> Walked:
    """Room for what is found."""
    by_token = (documents, length)
    kinds = {"sampled_labels": np.int64, "losses": np.float32, "sampled": np.float32, "expected": np.float32}
    shapes = dict.fromkeys(("losses", "sampled", "expected"), (*by_token, routes))
    shapes |= dict.fromkeys(("null_gain", "plain_null_gain", "null_slopes"), (bounds, *by_token))
    shapes |= dict.fromkeys(("temperatures", "fit_slopes", "fit_curvatures"), (documents,))
    return Walked(*(np.empty(shapes.get(name, by_token), kinds.get(name, np.float64)) for name in Walked._fields))


def _mean(log_probabilities: Tensor, values: Tensor) -> np.ndarray:
    """[length] mean of values [length, vocabulary] where words come by log_probabilities [length, vocabulary]."""
    return (log_probabilities.exp() * values).sum(-1, dtype=torch.float64).numpy()


def cross_fitted(predict: Predict, tokens: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """[3, documents] one over the temperature at which labels are likeliest, of each document by the other half, and
    Walked's fit_slopes and fit_curvatures.

    tokens, labels as in `walk`; every other document makes a half.
    """
    found = np.empty((3, len(tokens)))
    with progress("temperatures", "documents") as shown:
        for half in (0, 1):
            own = slice(half, None, 2)
            found[0, 1 - half :: 2], found[1:, own] = _fit(predict, tokens[own], labels[own], shown.update)
    return found


def _fit(
    predict: Predict, tokens: np.ndarray, labels: np.ndarray, on_document: Callable[[], None]
) -> tuple[float, np.ndarray]:
    """One over the temperature at which labels are likeliest, from FLATTEST to SHARPEST; derivatives [2, documents].

    What duo.oracle.choosers.fit finds from all predictions at once, which may not fit into memory: here each step of
    Newton's method reads the documents again, a forward pass each.
    """
    weight = 1.0
    for _ in range(STEPS):
        derivatives = np.zeros((2, len(tokens)))
        for row, (document, wanted) in enumerate(zip(tokens, labels, strict=True)):
            derivatives[:, row] = _slopes(predict(document), wanted, weight)
            on_document()
        slope, curvature = derivatives.sum(axis=1)
        step = slope / max(curvature, 1e-12)
        before, weight = weight, min(max(weight - step, weight / 2, FLATTEST), weight * 2, SHARPEST)
        if abs(weight - before) < STEP * before:
            break
    derivatives[0] -= step * derivatives[1]  # where the last step leads
    return weight, derivatives


def _slopes(predicted: Tensor, labels: np.ndarray, weight: float) -> tuple[float, float]:
    """First and second derivative, by the weight, of the summed surprisal of labels [length] under a prediction.

    predicted [length, vocabulary], to be multiplied by the weight. The surprisal is convex in it.
    """
    chances = (predicted * weight).softmax(-1)
    mean = (chances * predicted).sum(-1)
    variance = (chances * (predicted - mean[:, None]) ** 2).sum(-1)
    slope = mean - predicted[torch.arange(len(labels)), torch.from_numpy(labels)]
    return slope.double().sum().item(), variance.double().sum().item()
