"""The null of sampled labels: how much of an oracle's gain is selection bias (docs/gain.md).

An oracle picks each token's route by the loss on the true label, and the lowest of hundreds of numbers is low whether
or not routes differ in anything but noise. The paper, whose oracle has the true label in hand, does not ask how much of
the gain that is. Here labels are sampled from the predictions of one route of the model itself, the reference route, at
the same positions of the same text. On such labels no route is better than the reference route in expectation, whatever
it computes. So all that an oracle gains on them over that route is selection bias: that is the null.

Within a budget, the best choice without a label is the route of lowest expected loss under the predictions that labels
are sampled from. Whatever the oracle gains over it on sampled labels is the selection bias of that budget, no more and
no less.

Two more numbers come from the same walk of the tree. Routes of lowest expected loss under a teacher's predictions give
a ceiling: what a router as good as the teacher could get. And the highest probability that any route gives to a word,
divided by the sum of these over all words, is a proper distribution: the normalised oracle.
"""

import logging
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pyarrow as pa
import torch
from scipy.special import log_softmax, softmax
from torch import Tensor
from tqdm import tqdm

from duo.data.evaluation_set import EvaluationSet
from duo.errors import InputError
from duo.model.device import Device
from duo.model.routable import Routable
from duo.oracle import select as oracle
from duo.oracle.branch import log_probabilities
from duo.oracle.tree import BATCH, Enumerator
from duo.routes import RouteSpace
from duo.seeds import stream
from duo.settings import SampledLabels
from duo.tables import files
from duo.terms import ALL_BIG, BIG, MATCHED, PLACEBO, SAMPLED

log = logging.getLogger(__name__)


def sample_labels(log_probabilities: Tensor, temperature: float, rng: np.random.Generator) -> np.ndarray:
    """Labels [length], one sampled from each row of log_probabilities [length, vocabulary] at a temperature.

    Above 1 the predictions are made flatter, below 1 sharper: probabilities to the power 1 / temperature, scaled anew.
    """
    return _draw(softmax(log_probabilities.numpy().astype(np.float64) / temperature, axis=1), rng)


def _draw(chances: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """[length] a word of each row of chances [length, vocabulary], whatever they add up to."""
    cumulative = chances.cumsum(axis=1)
    height = rng.random((len(cumulative), 1)) * cumulative[:, -1:]
    return np.minimum((cumulative <= height).sum(axis=1), cumulative.shape[1] - 1)


def null_labels(
    model: Routable,
    space: RouteSpace,
    sample: EvaluationSet,
    reference: int,
    temperature: float,
    samples: int,
    seed: int,
    device: Device,
    scope: str = "ffn",
) -> np.ndarray:
    """Labels [samples, documents, length] from the predictions of the model under the reference route, a code of the
    space.

    Documents are run one at a time and a label's random number belongs to its document, so neither shards nor batches
    change a label. scope: what a skip of the reference route leaves out, as in Enumerator.
    """
    labels = np.empty((samples, *sample.labels.shape), np.int64)
    for row, document in enumerate(zip(sample.domains, sample.documents, strict=True)):
        predicted = log_probabilities(model, space, sample.tokens[row], reference, device, scope)
        for index in range(samples):
            labels[index, row] = sample_labels(predicted, temperature, stream(seed, "luck", *document, index))
    return labels


def label_sets(
    model: Routable,
    space: RouteSpace,
    sample: EvaluationSet,
    reference: int,
    temperature: float,
    samples: int,
    within: float,
    seed: int,
    device: Device,
    scope: str = "ffn",
) -> dict[str, np.ndarray]:
    """Labels [sets, documents, length] that the model could have drawn, by their name in duo.studies.excess.

    SAMPLED, `samples` sets, are null_labels; MATCHED and PLACEBO, one set each, are `matched_labels` to the true ones
    and to the first of SAMPLED. within: nats; the rest as null_labels.
    """
    sampled = null_labels(model, space, sample, reference, temperature, samples, seed, device, scope)
    sets = {SAMPLED: sampled, MATCHED: np.empty_like(sampled[:1]), PLACEBO: np.empty_like(sampled[:1])}
    for row, document in enumerate(zip(sample.domains, sample.documents, strict=True)):
        predicted = log_probabilities(model, space, sample.tokens[row], reference, device, scope)
        for labels, truth in ((MATCHED, sample.labels[row]), (PLACEBO, sampled[0, row])):
            rng = stream(seed, labels, *document)
            sets[labels][0, row] = matched_labels(predicted, temperature, truth, within, rng)
    return sets


def matched_labels(
    log_probabilities: Tensor, temperature: float, labels: np.ndarray, within: float, rng: np.random.Generator
) -> np.ndarray:
    """Labels [length] sampled as sample_labels does, among the words whose surprisal is that of labels [length], give
    or take `within` nats. The label itself is one of them.
    """
    chances = log_softmax(log_probabilities.numpy().astype(np.float64) / temperature, axis=1)
    own = np.take_along_axis(chances, labels[:, None], axis=1)
    return _draw(np.where(abs(chances - own) <= within, np.exp(chances), 0), rng)


def reference_predictions(
    model: Routable,
    space: RouteSpace,
    tokens: np.ndarray,
    reference: int,
    temperature: float,
    device: Device,
    scope: str = "ffn",
) -> Tensor:
    """Log-probabilities [documents, length, vocabulary] that null_labels samples with.

    tokens [documents, length]; the rest as there.
    """
    predicted = [log_probabilities(model, space, document, reference, device, scope) for document in tokens]
    return (torch.stack(predicted) / temperature).log_softmax(-1)


def batches(
    enumerator: Enumerator, sample: EvaluationSet, labels: np.ndarray
) -> Iterator[tuple[EvaluationSet, Tensor, int, Callable[[int], None]]]:
    """Parts of the sample for the enumerator, with their labels [sets, batch, length], and how many of their documents
    are new.

    labels [sets, documents, length]. The last part is filled up with one of its documents, so that compiled code sees
    one shape. With each part goes the function that the enumerator reports its leaves to, which shows the progress.
    """
    documents, pairs = len(sample.documents), sample.labels.size * len(enumerator.routes)
    with tqdm(total=pairs, unit="loss", unit_scale=True, disable=None, desc="sampled labels") as progress:
        for start in range(0, documents, BATCH):
            rows = np.arange(start, min(documents, start + BATCH))
            filled = np.concatenate([rows, np.full(BATCH - len(rows), start)])
            yield sample.take(filled), torch.from_numpy(labels[:, filled]), len(rows), progress.update
            if progress.disable:
                log.info("documents %d of %d", rows[-1] + 1, documents)


def losses(enumerator: Enumerator, sample: EvaluationSet, labels: np.ndarray) -> np.ndarray:
    """Losses [sets, documents, length, routes] in nats of labels [sets, documents, length], by route of the
    enumerator.
    """
    parts = [
        enumerator.losses(torch.from_numpy(part.tokens), part_labels, on_leaves)[:, :new]
        for part, part_labels, new, on_leaves in batches(enumerator, sample, labels)
    ]
    return torch.cat(parts, dim=1).numpy()


def run(
    name: str,
    enumerator: Enumerator,
    sample: EvaluationSet,
    teachers: Sequence[Sequence[Routable]],
    settings: SampledLabels,
    budgets: Sequence[int],
    seed: int,
) -> pa.Table:
    """SAMPLED_LABELS of the model called `name`, which the enumerator holds, on the sample, in one walk of its tree.

    A teacher is one model or several, whose mean probabilities, all layers big, are then its predictions. Beside what
    the enumerator takes, (1 + teachers) * batch * length * vocabulary numbers of 4 bytes. InputError where a loss is
    not finite.
    """
    model, space, device = enumerator.model, enumerator.space, enumerator.device
    reference = space.named(settings.reference)
    sampled = null_labels(model, space, sample, reference, settings.temperature, settings.samples, seed, device)
    parts = []
    for part, labels, new, on_leaves in batches(enumerator, sample, np.concatenate([sample.labels[None], sampled])):
        predicted = [
            torch.stack([mean_prediction(models, tokens, device) for tokens in part.tokens]) for models in teachers
        ]
        judges = [
            *predicted,
            reference_predictions(model, space, part.tokens, reference, settings.temperature, device),
        ]
        scores = enumerator.everything(torch.from_numpy(part.tokens), labels, torch.stack(judges), budgets, on_leaves)
        for row in range(new):
            by_route = (
                scores.losses[:, row].numpy(),
                scores.expected[:, row].numpy(),
                scores.log_normaliser[row].numpy(),
            )
            parts.append(select(name, part.take(slice(row, row + 1)), *by_route, space, reference, budgets, seed))
    return pa.concat_tables(parts)


def mean_prediction(models: Sequence[Routable], tokens: np.ndarray, device: Device) -> Tensor:
    """Log of the mean over models of their probabilities, all layers big, [length, vocabulary], after each of one
    document's tokens.
    """
    space = RouteSpace(len(models[0].layers), (BIG,))  # of one route
    predicted = [log_probabilities(model, space, tokens, space.named(ALL_BIG), device) for model in models]
    return torch.stack(predicted).logsumexp(dim=0) - np.log(len(models))


def select(
    model: str,
    document: EvaluationSet,
    losses: np.ndarray,
    expected: np.ndarray,
    log_normaliser: np.ndarray,
    space: RouteSpace,
    reference: int,
    budgets: Sequence[int],
    seed: int,
) -> pa.Table:
    """SAMPLED_LABELS of one document, from the scores of all routes in order of their codes; among equal ones by
    chance.

    losses [1 + samples, length, routes] of the true labels, then of the sampled ones; expected [teachers + 1, length,
    routes] under the teachers' predictions, then under those that labels are sampled from; log_normaliser [length,
    budgets]; all in nats. reference: code of the reference route.
    """
    (domain,), (name,) = document.domains, document.documents
    if not np.isfinite(losses).all():
        raise InputError(f"model {model}, domain {domain}, document {name}: a loss is not finite")
    tables = []
    ids = {"model": [model] * losses.shape[1]} | document.columns()
    ids |= {
        "reference_loss": losses[0, :, reference],
        "null_reference_loss": files.fixed_lists(losses[1:, :, reference].T),
    }
    for index, budget in enumerate(budgets):
        routes = space.with_budget(budget)
        rng = oracle.ties(seed, budget, domain, name)
        columns = {"budget": np.full(losses.shape[1], budget), "log_normaliser": log_normaliser[:, index]}
        tables.append(pa.table(ids | columns | _select(losses[..., routes], expected[..., routes], routes, rng)))
    return pa.concat_tables(tables)


def _select(
    losses: np.ndarray, expected: np.ndarray, routes: np.ndarray, rng: np.random.Generator
) -> dict[str, np.ndarray | pa.Array]:
    """The columns of SAMPLED_LABELS that routes with codes [routes], the last axis of losses and expected, decide at
    one budget.
    """
    tokens = np.arange(losses.shape[1])
    true, *null = (oracle.lowest(labels, rng) for labels in losses)
    *ceiling, label_free = (oracle.lowest(judge, rng) for judge in expected)
    null_losses = [labels[tokens, best] for labels, best in zip(losses[1:], null, strict=True)]
    codes = routes.astype(np.int32)
    return {
        "oracle_route": codes[true],
        "oracle_loss": losses[0, tokens, true],
        "null_route": files.fixed_lists(codes[np.stack(null, axis=1)]),
        "null_loss": files.fixed_lists(np.stack(null_losses, axis=1)),
        "label_free_route": codes[label_free],
        "null_label_free_loss": files.fixed_lists(losses[1:, tokens, label_free].T),
        "ceiling_route": files.fixed_lists(codes[np.stack(ceiling, axis=1)]),
        "ceiling_loss": files.fixed_lists(np.stack([losses[0, tokens, best] for best in ceiling], axis=1)),
    }
