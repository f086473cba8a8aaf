"""What choosers choose without the label in each context of duo.oracle.joint, and the null there.

The null of duo.oracle.null, token by token, whatever the others do meanwhile: what an oracle's loss is in expectation
where labels come from a chooser's prediction q, - sum over the vocabulary of q(v) max over routes of log p_route(v).
The chooser predicts from the text, with the model on its reference route, in every context alike.

In `greedy` the tokens before are on routes that won by their true labels. The null is exact there too: the label of a
token before is the next word of the text, so whoever predicts a token's label has seen all of these, and the routes
that follow from them say nothing new. Only the token's own label must be drawn anew, behind the past that is there. So
`greedy`, once its winners are known, is a run of all tokens on them as `reference` is of its run: all positions of a
document are tried side by side.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from torch import Tensor

from duo.data.evaluation_set import EvaluationSet
from duo.errors import InputError
from duo.model.device import Device
from duo.model.routable import Routable
from duo.oracle import choosers, select
from duo.oracle.choosers import Choosers
from duo.oracle.joint import run_jointly
from duo.oracle.tree import BATCH, Enumerator
from duo.progress import progress
from duo.routes import RouteSpace
from duo.terms import ISOLATED, JOINT, ORACLE

NUMBERS = ("route", ISOLATED, "expected", "null")  # columns of JOINT_CHOICES that a budget's walk gives
Numbers = dict[str, np.ndarray]  # [choosers, documents, length] of each


class Studied(NamedTuple):
    """The model whose routes are tried, by its name, and how."""

    name: str
    model: Routable
    space: RouteSpace
    device: Device
    chunk: int  # as in Enumerator
    reference: int  # code of the reference route, over which gains are
    seed: int
    scope: str = "ffn"  # likewise


def winners(table: pa.Table, sample: EvaluationSet) -> dict[int, np.ndarray]:
    """Codes [documents, length] of the oracle's routes by budget, from JOINT_LOSSES of the sample's documents.

    InputError where a document of the sample is not among them.
    """
    found = {}
    rows = table.filter(pc.equal(table["selection"], ORACLE))
    for budget in rows["budget"].unique().to_pylist():
        at = rows.filter(pc.equal(rows["budget"], budget))
        routes = at["route"].to_numpy()
        by_document = {(domain, document): routes[places] for domain, document, places in select.documents(at)}
        for domain, document in zip(sample.domains, sample.documents, strict=True):
            if (domain, document) not in by_document:
                raise InputError(f"domain {domain}, document {document}: has no routes in the table of joint losses")
        keys = zip(sample.domains, sample.documents, strict=True)
        found[budget] = np.stack([by_document[key][: sample.tokens.shape[1]] for key in keys]).astype(np.int64)
    return found


def shared_choices(tables: Iterable[pa.Table], sample: EvaluationSet, budgets: Sequence[int]) -> pa.Table:
    """CHOICES of the sample's documents at these budgets, document by document, from tables that hold more.

    InputError where a document of the sample is in none of them.
    """
    found = {}
    for walked in tables:
        for domain, document, rows in select.documents(walked):
            found[domain, document] = walked.slice(rows.start, rows.stop - rows.start)
    keys = list(zip(sample.domains, sample.documents, strict=True))
    for domain, document in keys:
        if (domain, document) not in found:
            raise InputError(f"domain {domain}, document {document}: is missing in the tables of choices")
    chosen = pa.concat_tables(found[key] for key in keys)
    return chosen.filter(pc.is_in(chosen["budget"], pa.array(budgets, chosen.schema.field("budget").type)))


@torch.no_grad()
def table(
    studied: Studied, sample: EvaluationSet, chooser: Choosers, others: Mapping[int, np.ndarray | None]
) -> pa.Table:
    """JOINT_CHOICES of one context, the chosen routes run jointly. Shows its progress.

    others: by budget, the routes [documents, length] that the other tokens keep while one token's are tried; None where
    they take that token's. InputError where a loss is not finite.
    """
    walks = {
        budget: Enumerator(studied.model, studied.space, studied.device, studied.chunk, studied.scope, budget)
        for budget in others
    }
    found = {budget: _empty(len(chooser.names), sample.labels.shape) for budget in others}
    references = np.empty((len(chooser.names), 2, *sample.labels.shape))
    own = choosers.by_route(studied.model, studied.space, studied.reference, studied.device, studied.scope)
    pairs = sample.labels.size * sum(len(walk.routes) for walk in walks.values())
    with progress("choosers", "losses", total=pairs) as shown:
        for rows, new in batches(len(sample.documents)):
            part = sample.take(rows)
            predicted = torch.stack(
                [chooser.predict(*each) for each in zip(part.tokens, part.domains, strict=True)], dim=1
            )
            given = torch.stack([own(tokens) for tokens in part.tokens])
            references[:, :, rows[:new]] = _references(given, predicted, part.labels)[:, :, :new]
            for budget, walk in walks.items():
                kept = None if others[budget] is None else torch.from_numpy(others[budget][rows])
                numbers = _choose(walk, part, predicted, kept, studied.seed, shown.update)
                for name, values in numbers.items():
                    found[budget][name][:, rows[:new]] = values[:, :new]
    return _tabled(studied, sample, chooser.names, found, references)


@torch.no_grad()
def of_walk(studied: Studied, sample: EvaluationSet, chooser: Choosers, choices: pa.Table) -> pa.Table:
    """JOINT_CHOICES of context `shared`, from CHOICES that one walk of all routes gave of the sample: the same without
    a walk for each budget, the chosen routes run jointly.
    """
    found = {}
    for budget in choices["budget"].unique().to_pylist():
        at = choices.filter(pc.equal(choices["budget"], budget))
        numbers = found[budget] = _empty(len(chooser.names), sample.labels.shape)
        for index, name in enumerate(chooser.names):
            mine = at.filter(pc.equal(at["chooser"], name))
            for number, column in zip(NUMBERS, ("route", "loss", "expected", "null"), strict=True):
                numbers[number][index] = mine[column].to_numpy().reshape(sample.labels.shape)
    references = np.empty((len(chooser.names), 2, *sample.labels.shape))
    own = choosers.by_route(
        studied.model, studied.space, studied.reference, studied.device, studied.scope, sample.context
    )
    for row, (tokens, domain) in enumerate(zip(sample.tokens, sample.domains, strict=True)):
        predicted = chooser.predict(tokens, domain)[:, None]
        references[:, :, row] = _references(own(tokens)[None], predicted, sample.labels[row : row + 1])[:, :, 0]
    return _tabled(studied, sample, chooser.names, found, references)


def batches(documents: int) -> Iterator[tuple[np.ndarray, int]]:
    """Rows [BATCH] of so many documents, and how many of them are new: the last ones are filled up with one of theirs,
    so that compiled code sees one shape.
    """
    for start in range(0, documents, BATCH):
        rows = np.arange(start, start + BATCH)
        yield np.where(rows < documents, rows, start), min(BATCH, documents - start)


def _choose(
    walk: Enumerator,
    part: EvaluationSet,
    predicted: Tensor,
    kept: Tensor | None,
    seed: int,
    on_leaves: Callable[[int], None],
) -> Numbers:
    """NUMBERS of the part's tokens at the budget of the walk.

    predicted [choosers, batch, length, vocabulary]; kept [batch, length] as `others` in `table`.
    """
    tokens, labels = torch.from_numpy(part.tokens), torch.from_numpy(part.labels[None])
    scores = walk.everything(tokens, labels, predicted, [walk.budget], on_leaves, kept)
    losses, expected = scores.losses[0].numpy(), scores.expected.numpy()
    nulls = -_mean(predicted, scores.highest[0])
    found = _empty(len(predicted), part.labels.shape)
    length = np.arange(part.labels.shape[1])
    for row, key in enumerate(zip(part.domains, part.documents, strict=True)):
        rng = select.ties(seed, walk.budget, *key)
        for index, by_route in enumerate(expected[:, row]):
            best = select.lowest(by_route, rng)
            numbers = (walk.routes[best], losses[row, length, best], by_route[length, best], nulls[index, row])
            for name, values in zip(NUMBERS, numbers, strict=True):
                found[name][index, row] = values
    return found


def _empty(choosers: int, shape: tuple[int, int]) -> Numbers:
    """To be filled with the numbers of so many choosers and documents, tokens of this shape."""
    return {name: np.empty((choosers, *shape), np.int64 if name == "route" else np.float64) for name in NUMBERS}


def _references(given: Tensor, predicted: Tensor, labels: np.ndarray) -> np.ndarray:
    """[choosers, 2, batch, length] loss of the reference route on the labels [batch, length], and what choosers expect.

    given [batch, length, vocabulary]: log-probabilities under that route; predicted [choosers, ...] those of choosers.
    """
    losses = -given.gather(2, torch.from_numpy(labels)[..., None])[..., 0].double().numpy()
    expected = -_mean(predicted, given)
    return np.stack([np.broadcast_to(losses, expected.shape), expected], axis=1)


def _mean(predicted: Tensor, values: Tensor) -> np.ndarray:
    """[choosers, batch, length] mean of values [batch, length, vocabulary] where words come as predicted."""
    return torch.stack([(each.double().exp() * values).sum(-1) for each in predicted]).numpy()


def _tabled(
    studied: Studied,
    sample: EvaluationSet,
    names: Sequence[str],
    found: Mapping[int, Numbers],
    references: np.ndarray,
) -> pa.Table:
    """JOINT_CHOICES, from what the walks gave by budget; runs every chooser's routes jointly."""
    parts, size = [], sample.labels.size
    for budget, numbers in found.items():
        for index, name in enumerate(names):
            columns = {column: values[index] for column, values in numbers.items()}
            columns |= dict(zip(("reference_loss", "reference_expected"), references[index], strict=True))
            columns[JOINT] = run_jointly(
                studied.model,
                studied.space,
                sample.tokens,
                columns["route"],
                sample.labels,
                studied.device,
                studied.scope,
            )
            if not all(np.isfinite(column).all() for column in columns.values()):
                raise InputError(f"model {studied.name}, budget {budget}, chooser {name}: a loss is not finite")
            ids = {"model": [studied.name] * size, "budget": np.full(size, budget), "chooser": [name] * size}
            parts.append(
                pa.table(ids | sample.columns() | {column: values.ravel() for column, values in columns.items()})
            )
    return pa.concat_tables(parts)
