"""How much of the oracle's gain is luck of the label, which the paper, whose oracle chooses with the true label in
hand, doesn't ask.

Labels are sampled from the predictions of one route of the model itself, at the same positions of the same text. On
these no route is better than that one in expectation, whatever it computes; so all that an oracle gains on them over
that route is luck: the null. Among the routes of a budget, none is better there than the one that those predictions
let expect the lowest loss of: it needs no label, and what the oracle gains over it is luck, no more and no less.
Routes are also chosen by the loss that a teacher's predictions let expect: what a router as good as the teacher could
get, a ceiling. And the best probability of any route for each word, divided by their sum, is a proper distribution:
the normalised oracle.
"""

import logging
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pyarrow as pa
import torch
from scipy.special import softmax
from torch import Tensor
from tqdm import tqdm

from duo.data.evaluation_set import Sample
from duo.errors import InputError
from duo.model.device import Device
from duo.model.transformer import Duo
from duo.oracle import select as oracle
from duo.oracle.tree import BATCH, Enumerator
from duo.routes import RouteSpace
from duo.seeds import stream
from duo.settings import ALL_BIG, SampledLabels
from duo.tables import files

log = logging.getLogger(__name__)


@torch.no_grad()
def log_probabilities(model: Duo, tokens: np.ndarray, route: int, device: Device) -> Tensor:
    """Log-probabilities [time, vocabulary], fp32 on the CPU, of what follows each token of one document [time] under
    a route, its code.
    """
    big = torch.from_numpy(RouteSpace(len(model.layers)).big(np.array(route)))
    with device.autocast():
        logits = model(torch.from_numpy(tokens)[None].to(device.name), big.to(device.name))[0]
    return logits.float().log_softmax(-1).cpu()


def draw(log_probabilities: Tensor, temperature: float, rng: np.random.Generator) -> np.ndarray:
    """Labels [time] sampled from each row of log_probabilities [time, vocabulary], tempered: powers 1 / temperature,
    scaled anew.
    """
    cumulative = softmax(log_probabilities.numpy().astype(np.float64) / temperature, axis=1).cumsum(axis=1)
    height = rng.random((len(cumulative), 1)) * cumulative[:, -1:]
    return np.minimum((cumulative <= height).sum(axis=1), cumulative.shape[1] - 1)


def null_labels(
    model: Duo, sample: Sample, route: int, temperature: float, draws: int, seed: int, device: Device
) -> np.ndarray:
    """Labels [draws, documents, time] from the predictions of the model under one route of small and big, its code.

    Documents are run one at a time and a draw belongs to its document, so neither shards nor batches change a label.
    """
    labels = np.empty((draws, *sample.labels.shape), np.int64)
    for index, document in enumerate(zip(sample.domains, sample.documents, strict=True)):
        predicted = log_probabilities(model, sample.tokens[index], route, device)
        for each in range(draws):
            labels[each, index] = draw(predicted, temperature, stream(seed, "luck", *document, each))
    return labels


def source_predictions(model: Duo, tokens: np.ndarray, route: int, temperature: float, device: Device) -> Tensor:
    """Log-probabilities [documents, time, vocabulary] that labels for tokens [documents, time] are sampled with, as
    by null_labels.
    """
    predicted = torch.stack([log_probabilities(model, document, route, device) for document in tokens])
    return (predicted / temperature).log_softmax(-1)


def batches(
    enumerator: Enumerator, sample: Sample, labels: np.ndarray
) -> Iterator[tuple[Sample, Tensor, int, Callable[[int], None]]]:
    """Parts of the sample for the enumerator, with their labels [sets, batch, time], and how many of their documents
    are new.

    labels [sets, documents, time]. The last part is filled up with one of its documents, so that compiled code sees
    one shape. With each part goes what the enumerator tells its leaves; so the progress is shown.
    """
    documents, pairs = len(sample.documents), sample.labels.size * len(enumerator.routes)
    with tqdm(total=pairs, unit="loss", unit_scale=True, disable=None, desc="luck") as progress:
        for start in range(0, documents, BATCH):
            rows = np.arange(start, min(documents, start + BATCH))
            filled = np.concatenate([rows, np.full(BATCH - len(rows), start)])
            yield sample.take(filled), torch.from_numpy(labels[:, filled]), len(rows), progress.update
            if progress.disable:
                log.info("documents %d of %d", rows[-1] + 1, documents)


def losses(enumerator: Enumerator, sample: Sample, labels: np.ndarray) -> np.ndarray:
    """Losses [sets, documents, time, routes] in nats of labels [sets, documents, time] under all routes of the
    enumerator.
    """
    parts = [
        enumerator.losses(torch.from_numpy(some.tokens), wanted, on_leaves)[:, :new]
        for some, wanted, new, on_leaves in batches(enumerator, sample, labels)
    ]
    return torch.cat(parts, dim=1).numpy()


def run(
    name: str,
    enumerator: Enumerator,
    sample: Sample,
    teachers: Sequence[Sequence[Duo]],
    settings: SampledLabels,
    budgets: Sequence[int],
    seed: int,
) -> pa.Table:
    """SAMPLED_LABELS of the model called `name`, which the enumerator holds, on the sample, in one pass of its tree.

    A teacher is one model or several, whose mean probabilities, all layers big, are then its predictions. Beside what
    the enumerator takes, (1 + teachers) * batch * time * vocabulary numbers of 4 bytes. InputError where a loss is
    not finite.
    """
    model, device = enumerator.model, enumerator.device
    source = enumerator.space.named(settings.reference)
    sampled = null_labels(model, sample, source, settings.temperature, settings.samples, seed, device)
    parts = []
    for some, labels, new, on_leaves in batches(enumerator, sample, np.concatenate([sample.labels[None], sampled])):
        predicted = [
            torch.stack([mean_prediction(models, tokens, device) for tokens in some.tokens]) for models in teachers
        ]
        own = source_predictions(model, some.tokens, source, settings.temperature, device)
        judges = torch.stack([*predicted, own])
        found = enumerator.everything(torch.from_numpy(some.tokens), labels, judges, budgets, on_leaves)
        for index in range(new):
            scores = (
                each.numpy() for each in (found.losses[:, index], found.expected[:, index], found.log_normaliser[index])
            )
            parts.append(
                select(name, some.take(slice(index, index + 1)), *scores, enumerator.space, source, budgets, seed)
            )
    return pa.concat_tables(parts)


def mean_prediction(models: Sequence[Duo], tokens: np.ndarray, device: Device) -> Tensor:
    """Log of the mean over models of their probabilities, all layers big, [time, vocabulary], after each of one
    document's tokens.
    """
    all_big = RouteSpace(len(models[0].layers)).named(ALL_BIG)
    predicted = [log_probabilities(model, tokens, all_big, device) for model in models]
    return torch.stack(predicted).logsumexp(dim=0) - np.log(len(models))


def select(
    model: str,
    document: Sample,
    losses: np.ndarray,
    expected: np.ndarray,
    log_normaliser: np.ndarray,
    space: RouteSpace,
    source: int,
    budgets: Sequence[int],
    seed: int,
) -> pa.Table:
    """SAMPLED_LABELS of one document, from the scores of all routes in order of their codes; among equal ones by
    chance.

    losses [1 + draws, time, routes] of the true labels, then of the sampled ones; expected [teachers + 1, time,
    routes] under the teachers' predictions, then under those that labels are sampled from; log_normaliser [time,
    budgets]; all in nats. source: code of the route whose predictions the sampled labels are of.
    """
    (domain,), (name,) = document.domains, document.documents
    if not np.isfinite(losses).all():
        raise InputError(
            f"model {model}, domain {domain}, document {name}: a loss is not finite; train the model again"
        )
    tables = []
    ids = {"model": [model] * losses.shape[1]} | document.columns()
    ids |= {"reference_loss": losses[0, :, source], "null_reference_loss": files.fixed_lists(losses[1:, :, source].T)}
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
    own, *null = (oracle.lowest(each, rng) for each in losses)
    *ceiling, foreseen = (oracle.lowest(each, rng) for each in expected)
    codes = routes.astype(np.int32)
    return {
        "oracle_route": codes[own],
        "oracle_loss": losses[0, tokens, own],
        "null_route": files.fixed_lists(codes[np.stack(null, axis=1)]),
        "null_loss": files.fixed_lists(
            np.stack([each[tokens, best] for each, best in zip(losses[1:], null, strict=True)], axis=1)
        ),
        "label_free_route": codes[foreseen],
        "null_label_free_loss": files.fixed_lists(losses[1:, tokens, foreseen].T),
        "ceiling_route": files.fixed_lists(codes[np.stack(ceiling, axis=1)]),
        "ceiling_loss": files.fixed_lists(np.stack([losses[0, tokens, best] for best in ceiling], axis=1)),
    }
