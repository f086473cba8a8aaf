"""What is measured on tokens of the synthetic domain, whose difficulty and whose true distribution are known."""

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from duo.data import synthetic
from duo.data.evaluation_set import EvaluationSet
from duo.oracle.choosers import Choosers
from duo.oracle.null import batches, own_predictions
from duo.oracle.tree import Enumerator, Scores
from duo.tables.oracle import MEASURED


def measure(
    enumerator: Enumerator, sequences: np.ndarray, sample: EvaluationSet, budget: int, chooser: Choosers
) -> pa.Table:
    """SYNTHETIC_TOKENS of sequences and sample as `synthetic.held_out` gives them; the enumerator's routes are all of
    small and big.

    Selection bias is what the oracle gains over the best choice of the chooser that the model is to itself, if its
    prediction were right. Here the true distribution of every token is known, and so the true selection bias: that of a
    chooser who knows all that can be known. The one is judged by the other.
    """
    own, known = (
        torch.stack([*own_predictions(chooser, sample)]),
        torch.from_numpy(synthetic.chances(sequences)[:, 1:]).log(),
    )
    routes, parts = enumerator.space.with_budget(budget), []
    for rows, part, labels, new, on_leaves in batches(enumerator, sample, sample.labels[None]):
        judges = torch.stack([own[rows], known[rows]])
        scores = enumerator.everything(torch.from_numpy(part.tokens), labels, judges, [budget], on_leaves)
        parts.append(_measures(scores, judges, routes)[:, :new])
    measured = dict(zip(MEASURED, np.concatenate(parts, axis=1).reshape(len(MEASURED), -1), strict=True))
    ids = sample.columns() | {"token": sample.tokens.ravel(), "label": sample.labels.ravel()}
    del ids["domain"]
    return pa.table(ids | _known(sequences) | measured)


def _measures(scores: Scores, judges: Tensor, routes: np.ndarray) -> np.ndarray:
    """[measures, batch, length] nats: the columns MEASURED of a batch, at the budget of the routes with these codes.

    judges [2, batch, length, vocabulary]: log-probabilities of the model's own prediction, and of the truth.
    """
    losses = scores.losses[0].numpy()
    all_small, all_big, oracle = losses[..., 0], losses[..., -1], losses[..., routes].min(axis=-1)
    foreseen = scores.expected.numpy()[..., routes].min(axis=-1)
    null = -(judges.double().exp() * scores.highest[0]).sum(-1).numpy()
    bias, known_bias = foreseen - null
    gap = all_small - oracle
    return np.stack([all_small, all_big, oracle, gap, bias, known_bias, gap - bias, gap - known_bias])


def _known(sequences: np.ndarray) -> dict[str, np.ndarray]:
    """Columns of what is known of every predicted token."""
    predicted = sequences[:, 1:].ravel()
    return {
        "kind": np.array(synthetic.KINDS)[predicted["kind"]],
        "difficulty": predicted["difficulty"],
        "entropy": predicted["entropy"],
    }
