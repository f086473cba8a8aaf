"""The null: what an oracle would gain where a stated chooser knew all that can be known (docs/gain.md).

An oracle picks each token's route by the loss on the true label, and the lowest of hundreds of numbers is low whether
or not routes differ in anything but noise. The paper, whose oracle has the true label in hand, does not ask how much of
the gain that is. Here the label is taken to come from a chooser's prediction q (duo.oracle.choosers), at the same
positions of the same text. The chooser then takes, of a budget's routes, that of lowest expected loss, and nobody can
do better without the label. What the oracle still gains over it is luck, or selection bias. None of it need be sampled:

    expected loss of the oracle     - sum over the vocabulary of q(v) max over routes of log p_route(v)

and the walk of the tree keeps that maximum for every word anyway. It gives the matched null too: how much the oracle
gains, in the same context, on the words that surprise the model as much as the true label does. Where the true label is
one of these words like any other, true and matched gain agree in expectation, however well or badly the prediction is
calibrated; a true gain above the matched one says that some route knows which of them comes.

Words surprise alike that fall in one bin of surprisal, `within` nats wide. Bins and not a distance, for then the words
of a bin are exchangeable: each has the same bin.

Labels are sampled where single choices are looked at, such as which layers the oracle picks: from the model's own
prediction (SAMPLED), within the bin of the true label (MATCHED), and within that of a sampled one (PLACEBO).
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from duo.data.evaluation_set import EvaluationSet
from duo.errors import InputError
from duo.oracle import choosers, select
from duo.oracle.choosers import Choosers
from duo.oracle.tree import BATCH, Enumerator
from duo.progress import progress
from duo.routes import RouteSpace
from duo.seeds import stream
from duo.tables import files
from duo.terms import MATCHED, OWN, PLACEBO, SAMPLED

# Cells of labels that are alike across contexts: by surprisal and by the entropy of the prediction, in nats. Narrow
# where most labels are; few enough that every cell of a run of some thousand tokens has labels.
SURPRISAL_EDGES = (0.1, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0)
ENTROPY_EDGES = (0.25, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5, 5.0, 6.0)

Labels = dict[str, np.ndarray]  # by their name in duo.terms: [sets, documents, length]


class Sampling(NamedTuple):
    """The reference route, by its name or code; how many labels to sample for each token; and as in `matched`."""

    reference: str | int
    samples: int
    within: float


class Tables(NamedTuple):
    """What one walk of the tree of a model says of the sample; each of its name in duo.tables.oracle."""

    route_losses: pa.Table
    label_selections: pa.Table
    choices: pa.Table
    predictions: pa.Table
    matched: pa.Table
    cells: pa.Table


def sample_labels(log_probabilities: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Labels [length], one sampled from each row of log_probabilities [length, vocabulary], of any scale."""
    chances = np.exp(log_probabilities - log_probabilities.max(axis=1, keepdims=True), dtype=np.float64)
    cumulative = chances.cumsum(axis=1)
    height = rng.random((len(cumulative), 1)) * cumulative[:, -1:]
    return np.minimum((cumulative <= height).sum(axis=1), cumulative.shape[1] - 1)


def matched(log_probabilities: np.ndarray, labels: np.ndarray, within: float) -> np.ndarray:
    """[length, vocabulary] bool: the words in the bin of each label's surprisal, the label among them.

    log_probabilities [length, vocabulary], labels [length]; within: width of the bins in nats.
    """
    bins = np.floor(-log_probabilities / within)
    return bins == bins[np.arange(len(labels)), labels][:, None]


def label_sets(predicted: Iterable[Tensor], sample: EvaluationSet, samples: int, within: float, seed: int) -> Labels:
    """Labels that the model could have drawn: SAMPLED, `samples` sets of them, one MATCHED to the true labels, and one
    PLACEBO, matched to the first that is sampled.

    predicted: of each document, the log-probabilities [length, vocabulary] that they are sampled from. A label's random
    number belongs to its document, so neither shards nor batches change it. within: nats, as in `matched`.
    """
    sets = {SAMPLED: np.empty((samples, *sample.labels.shape), np.int64)}
    sets |= {labels: np.empty((1, *sample.labels.shape), np.int64) for labels in (MATCHED, PLACEBO)}
    documents = zip(sample.domains, sample.documents, strict=True)
    for row, (document, prediction) in enumerate(zip(documents, predicted, strict=True)):
        log_q = prediction.numpy()
        for index in range(samples):
            sets[SAMPLED][index, row] = sample_labels(log_q, stream(seed, SAMPLED, *document, index))
        for labels, truth in {MATCHED: sample.labels[row], PLACEBO: sets[SAMPLED][0, row]}.items():
            among = np.where(matched(log_q, truth, within), log_q, -np.inf)
            sets[labels][0, row] = sample_labels(among, stream(seed, labels, *document))
    return sets


def own_predictions(chooser: Choosers, sample: EvaluationSet) -> Iterator[Tensor]:
    """Of each document, log-probabilities [length, vocabulary] of the chooser that the model is to itself.

    One after the other, for those of all documents together may not fit into memory.
    """
    own = chooser.names.index(OWN)
    for tokens, domain in zip(sample.tokens, sample.domains, strict=True):
        yield chooser.predict(tokens, domain)[own]


def batches(
    enumerator: Enumerator, sample: EvaluationSet, labels: np.ndarray
) -> Iterator[tuple[np.ndarray, EvaluationSet, Tensor, int, Callable[[int], None]]]:
    """Parts of the sample for the enumerator: their rows, themselves, their labels [sets, batch, length], and how many
    of their documents are new.

    labels [sets, documents, length]. The last part is filled up with one of its documents, so that compiled code sees
    one shape. With each part goes the function that the enumerator reports its leaves to, which shows the progress.
    """
    documents, pairs = len(sample.documents), sample.labels.size * len(enumerator.routes)
    with progress("sampled labels", "losses", total=pairs) as shown:
        for start in range(0, documents, BATCH):
            rows = np.arange(start, min(documents, start + BATCH))
            filled = np.concatenate([rows, np.full(BATCH - len(rows), start)])
            yield filled, sample.take(filled), torch.from_numpy(labels[:, filled]), len(rows), shown.update


def losses(enumerator: Enumerator, sample: EvaluationSet, labels: np.ndarray) -> np.ndarray:
    """Losses [sets, documents, length, routes] in nats of labels [sets, documents, length], by route of the
    enumerator.
    """
    parts = [
        enumerator.losses(torch.from_numpy(part.tokens), part_labels, on_leaves)[:, :new]
        for _, part, part_labels, new, on_leaves in batches(enumerator, sample, labels)
    ]
    return torch.cat(parts, dim=1).numpy()


def run(
    name: str,
    enumerator: Enumerator,
    sample: EvaluationSet,
    chooser: Choosers,
    settings: Sampling,
    budgets: Sequence[int],
    seed: int,
) -> Tables:
    """The tables of the model called `name`, which the enumerator holds, on the sample, in one walk of its tree.

    Beside what the enumerator takes, it holds (budgets + choosers) * batch * length * vocabulary numbers of 4 bytes.
    InputError where a loss is not finite.
    """
    space, reference = enumerator.space, enumerator.space.named(settings.reference)
    sets = label_sets(own_predictions(chooser, sample), sample, settings.samples, settings.within, seed)
    names = [(labels, index) for labels, each in sets.items() for index in range(len(each))]
    own = choosers.by_route(enumerator.model, space, reference, enumerator.device, enumerator.scope, sample.context)
    parts = []
    for _, part, labels, new, on_leaves in batches(
        enumerator, sample, np.concatenate([sample.labels[None], *sets.values()])
    ):
        documents = list(zip(part.tokens, part.domains, strict=True))
        predicted = torch.stack([chooser.predict(*document) for document in documents], dim=1)
        scores = enumerator.everything(torch.from_numpy(part.tokens), labels, predicted, budgets, on_leaves)
        for row in range(new):
            document = WalkedDocument(
                part.take(slice(row, row + 1)),
                space.codes,
                names,
                labels[:, row].numpy(),
                scores.losses[:, row].numpy(),
                scores.expected[:, row].numpy(),
                predicted[:, row].numpy(),
                scores.highest[:, row].numpy(),
                own(part.tokens[row]).numpy(),
            )
            parts.append(document.tables(name, chooser.names, space, reference, settings.within, budgets, seed))
    return Tables(*map(pa.concat_tables, zip(*parts, strict=True)))


class WalkedDocument(NamedTuple):
    """What the walk says of one document, by route in order of the codes, in nats."""

    sample: EvaluationSet  # of this document alone
    codes: np.ndarray  # [routes]
    sets: list[tuple[str, int]]  # name and number of each set of labels but the first, that of the true ones
    labels: np.ndarray  # [1 + sets, length]
    losses: np.ndarray  # [1 + sets, length, routes]
    expected: np.ndarray  # [choosers, length, routes] under the choosers' predictions
    predicted: np.ndarray  # [choosers, length, vocabulary] log-probabilities of the choosers
    highest: np.ndarray  # [budgets, length, vocabulary] highest log-probability that any route of the budget gives
    reference: np.ndarray  # [length, vocabulary] log-probabilities under the reference route

    def tables(
        self,
        model: str,
        choosers: Sequence[str],
        space: RouteSpace,
        reference: int,
        within: float,
        budgets: Sequence[int],
        seed: int,
    ) -> Tables:
        """The document's part of every table; reference: code of the reference route, within as in `matched`."""
        (domain,), (name,) = self.sample.domains, self.sample.documents
        if not np.isfinite(self.losses).all():
            raise InputError(f"model {model}, domain {domain}, document {name}: a loss is not finite")
        ids, at_reference = self.sample.columns(), int(space.index(np.array(reference)))
        tokens = self.sample.tokens[0, self.sample.context :]
        losses = {"token": tokens, "label": self.labels[0], "losses": files.fixed_lists(self.losses[0])}
        by_route = pa.table(ids | losses)
        ids = {"model": [model] * self.losses.shape[1]} | ids
        own = self.predicted[choosers.index(OWN)].astype(np.float64)
        among = matched(own, self.labels[0], within)
        selections, choices, gains, cells = [], [], [], []
        for index, budget in enumerate(budgets):
            at = ids | {"budget": np.full(len(ids["model"]), budget)}
            routes, rng = space.index(space.with_budget(budget)), select.ties(seed, budget, domain, name)
            selections += [pa.table(at | columns) for columns in self._selections(routes, at_reference, own, rng)]
            choices += [pa.table(at | columns) for columns in self._choices(choosers, routes, index, rng)]
            gain = self.highest[index].astype(np.float64) - self.reference
            gains.append(pa.table(at | self._matched(gain, own, among, index, at_reference)))
            cells.append(self._cells(model, budget, gain, own))
        predictions = [pa.table(ids | columns) for columns in self._predictions(choosers)]
        return Tables(by_route, *map(pa.concat_tables, (selections, choices, predictions, gains, cells)))

    def _selections(
        self, routes: np.ndarray, reference: int, own: np.ndarray, rng: np.random.Generator
    ) -> Iterator[dict]:
        """Columns of LABEL_SELECTIONS, one set of labels after the other, at the budget of these routes.

        routes, and the reference route, are given by where they stand among all.
        """
        tokens = np.arange(self.losses.shape[1])
        for (labels, sample), ids, losses in zip(self.sets, self.labels[1:], self.losses[1:], strict=True):
            best = select.lowest(losses[:, routes], rng)
            yield {
                "labels": [labels] * len(tokens),
                "sample": np.full(len(tokens), sample),
                "label": ids,
                "surprisal": -own[tokens, ids],
                "reference_loss": losses[:, reference],
                "oracle_route": self.codes[routes[best]],
                "oracle_loss": losses[tokens, routes[best]],
                "mean_loss": losses[:, routes].mean(axis=1, dtype=np.float64),
            }

    def _choices(
        self, choosers: Sequence[str], routes: np.ndarray, index: int, rng: np.random.Generator
    ) -> Iterator[dict]:
        """Columns of CHOICES, one chooser after the other, at the budget of these routes, which is that of `index`."""
        tokens, sampled = np.arange(self.losses.shape[1]), 1 + self.sets.index((SAMPLED, 0))
        for chooser, expected, predicted in zip(choosers, self.expected, self.predicted, strict=True):
            chosen = routes[select.lowest(expected[:, routes], rng)]
            yield {
                "chooser": [chooser] * len(tokens),
                "route": self.codes[chosen],
                "loss": self.losses[0, tokens, chosen],
                "sampled_loss": self.losses[sampled, tokens, chosen],
                "expected": expected[tokens, chosen],
                "null": _expected(predicted, -self.highest[index]),
            }

    def _predictions(self, choosers: Sequence[str]) -> Iterator[dict]:
        """Columns of PREDICTIONS, one chooser after the other."""
        tokens, sampled = np.arange(self.losses.shape[1]), 1 + self.sets.index((SAMPLED, 0))
        for chooser, predicted in zip(choosers, self.predicted, strict=True):
            yield {
                "chooser": [chooser] * len(tokens),
                "surprisal": -predicted[tokens, self.labels[0]],
                "entropy": _expected(predicted, -predicted),
                "sampled_surprisal": -predicted[tokens, self.labels[sampled]],
            }

    def _matched(self, gain: np.ndarray, own: np.ndarray, among: np.ndarray, index: int, reference: int) -> dict:
        """Columns of MATCHED at the budget of `index`.

        gain [length, vocabulary]: what the oracle gains on each word; own [length, vocabulary]: the model's own
        log-probabilities; among [length, vocabulary]: the words that are matched to the true label.
        """
        tokens, labels = np.arange(len(gain)), self.labels[0]
        weights = np.where(among, np.exp(own), 0)
        total = weights.sum(axis=1)
        highest = self.highest[index].astype(np.float64)
        return {
            "reference_loss": self.losses[0, :, reference],
            "gain": gain[tokens, labels],
            "matched_gain": (weights * gain).sum(axis=1) / total,
            "other_mass": 1 - weights[tokens, labels] / total,
            "log_normaliser": np.logaddexp.reduce(highest, axis=1),
        }

    def _cells(self, model: str, budget: int, gain: np.ndarray, own: np.ndarray) -> pa.Table:
        """CELLS of the document at a budget; gain and own as in _matched."""
        tokens, labels, chances = np.arange(len(gain)), self.labels[0], np.exp(own)
        entropies = np.digitize(-(chances * own).sum(axis=1), ENTROPY_EDGES)
        cell = np.digitize(-own, SURPRISAL_EDGES) + (len(SURPRISAL_EDGES) + 1) * entropies[:, None]
        count = (len(SURPRISAL_EDGES) + 1) * (len(ENTROPY_EDGES) + 1)
        true = cell[tokens, labels]
        sums = {
            "weight": np.bincount(cell.ravel(), chances.ravel(), count),
            "null_gain": np.bincount(cell.ravel(), (chances * gain).ravel(), count),
            "count": np.bincount(true, minlength=count),
            "gain": np.bincount(true, gain[tokens, labels], count),
        }
        present = np.flatnonzero(sums["weight"])
        entropy_cell, surprisal_cell = np.divmod(present, len(SURPRISAL_EDGES) + 1)
        ids = {"model": model, "domain": self.sample.domains[0], "cluster": self.sample.clusters[0], "budget": budget}
        columns = {name: [value] * len(present) for name, value in ids.items()}
        columns |= {"surprisal_cell": surprisal_cell, "entropy_cell": entropy_cell}
        return pa.table(columns | {name: values[present] for name, values in sums.items()})


def _expected(log_probabilities: np.ndarray, values: np.ndarray) -> np.ndarray:
    """[length] mean of values [length, vocabulary] where words come by log_probabilities [length, vocabulary]."""
    return (np.exp(log_probabilities, dtype=np.float64) * values).sum(axis=1)
