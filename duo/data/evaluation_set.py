"""The evaluation set: the held-out tokens on which every comparison is made.

All models, routes and routers are scored on the same tokens of the same documents, so that differences between them
are paired and need far fewer documents than the losses themselves.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from duo.errors import InputError
from duo.seeds import stream


@dataclass(frozen=True)
class EvaluationSet:
    """The first tokens of a number of documents, all of one length, domain by domain.

    tokens [documents, length] begin with the BOS token; labels [documents, length] are the tokens that follow them.
    """

    domains: list[str]
    documents: list[str]
    tokens: np.ndarray
    labels: np.ndarray

    def take(self, rows: slice | np.ndarray) -> "EvaluationSet":
        """The evaluation set of the documents at these rows."""
        return EvaluationSet(
            list(np.array(self.domains)[rows]),
            list(np.array(self.documents)[rows]),
            self.tokens[rows],
            self.labels[rows],
        )

    def of(self, domain: str) -> "EvaluationSet":
        """The documents of one domain."""
        return self.take(np.array(self.domains) == domain)

    def truncate(self, documents: int, tokens: int) -> "EvaluationSet":
        """The first `tokens` tokens of the first `documents` documents of every domain.

        For what is too costly to compute on the whole evaluation set; it is what `choose` gives for these numbers as
        long as the same documents are long enough.
        """
        domains = np.array(self.domains)
        rows = np.concatenate([np.flatnonzero(domains == domain)[:documents] for domain in dict.fromkeys(self.domains)])
        first = self.take(rows)
        return EvaluationSet(first.domains, first.documents, first.tokens[:, :tokens], first.labels[:, :tokens])

    def columns(self) -> dict[str, np.ndarray | list[str]]:
        """Columns domain, document and position of a table with one row per token, document by document."""
        count, length = self.labels.shape
        return {
            "domain": np.repeat(self.domains, length),
            "document": np.repeat(self.documents, length),
            "position": np.tile(np.arange(length, dtype=np.int32), count),
        }


def choose(table: pa.Table, documents: int, tokens: int, seed: int) -> EvaluationSet:
    """The first `tokens` tokens of `documents` documents of every domain, sampled from those that are long enough.

    table: columns of TEST_TOKENS. The sample depends on the seed and on which documents are long enough; a smaller
    number of documents gives the first ones of a larger number. InputError where a domain has too few.
    """
    domains, names, ids = table["domain"].to_pylist(), table["document"].to_pylist(), table["tokens"].to_pylist()
    rows = []
    for domain in dict.fromkeys(domains):
        held_out = [row for row, name in enumerate(domains) if name == domain]
        long_enough = [row for row in held_out if len(ids[row]) > tokens]  # the BOS token comes on top
        _require(documents, len(long_enough), len(held_out), domain, "test", tokens)
        rows += _sample(long_enough, documents, stream(seed, "documents", domain))
    windows = np.array([ids[row][: tokens + 1] for row in rows], np.int64)
    return EvaluationSet([domains[row] for row in rows], [names[row] for row in rows], windows[:, :-1], windows[:, 1:])


def from_packed(
    domain: str, packed: np.ndarray, bos: int, documents: int, tokens: int, seed: int, split: str
) -> EvaluationSet:
    """The first `tokens` tokens of `documents` documents of one domain, sampled from those that are long enough.

    What routers learn from: documents that are not held out, in the form of those that are. packed: rows
    [rows, sequence length + 1] of PACKED, of one domain and split; bos: id of the BOS token, with which every document
    begins. A document's name is its index among the packed ones. InputError where there are too few.
    """
    # The last id of a row is the first of the next one.
    ids = np.concatenate([packed[:, :-1].ravel(), packed[-1:, -1]]).astype(np.int64)
    starts = np.flatnonzero(ids == bos)
    long_enough = np.flatnonzero(np.diff([*starts, len(ids)]) > tokens)
    _require(documents, len(long_enough), len(starts), domain, split, tokens)
    chosen = _sample(long_enough, documents, stream(seed, "documents", split, domain))
    windows = ids[starts[chosen][:, None] + np.arange(tokens + 1)]
    return EvaluationSet([domain] * documents, [str(index) for index in chosen], windows[:, :-1], windows[:, 1:])


def bos_id(table: pa.Table) -> int:
    """Id of the BOS token, with which every document of TEST_TOKENS begins; its column tokens is enough."""
    return table["tokens"][0][0].as_py()


def _sample(candidates: Sequence[int] | np.ndarray, count: int, random: np.random.Generator) -> list[int]:
    return [candidates[index] for index in random.permutation(len(candidates))[:count]]


def _require(documents: int, enough: int, total: int, domain: str, split: str, tokens: int) -> None:
    if enough < documents:
        raise InputError(
            f"domain {domain!r}: {documents} {split} documents of at least {tokens} tokens are asked for, but it has "
            f"{enough} (of {total}); ask for fewer documents or for shorter ones, or give more text"
        )
