"""The held-out tokens that every comparison is made on: the same documents and tokens for every model, route and
router.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from duo.errors import InputError
from duo.seeds import stream


@dataclass(frozen=True)
class Sample:
    """The first tokens of some test documents. tokens [documents, time] begin with the mark; labels are the tokens
    after them.
    """

    domains: list[str]
    documents: list[str]
    tokens: np.ndarray
    labels: np.ndarray

    def take(self, rows: slice | np.ndarray) -> "Sample":
        """The sample of the documents at these rows."""
        return Sample(
            list(np.array(self.domains)[rows]),
            list(np.array(self.documents)[rows]),
            self.tokens[rows],
            self.labels[rows],
        )

    def of(self, domain: str) -> "Sample":
        """The documents of one domain."""
        return self.take(np.array(self.domains) == domain)

    def beginning(self, documents: int, tokens: int) -> "Sample":
        """The first `tokens` tokens of the first `documents` documents of every domain."""
        domains = np.array(self.domains)
        rows = np.concatenate([np.flatnonzero(domains == domain)[:documents] for domain in dict.fromkeys(self.domains)])
        first = self.take(rows)
        return Sample(first.domains, first.documents, first.tokens[:, :tokens], first.labels[:, :tokens])

    def columns(self) -> dict[str, np.ndarray | list[str]]:
        """Columns domain, document and position of a table with a row a token, document by document."""
        count, time = self.labels.shape
        return {
            "domain": np.repeat(self.domains, time),
            "document": np.repeat(self.documents, time),
            "position": np.tile(np.arange(time, dtype=np.int32), count),
        }


def choose(table: pa.Table, documents: int, tokens: int, seed: int) -> Sample:
    """The first `tokens` tokens of `documents` documents of every domain, drawn by seed among those that are long
    enough.

    table as artifacts.TEST_TOKENS. Fewer tokens or documents give the beginning of the larger sample as long as the
    same documents are long enough. InputError where a domain has too few that are.
    """
    domains, names, rows = table["domain"].to_pylist(), table["document"].to_pylist(), table["tokens"].to_pylist()
    chosen = []
    for domain in dict.fromkeys(domains):
        held_out = [index for index, each in enumerate(domains) if each == domain]
        enough = [index for index in held_out if len(rows[index]) > tokens]  # the mark comes on top
        if len(enough) < documents:
            raise InputError(
                f"params.yaml: {documents} documents asked, but domain {domain!r} has {len(enough)} test documents of at least {tokens} "
                f"tokens (of {len(held_out)}); lower evaluation_set.documents or evaluation_set.tokens, or hold out more text"
            )
        chosen += [enough[index] for index in stream(seed, "documents", domain).permutation(len(enough))[:documents]]
    ids = np.array([rows[index][: tokens + 1] for index in chosen], np.int64)
    return Sample([domains[index] for index in chosen], [names[index] for index in chosen], ids[:, :-1], ids[:, 1:])


def beginnings(
    domain: str, packed: np.ndarray, mark: int, documents: int, tokens: int, seed: int, split: str
) -> Sample:
    """The first `tokens` tokens of `documents` documents of a domain, drawn by seed among those that are long enough.

    packed: rows [rows, sequence + 1] of artifacts.PACKED, all of one split: documents one after the other, each
    behind the mark. So they begin as those that `choose` takes do; a document's name is its index in the split.
    InputError where there are too few.
    """
    ids = np.concatenate([packed[:, :-1].ravel(), packed[-1:, -1]]).astype(
        np.int64
    )  # the last id of a row is the next one's first
    starts = np.flatnonzero(ids == mark)
    enough = np.flatnonzero(np.diff([*starts, len(ids)]) > tokens)
    if len(enough) < documents:
        raise InputError(
            f"params.yaml: policies.{split}_documents: {documents} documents asked, but domain {domain!r} has {len(enough)} {split} documents of at "
            f"least {tokens} tokens (of {len(starts)}); lower policies.{split}_documents or evaluation_set.tokens"
        )
    drawn = enough[stream(seed, "documents", split, domain).permutation(len(enough))[:documents]]
    windows = ids[starts[drawn, None] + np.arange(tokens + 1)]
    return Sample([domain] * documents, [str(index) for index in drawn], windows[:, :-1], windows[:, 1:])
