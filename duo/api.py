"""The science on plain arrays and tensors: five functions to ask one's own model with, from a notebook or a script.

They are thin: each checks what it is given, fills in settings that nobody wants to spell out, and calls what the
experiment itself calls. What comes as a tensor goes back as a tensor, on the CPU; all else as numpy arrays.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from duo import seeds, stats
from duo.data.evaluation_set import EvaluationSet
from duo.errors import InputError
from duo.model import decoders
from duo.model.device import Device
from duo.model.routable import Routable, check
from duo.oracle import choosers, select
from duo.oracle.departures import walk
from duo.oracle.null import batches
from duo.oracle.tree import Enumerator
from duo.routes import RouteSpace
from duo.studies.departures import Audited, by_departures
from duo.terms import ALL_BIG, BIG, SKIP

Array = np.ndarray | Tensor

CHUNK = 8192  # (route, token) pairs computed at once: of width 512 and two choices, some 50 MB per layer


class Best(NamedTuple):
    """The best route of every token within a budget, and what it costs."""

    routes: Array  # [...] codes
    losses: Array  # [...] nats


class Null(NamedTuple):
    """What an oracle would gain if the model's own prediction were all that can be known of the label; exact."""

    gain: Array  # [documents, length, budgets] nats: expected loss of the reference route less the oracle's
    bias: Array  # [documents, length, budgets] nats: expected loss of the best route without a label less the oracle's


def losses(
    model: Routable,
    tokens: Array,
    labels: Array,
    space: RouteSpace | None = None,
    *,
    budget: int | None = None,
    scope: str = "ffn",
    device: str = "cpu",
    precision: str = "fp32",
    compile: bool = False,
    chunk: int = CHUNK,
) -> Array:
    """Losses [documents, length, routes] in nats, fp32, of every label under every route, in order of their codes.

    This is what everything else is computed from: which route is best, how much routes differ, what a layer is worth.

    model: on `device`; a Duo, a model of transformers (whose FFNs are the big ones), or anything with the methods of
    duo.Routable. tokens, labels [documents, length]: ids, and the ids that follow them. space: by default every layer
    small or big. budget: only routes with exactly so many big layers, whose codes are space.with_budget(budget).
    scope: what a skip leaves out, the "ffn" or the whole "layer". precision: fp32, bf16, or auto, which is bf16 where
    the device multiplies in it. compile: by torch.compile, which pays for many documents and routes. chunk: (route,
    token) pairs computed at once, which bounds the memory. InputError where these don't fit together.
    """
    model = _routable(model)
    space = space or RouteSpace(len(model.layers))
    if budget is not None:
        (budget,) = _budgets(budget, space)
    enumerator = Enumerator(model, space, Device(device, precision, compile), chunk, scope, budget)
    ids, following = _ids(tokens, "tokens", model), _ids(labels, "labels", model)
    if ids.shape != following.shape:
        raise InputError(f"labels: of shape {following.shape}, should be of the tokens' shape {ids.shape}")
    by_route = enumerator.documents(torch.from_numpy(ids), torch.from_numpy(following))
    return _like(tokens, _finite(by_route.contiguous().numpy(), "losses of the model"))


def oracle(losses: Array, space: RouteSpace, budget: int | None = None, seed: int = 0) -> Best:
    """The best route with exactly `budget` big layers for every token, or of all, as codes of the space; and its loss.

    An oracle, since it knows the label; duo.null says how much of its gain that knowledge alone explains. losses
    [..., routes] under all routes of the space, in order of their codes. Equal losses are chosen among by chance,
    reproducibly by seed.
    """
    values = _finite(_numpy(losses), "losses")
    if values.shape[-1:] != (len(space),):
        raise InputError(
            f"losses: {values.shape[-1:]} routes, should be {len(space)}, all of the space in order of code"
        )
    routes = space.codes if budget is None else space.with_budget(*_budgets(budget, space))
    flat = values[..., space.index(routes)].reshape(-1, len(routes))
    best = select.lowest(flat, seeds.stream(seed, "oracle", budget))
    shape = values.shape[:-1]
    return Best(
        _like(losses, routes[best].reshape(shape)), _like(losses, flat[np.arange(len(flat)), best].reshape(shape))
    )


def null(
    model: Routable,
    tokens: Array,
    space: RouteSpace,
    budget: int | Sequence[int | None] | None,
    *,
    reference: str | int = ALL_BIG,
    temperature: float = 1.0,
    scope: str = "ffn",
    device: str = "cpu",
    precision: str = "fp32",
    compile: bool = False,
    chunk: int = CHUNK,
) -> Null:
    """What the oracle gains, per token, if labels come as the model itself predicts them under the reference route.

    On such labels no route is better than the reference route in expectation, so `gain`, over that route, is selection
    bias: compare it with the oracle's gain on the true labels. The gain also includes what a small budget costs. `bias`
    does not: it is the gain over the route of lowest expected loss within the budget. Both are exact sums over the
    vocabulary, so nothing is sampled.

    budget: one number of big layers or several, None being any; for one, gain and bias are [documents, length].
    reference: all_big,
    all_small or the code of a route. temperature: labels come as the predictions to the power 1 / temperature say; the
    one that makes true labels likeliest, on text that nothing is judged on, is the right one. The rest as in `losses`.
    """
    model = _routable(model)
    where, budgets = Device(device, precision, compile), _budgets(budget, space)
    enumerator, gains, biases = Enumerator(model, space, where, chunk, scope), [], []
    code, ids = space.named(reference), _ids(tokens, "tokens", model)
    if not 0 < temperature < math.inf:
        raise InputError(f"temperature {temperature}: should be above 0 and finite")
    names = [str(row) for row in range(len(ids))]
    documents = EvaluationSet(["tokens"] * len(ids), names, names, ids, ids)
    predict = choosers.by_route(model, space, code, where, scope)
    for _, part, labels, new, on_leaves in batches(enumerator, documents, ids[None]):
        plain = torch.stack([predict(document) for document in part.tokens])
        judge = (plain / temperature).log_softmax(-1)
        scores = enumerator.everything(torch.from_numpy(part.tokens), labels, judge[None], budgets, on_leaves)
        chances, expected = judge.double().exp(), scores.expected[0].numpy()
        oracle = -(chances * scores.highest).sum(-1)  # [budgets, batch, length]
        among = [space.codes if k is None else space.with_budget(k) for k in budgets]
        foreseen = np.stack([expected[..., space.index(routes)].min(axis=-1) for routes in among])
        gains.append((-(chances * plain).sum(-1) - oracle).permute(1, 2, 0)[:new].numpy())
        biases.append((foreseen - oracle.numpy()).transpose(1, 2, 0)[:new])
    gain, bias = (_finite(np.concatenate(each), "losses of the model").astype(np.float32) for each in (gains, biases))
    if budget is None or np.ndim(budget) == 0:
        gain, bias = gain[..., 0], bias[..., 0]
    return Null(_like(tokens, gain), _like(tokens, bias))


def audit(
    model: Routable,
    tokens: Array,
    *,
    departures: int | None = 2,
    blocks: int | None = None,
    choices: Sequence[str] = (SKIP, BIG),
    scope: str = "ffn",
    device: str = "cpu",
    precision: str = "fp32",
    compile: bool = False,
    chunk: int = CHUNK,
    context: int = 0,
    resamples: int = 2000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Audited:
    """Is an oracle's gain real in this model? A row for each number of departures from the model as it is, all big.

    In each, what the oracle over so many departures at most gains, in nats per token with its interval over documents;
    what it would gain if next tokens came as the model predicts them, which is luck; and what is left. Beside them,
    what routes gain that see no label (duo.studies.departures.ByDepartures). The prediction is taken at the temperature
    that suits the other half of the documents; .calibration has it, and how well the prediction fits.

    tokens [documents, context + length + 1]: ids, of which tokens[:, context + 1:] are scored. context: 1 where the
    first is the token that begins a text, behind which a model can't know where the text begins. departures: how many
    layers, or blocks of them, may take another choice, None being all; choices: which there are; the rest as in
    RouteSpace and `losses`.
    InputError of fewer than two documents.
    """
    model = _routable(model)
    ids = _ids(tokens, "tokens", model)
    if context < 0:
        raise InputError(f"context {context}: should be 0 or more")
    if len(ids) < 2 or ids.shape[1] < 2 + context:
        raise InputError(f"tokens: of shape {ids.shape}, should be 2 documents or more, of {2 + context} ids or more")
    space = RouteSpace(len(model.layers), tuple(choices), blocks, departures)
    if departures is None:
        space = replace(space, departures=space.places)
    enumerator = Enumerator(model, space, Device(device, precision, compile), chunk, scope)
    found = walk(enumerator, np.ascontiguousarray(ids[:, :-1]), np.ascontiguousarray(ids[:, 1 + context :]), seed)
    return by_departures(found, space, resamples, confidence, seed)


def bootstrap(
    values: Array | Sequence[Array],
    documents: Array | Sequence | None = None,
    statistic: Callable[[np.ndarray], float] | None = None,
    *,
    resamples: int = 2000,
    confidence: float = 0.95,
    seed: int = 0,
) -> stats.Interval:
    """A statistic of tokens' values, with the ends of its interval over documents: (value, low, high).

    Documents are drawn with replacement, with all their tokens: tokens of a document are alike, and an interval over
    tokens would be too narrow. For a difference of two things give their differences per token, which pairs them.

    values: [documents, length], a list of one array [tokens] per document, or, with `documents`, [tokens] whose
    documents' ids are documents [tokens]. statistic: of the values of all drawn documents, one after the other,
    [tokens]; by default their mean. The same seed draws the same documents. InputError below two documents.
    """
    if not 0 < confidence < 1:
        raise InputError(f"confidence {confidence}: should be above 0 and below 1, as 0.95 is")
    if resamples < 1:
        raise InputError(f"resamples {resamples}: should be 1 or more")
    groups = _by_document(values, documents)
    counts, every = np.array([len(group) for group in groups]), _finite(np.concatenate(groups), "values")

    def mean(weights: np.ndarray) -> stats.Numbers:
        sums = np.array([group.sum(dtype=np.float64) for group in groups])
        return {"value": stats.weighted_sums(weights, sums) / stats.weighted_sums(weights, counts)}

    def of_drawn(weights: np.ndarray) -> stats.Numbers:
        tokens = [np.repeat(row, counts).astype(int) for row in weights]
        return {"value": np.array([float(statistic(np.repeat(every, times))) for times in tokens])}

    rng = seeds.stream(seed, "bootstrap")
    numbers = mean if statistic is None else of_drawn
    return stats.intervals(numbers, len(groups), resamples, confidence, rng)["value"]


def _by_document(values: Any, documents: Any) -> list[np.ndarray]:
    """Values of each document, [tokens] each."""
    if documents is not None:
        flat, ids = _numpy(values), _numpy(documents)
        if flat.ndim != 1 or flat.shape != ids.shape:
            raise InputError(
                f"documents: of shape {ids.shape}, should be a document's id for each of values {flat.shape}"
            )
        return [flat[ids == name] for name in dict.fromkeys(ids.tolist())]
    each = isinstance(values, list | tuple) or _numpy(values).ndim == 2
    groups = (
        [_numpy(group) for group in (values if isinstance(values, list | tuple) else _numpy(values))] if each else []
    )
    if not groups or any(group.ndim != 1 or not len(group) for group in groups):
        raise InputError(
            "values: should be [documents, length], a list of an array [tokens] per document, each with a token or "
            "more, or [tokens] with `documents`"
        )
    return groups


def _routable(model: Any) -> Routable:
    """The model in the parts that the tree asks for; InputError where it has none."""
    if hasattr(getattr(model, "config", None), "model_type"):
        return decoders.routable(model)
    check(model)
    return model


def _budgets(budget: int | Sequence[int | None] | None, space: RouteSpace) -> list[int | None]:
    """One budget or several as a list; InputError where the space has no route of one."""
    budgets = [budget] if budget is None else np.atleast_1d(budget).tolist()
    if BIG not in space.choices and budgets != [None]:
        raise InputError(f"space: routes of {', '.join(space.choices)} have no budget; should have {BIG} too")
    if not budgets:
        raise InputError("budget: none is given; should be a number of big layers, or several")
    fewest = 0 if space.departures is None else max(0, space.places - space.departures)
    for number in budgets:
        if number is not None and number not in range(fewest, space.places + 1):
            raise InputError(
                f"budget {number}: should be a whole number from {fewest} to the number of layers ({space.places})"
            )
    return [None if number is None else int(number) for number in budgets]


def _finite(values: np.ndarray, name: str) -> np.ndarray:
    """The values; InputError where one is not a finite number."""
    wrong = np.argwhere(~np.isfinite(values))
    if len(wrong):
        raise InputError(f"{name}: {len(wrong)} of {values.size} are not finite, the first at {wrong[0].tolist()}")
    return values


def _ids(values: Array, name: str, model: Routable) -> np.ndarray:
    """Token ids [documents, length] as int64; InputError where they are none of the model's."""
    ids, vocabulary = _numpy(values), len(model.outputs)
    if ids.ndim != 2 or not ids.size or not np.issubdtype(ids.dtype, np.integer):
        raise InputError(f"{name}: {ids.dtype} of shape {ids.shape}, should be whole numbers [documents, length]")
    if ids.min() < 0 or ids.max() >= vocabulary:
        raise InputError(
            f"{name}: {ids.min()} to {ids.max()}, should be from 0 to {vocabulary - 1}, ids of the vocabulary"
        )
    return np.ascontiguousarray(ids, np.int64)


def _numpy(values: Any) -> np.ndarray:
    if isinstance(values, Tensor):
        values = values.detach().cpu()
        return (values.float() if values.dtype == torch.bfloat16 else values).numpy()
    return np.asarray(values)


def _like(given: Any, result: np.ndarray) -> Array:
    """The result as a tensor where what was given is one."""
    return torch.from_numpy(result) if isinstance(given, Tensor) else result
