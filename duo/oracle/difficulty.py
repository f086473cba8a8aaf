"""What is measured on tokens of the synthetic domain, whose difficulty is known by construction."""

import numpy as np
import pyarrow as pa
import torch

from duo.data import synthetic
from duo.data.evaluation_set import EvaluationSet
from duo.oracle.null import batches, null_labels, reference_predictions
from duo.oracle.tree import Enumerator
from duo.settings import SampledLabels
from duo.tables.oracle import MEASURED


def measure(
    enumerator: Enumerator,
    sequences: np.ndarray,
    sample: EvaluationSet,
    budget: int,
    settings: SampledLabels,
    seed: int,
) -> pa.Table:
    """SYNTHETIC_TOKENS of sequences and sample as `synthetic.held_out` gives them; the enumerator's routes are all of
    small and big.

    Selection bias is measured on labels sampled from the predictions of one route of the model, as the settings say.
    The best choice without a label is there the route of lowest expected loss, so all that the oracle gains over it is
    selection bias, as in duo.studies.gain. The gap without it is the corrected gap.
    """
    reference = enumerator.space.named(settings.reference)
    model, space, device = enumerator.model, enumerator.space, enumerator.device
    sampled = null_labels(model, space, sample, reference, settings.temperature, settings.samples, seed, device)
    routes = enumerator.space.with_budget(budget)
    parts = []
    for part, labels, new, on_leaves in batches(enumerator, sample, np.concatenate([sample.labels[None], sampled])):
        predicted = reference_predictions(model, space, part.tokens, reference, settings.temperature, device)
        scores = enumerator.everything(torch.from_numpy(part.tokens), labels, predicted[None], [], on_leaves)
        parts.append(_measures(scores.losses[:, :new].numpy(), scores.expected[0, :new].numpy(), routes))
    measured = dict(zip(MEASURED, np.concatenate(parts, axis=1).reshape(len(MEASURED), -1), strict=True))
    ids = sample.columns() | {"token": sample.tokens.ravel(), "label": sample.labels.ravel()}
    del ids["domain"]
    return pa.table(ids | _known(sequences) | measured)


def _measures(losses: np.ndarray, expected: np.ndarray, routes: np.ndarray) -> list[np.ndarray]:
    """The columns MEASURED, each [documents, length] nats.

    losses [1 + samples, documents, length, all routes] on the true label, then on the sampled ones; expected
    [documents, length, all routes] under the predictions that these are sampled from; routes: codes of the budget.
    """
    all_small, all_big = losses[0, ..., 0], losses[0, ..., -1]
    oracle, *null = losses[..., routes].min(axis=-1)
    label_free = routes[expected[..., routes].argmin(axis=-1)]
    label_free_losses = np.take_along_axis(losses[1:], label_free[None, ..., None], axis=-1)[..., 0]
    selection_bias = (label_free_losses - null).mean(axis=0)
    gap = all_small - oracle
    return [all_small, all_big, oracle, gap, selection_bias, gap - selection_bias]


def _known(sequences: np.ndarray) -> dict[str, np.ndarray]:
    """Columns of what is known of every predicted token."""
    predicted = sequences[:, 1:].ravel()
    return {
        "kind": np.array(synthetic.KINDS)[predicted["kind"]],
        "difficulty": predicted["difficulty"],
        "entropy": predicted["entropy"],
    }
