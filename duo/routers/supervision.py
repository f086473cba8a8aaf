"""What routers learn from where the tree of all routes is too dear: losses of a few random routes of each sequence.

A sequence's tokens share each route, as in the context `shared`, so that a route is one plain forward pass. Routes are
drawn independently and uniformly, with replacement, from those of a budget. So a mean over them estimates the mean over
all routes of the budget without bias, and so does every sum of terms that are linear in the losses.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from duo.data.evaluation_set import EvaluationSet, grams_of, share_in
from duo.data.tokenizer import pack
from duo.errors import InputError
from duo.model.device import Device
from duo.model.routable import Routable
from duo.oracle.branch import attend, logits
from duo.progress import progress
from duo.routes import RouteSpace
from duo.seeds import stream
from duo.tables import files
from duo.terms import BIG, SMALL

ROWS = 16  # sequences that run at once

# Log-probabilities [length, vocabulary] of what follows each token of a document [length].
Predict = Callable[[np.ndarray], Tensor]


class Sampled(NamedTuple):
    """Losses of random routes: fp32, in nats."""

    losses: Tensor  # [documents, length, routes] of the true labels
    expected: Tensor  # the same, mean loss where the label is sampled from a teacher's prediction


def choose_text(
    held_out: pa.Table, sequence: int, tokens: int, judged: Sequence[pa.Table], shared: float, seed: int
) -> EvaluationSet:
    """So many tokens of one domain in rows of `sequence`, each a document to its name, in an order that a smaller
    number is the beginning of.

    held_out: HELD_OUT of the split that routers learn from. The rows are cut as training's are, from documents one
    after the other. Clusters of several documents, such as packages, take turns, each with its rows in random order;
    else few long files, or one package, would make most of it. A row of whose runs of tokens more than the share
    `shared` is in the windows that are judged (EVALUATION_SET) is passed over. InputError where there are too few.
    """
    (domain,) = held_out["domain"].unique().to_pylist()
    known = np.unique(np.concatenate([grams_of(np.array(each["tokens"].to_pylist(), np.int64)) for each in judged]))
    needed, chosen = -(-tokens // sequence), []
    for row in in_turn(_rows(held_out, sequence, stream(seed, "supervision", "text", domain))):
        if len(chosen) == needed:
            break
        if share_in(grams_of(row[None]), known) <= shared:
            chosen.append(row.astype(np.int64))
    if len(chosen) < needed:
        raise InputError(
            f"domain {domain!r}: {tokens} tokens are asked for, but its routing split gives "
            f"{len(chosen) * sequence} in rows of {sequence} that repeat nothing that is judged; ask for fewer"
        )
    ids, names = np.stack(chosen), [f"row {index}" for index in range(needed)]
    return EvaluationSet([domain] * needed, names, names, ids[:, :-1], ids[:, 1:])


def _rows(held_out: pa.Table, sequence: int, random: np.random.Generator) -> list[np.ndarray]:
    """Rows [rows, sequence + 1] of each cluster, in random order; of all documents where each is its own cluster."""
    held_out = held_out.sort_by("document")
    clusters = held_out["cluster"].to_numpy(zero_copy_only=False)
    if len(np.unique(clusters)) == len(clusters):
        clusters = np.zeros(len(clusters))
    documents = [np.array(each, np.int64) for each in held_out["tokens"].to_pylist()]
    parts = []
    for name in np.unique(clusters):
        rows = pack([documents[index] for index in np.flatnonzero(clusters == name)], sequence, random)
        parts.append(rows[random.permutation(len(rows))])
    return [parts[index] for index in random.permutation(len(parts))]


def in_turn(parts: Sequence[np.ndarray]) -> Iterator[np.ndarray]:
    """The first row of every part, then the second of all that have one, and so on."""
    for index in range(max(map(len, parts))):
        yield from (part[index] for part in parts if index < len(part))


def table(sample: EvaluationSet, routes: np.ndarray, found: Sampled) -> pa.Table:
    """SUPERVISION (duo.tables.learning): the sample's rows, of one domain, their routes [rows, routes], and what `run`
    has found.
    """
    ids = np.concatenate([sample.tokens, sample.labels[:, -1:]], axis=1)
    columns = {"domain": sample.domains, "row": np.arange(len(ids), dtype=np.int32)}
    values = {"tokens": ids.astype(np.uint16), "routes": routes.astype(np.int32)}
    values |= {"losses": found.losses.numpy(), "expected": found.expected.numpy()}
    columns |= {name: files.fixed_lists(each.reshape(len(ids), -1)) for name, each in values.items()}
    return pa.table(columns)


def sample_routes(space: RouteSpace, budgets: Sequence[int], each: int, sample: EvaluationSet, seed: int) -> np.ndarray:
    """Codes [documents, budgets, each] of routes drawn uniformly from those of every budget, for every document.

    They belong to the document, and to the place of its first token: what else is in the sample has no say.
    """
    codes = [space.with_budget(budget) for budget in budgets]
    drawn = []
    for document in zip(sample.domains, sample.documents, strict=True):
        rng = stream(seed, "supervision", *document)
        drawn.append(np.stack([rng.choice(of_budget, each) for of_budget in codes]))
    return np.stack(drawn)


def run(
    model: Routable, space: RouteSpace, sample: EvaluationSet, routes: np.ndarray, teacher: Predict, device: Device
) -> Sampled:
    """Losses of the sample under each document's own routes [documents, routes], by plain passes; shows its progress.

    teacher: whose expected losses are given too. Memory: the logits of ROWS sequences, and width numbers per token.
    """
    documents, length = sample.tokens.shape
    rotations = model.rotations(0, length)
    score, outputs = device.compiled(_score), model.outputs.float()
    losses, expected, means = [], [], []
    with torch.no_grad(), device.autocast():
        for rows, taken in _parts(*routes.shape, length):
            while len(means) <= rows[-1]:
                means.append(teacher(sample.tokens[len(means)]).exp().to(outputs.device) @ outputs)
            tokens, labels = (torch.from_numpy(part[rows]).to(device.name) for part in (sample.tokens, sample.labels))
            big = torch.from_numpy(space.big(routes[rows, taken])).to(device.name)
            mean = torch.stack([means[row] for row in rows.tolist()])
            on_labels, on_teacher = score(model, tokens, labels, big, mean, rotations)
            losses.append(on_labels.float().cpu())
            expected.append(on_teacher.float().cpu())
    count = routes.size
    shaped = [torch.cat(part)[:count].view(documents, -1, length).mT for part in (losses, expected)]
    return Sampled(*shaped)


def _parts(documents: int, routes: int, length: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Rows of the sample and of its routes, ROWS at a time, document by document; the last part is filled up, so that
    compiled code sees one shape.
    """
    count = documents * routes
    with progress("supervision", "losses", total=count * length) as shown:
        for start in range(0, count, ROWS):
            index = np.minimum(np.arange(start, start + ROWS), count - 1)
            yield index // routes, index % routes
            shown.update(min(ROWS, count - start) * length)


def _score(
    model: Routable, tokens: Tensor, labels: Tensor, big: Tensor, means: Tensor, rotations: Any
) -> tuple[Tensor, Tensor]:
    """Losses and expected losses [rows, length] of tokens [rows, length], each row on the route whose layers big [rows,
    layers] are big.

    means [rows, length, width]: the teacher's means of the rows of the output matrix (duo.oracle.tree).
    """
    x = model.embed(tokens)
    for index, layer in enumerate(model.layers):
        attended = attend(layer, x[None], rotations)[0]
        small, large = layer.feed_forward(attended, (SMALL, BIG))
        x = attended + torch.where(big[:, index, None, None], large, small)
    scores = logits(model, x).float()
    total = scores.logsumexp(-1)
    on_labels = total - scores.gather(-1, labels[..., None])[..., 0]
    return on_labels, total - (model.final(x).float() * means).sum(-1)
