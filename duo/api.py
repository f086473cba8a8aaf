"""The science on plain arrays and tensors: four functions to ask one's own model with, from a notebook or a script.

They are thin: each checks what it is given, fills in settings that nobody wants to spell out, and calls what the
experiment itself calls. What comes as a tensor goes back as a tensor, on the CPU; all else as numpy arrays.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from duo import seeds, stats
from duo.data.evaluation_set import EvaluationSet
from duo.errors import InputError
from duo.model.device import Device
from duo.model.routable import Routable, check
from duo.oracle import select
from duo.oracle.null import batches, null_labels, reference_predictions
from duo.oracle.tree import Enumerator
from duo.routes import RouteSpace
from duo.terms import ALL_BIG

Array = np.ndarray | Tensor

CHUNK = 8192  # (route, token) pairs computed at once: of width 512 and two choices, some 50 MB per layer


class Best(NamedTuple):
    """The best route of every token within a budget, and what it costs."""

    routes: Array  # [...] codes
    losses: Array  # [...] nats


class Null(NamedTuple):
    """What an oracle gains on labels that no route can foresee, because they are sampled from the model itself."""

    labels: Array  # [samples, documents, length] the sampled labels
    gain: Array  # [documents, length, budgets] nats: loss of the reference route less the oracle's, mean over samples
    bias: Array  # [documents, length, budgets] nats: loss of the best route without a label less the oracle's


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

    model: on `device`; a Duo, or anything with the methods of duo.Routable. tokens, labels [documents, length]: ids,
    and the ids that follow them. space: by default every layer small or big. budget: only routes with exactly so many
    big layers, whose codes are space.with_budget(budget). scope: what a skip leaves out, the "ffn" or the whole
    "layer". precision: fp32 or bf16. compile: by torch.compile, which pays for many documents and routes. chunk:
    (route, token) pairs computed at once, which bounds the memory. InputError where these don't fit together.
    """
    space = space or RouteSpace(len(model.layers))
    enumerator = Enumerator(model, space, Device(device, precision, compile), chunk, scope, budget)
    if budget is not None:
        _check_budgets([budget], space)
    ids, following = _ids(tokens, "tokens", model), _ids(labels, "labels", model)
    if ids.shape != following.shape:
        raise InputError(f"labels: of shape {following.shape}, should be of the tokens' shape {ids.shape}")
    by_route = enumerator.documents(torch.from_numpy(ids), torch.from_numpy(following))
    return _like(tokens, by_route.contiguous().numpy())


def oracle(losses: Array, space: RouteSpace, budget: int, seed: int = 0) -> Best:
    """The best route with exactly `budget` big layers for every token, as codes of the space, and its loss.

    An oracle, since it knows the label; duo.null says how much of its gain that knowledge alone explains. losses
    [..., routes] under all routes of the space, in order of their codes. Equal losses are chosen among by chance,
    reproducibly by seed.
    """
    values = _numpy(losses)
    if values.shape[-1:] != (len(space),):
        raise InputError(
            f"losses: {values.shape[-1:]} routes, should be {len(space)}, all of the space in order of code"
        )
    _check_budgets([budget], space)
    routes = space.with_budget(budget)
    flat = values[..., routes].reshape(-1, len(routes))
    best = select.lowest(flat, seeds.stream(seed, "oracle", budget))
    shape = values.shape[:-1]
    return Best(
        _like(losses, routes[best].reshape(shape)), _like(losses, flat[np.arange(len(flat)), best].reshape(shape))
    )


def null(
    model: Routable,
    tokens: Array,
    space: RouteSpace,
    budget: int | Sequence[int],
    *,
    reference: str | int = ALL_BIG,
    temperature: float = 1.0,
    samples: int = 2,
    seed: int = 0,
    scope: str = "ffn",
    device: str = "cpu",
    precision: str = "fp32",
    compile: bool = False,
    chunk: int = CHUNK,
) -> Null:
    """What the oracle gains on labels sampled from the model's own predictions under the reference route, per token.

    On these labels no route is better than the reference route in expectation, so `gain`, over that route, is
    selection bias: compare it with the oracle's gain on the true labels. The gain also includes what a small budget
    costs. `bias` does not: it is the gain over the route of lowest expected loss within the budget. So much does
    selection bias take off the true oracle's loss: duo.oracle(...).losses + null.bias is the loss without it.

    budget: one number of big layers or several; for one, gain and bias are [documents, length]. reference: all_big,
    all_small or the code of a route. temperature: above 1 labels are sampled from flatter predictions than the model's.
    samples: labels sampled per token, whose mean is given. The rest as in `losses`.
    """
    check(model, space.layers)
    budgets = np.atleast_1d(budget).tolist()
    _check_budgets(budgets, space)
    code, ids = space.named(reference), _ids(tokens, "tokens", model)
    where = Device(device, precision, compile)
    documents = EvaluationSet(["tokens"] * len(ids), [str(row) for row in range(len(ids))], ids, ids)
    labels = null_labels(model, space, documents, code, temperature, samples, seed, where, scope)
    enumerator, parts = Enumerator(model, space, where, chunk, scope), []
    for part, part_labels, new, on_leaves in batches(enumerator, documents, labels):
        judge = reference_predictions(model, space, part.tokens, code, temperature, where, scope)
        scores = enumerator.everything(torch.from_numpy(part.tokens), part_labels, judge[None], [], on_leaves)
        sampled, expected = scores.losses[:, :new].numpy(), scores.expected[0, :new].numpy()
        parts.append([_gains(sampled, expected, space.with_budget(k), code) for k in budgets])
    gain, bias = (
        np.concatenate([np.stack([pair[which] for pair in part], axis=-1) for part in parts]) for which in (0, 1)
    )
    if np.ndim(budget) == 0:
        gain, bias = gain[..., 0], bias[..., 0]
    return Null(*(_like(tokens, values) for values in (labels, gain, bias)))


def _gains(sampled: np.ndarray, expected: np.ndarray, routes: np.ndarray, reference: int) -> tuple[np.ndarray, ...]:
    """Null's gain and bias [documents, length] at one budget, whose routes have the codes [routes].

    sampled [samples, documents, length, all routes] losses of the sampled labels; expected [documents, length, all
    routes] losses expected of them.
    """
    best = sampled[..., routes].min(axis=-1)
    label_free = routes[expected[..., routes].argmin(axis=-1)]
    without_label = np.take_along_axis(sampled, label_free[None, ..., None], axis=-1)[..., 0]
    return (sampled[..., reference] - best).mean(axis=0), (without_label - best).mean(axis=0)


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

    values: [documents, length], a list of one array per document, or, with `documents`, [tokens] whose documents' ids
    are documents [tokens]. statistic: of the values of all drawn documents, one after the other, [tokens]; by default
    their mean. The same seed draws the same documents. InputError below two documents.
    """
    groups = _by_document(values, documents)
    counts, every = np.array([len(group) for group in groups]), np.concatenate(groups)
    if not np.isfinite(every).all():
        raise InputError(
            f"values: one is not finite, that at {int(np.flatnonzero(~np.isfinite(every))[0])} of all tokens"
        )

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
    groups = [_numpy(group).ravel() for group in values]
    if not groups or not all(len(group) for group in groups):
        raise InputError("values: a document without tokens; should be [documents, length], each with a token or more")
    return groups


def _check_budgets(budgets: Sequence[int], space: RouteSpace) -> None:
    if not budgets:
        raise InputError("budgets: none is given; should be a number of big layers, or several")
    for budget in budgets:
        if not len(space.with_budget(budget)):
            raise InputError(f"budget {budget}: should lie between 0 and the number of layers ({space.layers})")


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
    return values.detach().cpu().numpy() if isinstance(values, Tensor) else np.asarray(values)


def _like(given: Any, result: np.ndarray) -> Array:
    """The result as a tensor where what was given is one."""
    return torch.from_numpy(result) if isinstance(given, Tensor) else result
