"""The evaluation set: the held-out tokens on which every comparison is made.

All models, routes and routers are scored on the same tokens of the same documents, so that differences between them
are paired and need far fewer documents than the losses themselves. Each document gives one window of tokens. Clusters,
such as packages, take turns, so that as many as there are take part. A share of the windows lies inside the documents,
for a beginning is unlike what follows: in code it is a header and imports. What repeats what training has read, or
another window, is passed over: it would measure memory, and count one thing twice.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from tokenizers import Tokenizer

from duo.errors import InputError
from duo.seeds import stream
from duo.settings import EvaluationSize
from duo.tables.data import EVALUATION_SET

GRAM = 8  # tokens: so many in a row are hardly ever the same by chance


@dataclass(frozen=True)
class EvaluationSet:
    """A window of each of a number of documents, all of one length, domain by domain.

    clusters: what a document shares with others that are not independent of it, such as its package. tokens
    [documents, context + length], the BOS token among them where a window is a document's beginning; labels
    [documents, length]: what follows each of the last `length` tokens. Those before are read alone; mostly none are.
    """

    domains: list[str]
    documents: list[str]
    clusters: list[str]
    tokens: np.ndarray
    labels: np.ndarray

    @property
    def context(self) -> int:
        """How many tokens of each window are read alone: nothing chooses for them, nor scores what follows them."""
        return self.tokens.shape[1] - self.labels.shape[1]

    def take(self, rows: slice | np.ndarray) -> "EvaluationSet":
        """The evaluation set of the documents at these rows."""
        return EvaluationSet(
            list(np.array(self.domains)[rows]),
            list(np.array(self.documents)[rows]),
            list(np.array(self.clusters)[rows]),
            self.tokens[rows],
            self.labels[rows],
        )

    def of(self, domain: str) -> "EvaluationSet":
        """The documents of one domain."""
        return self.take(np.array(self.domains) == domain)

    def truncate(self, documents: int, tokens: int | None = None) -> "EvaluationSet":
        """The first `tokens` labels, by default all, of the first `documents` documents of every domain.

        For what is too costly to compute on the whole evaluation set.
        """
        domains = np.array(self.domains)
        rows = np.concatenate([np.flatnonzero(domains == domain)[:documents] for domain in dict.fromkeys(self.domains)])
        first = self.take(rows)
        tokens, labels = first.tokens[:, : tokens and self.context + tokens], first.labels[:, :tokens]
        return EvaluationSet(first.domains, first.documents, first.clusters, tokens, labels)

    def columns(self) -> dict[str, np.ndarray | list[str]]:
        """Columns domain, document, cluster and position of a table with a row per label, document by document."""
        count, length = self.labels.shape
        return {
            "domain": np.repeat(self.domains, length),
            "document": np.repeat(self.documents, length),
            "cluster": np.repeat(self.clusters, length),
            "position": np.tile(np.arange(length, dtype=np.int32), count),
        }


class Windows(NamedTuple):
    """Windows of a split, and what there is to say of them."""

    windows: pa.Table  # EVALUATION_SET
    counts: dict[str, dict[str, int]]  # by domain: windows, clusters, tokens, bytes, and documents passed over


def read(split: str) -> EvaluationSet:
    """The evaluation set of a split, from EVALUATION_SET."""
    return of_windows(EVALUATION_SET.read(split=split))


def of_windows(table: pa.Table, context: int = 0) -> EvaluationSet:
    """The evaluation set that the rows of EVALUATION_SET make; context: how many tokens of a window are read alone."""
    windows = np.array(table["tokens"].to_pylist(), np.int64)
    ids = (table[name].to_pylist() for name in ("domain", "document", "cluster"))
    return EvaluationSet(*ids, windows[:, :-1], windows[:, 1 + context :])


def choose(
    table: pa.Table,
    trained: Mapping[str, np.ndarray],
    size: EvaluationSize,
    documents: int,
    tokenizer: Tokenizer,
    seed: int,
    purpose: str,
    earlier: Sequence[pa.Table] = (),
) -> Windows:
    """Windows of `documents` documents of every domain.

    table: columns of HELD_OUT, of one split, in any order. trained: by domain, `grams_of` what training has read.
    purpose: the split's name, and that of its random numbers. earlier: windows of other splits, EVALUATION_SET, which
    none of these may repeat either: a router that learns from a passage is not judged on the same one. A smaller number
    of documents gives the first windows of a larger one. InputError where a domain has too few documents that are long
    enough and not passed over.
    """
    parts, counts = [], {}
    for domain in dict.fromkeys(table["domain"].to_pylist()):
        rows = table.filter(pc.equal(table["domain"], domain)).sort_by("document")
        random = stream(seed, "evaluation set", purpose, domain)
        others = [
            row for each in earlier for row in each.filter(pc.equal(each["domain"], domain))["tokens"].to_pylist()
        ]
        seen = grams_of(np.array(others, np.int64).reshape(len(others), size.tokens + 1))
        candidates = _Candidates(rows, size, trained[domain], seen, random)
        chosen = []
        for number in range(documents):
            # Evenly spread over the windows, so that a smaller number has the same share inside.
            inside = int((number + 1) * size.inside) > int(number * size.inside)
            window = candidates.next(inside)
            if window is None:
                raise InputError(
                    f"domain {domain!r}: {documents} windows of {size.tokens} tokens are asked for, but its {purpose} "
                    f"split gives {len(chosen)} (it has {len(rows)} documents, of which {dict(candidates.passed)} were "
                    f"passed over, looking for one {'inside' if inside else 'at the beginning'}); ask for fewer or "
                    "shorter windows, or give more text"
                )
            chosen.append(window | {"bytes": spelt(tokenizer, window["tokens"][1:])})
        parts += chosen
        counts[domain] = {
            "windows": documents,
            "clusters": len({window["cluster"] for window in chosen}),
            "tokens": documents * size.tokens,
            "bytes": sum(window["bytes"] for window in chosen),
            **{f"passed_over_{reason}": candidates.passed[reason] for reason in ("short", "like_training", "repeated")},
        }
    return Windows(pa.Table.from_pylist(parts, schema=EVALUATION_SET.schema), counts)


class _Candidates:
    """The windows that documents of one domain can give, in the order in which they are taken.

    rows: of HELD_OUT. trained, seen: hashes of GRAM tokens that training has read, and of windows of other splits.
    passed counts the documents that gave no window, by reason.
    """

    def __init__(
        self,
        rows: pa.Table,
        size: EvaluationSize,
        trained: np.ndarray,
        seen: np.ndarray,
        random: np.random.Generator,
    ):
        self.rows, self.size, self.trained, self.random = rows, size, trained, random
        self.seen = seen  # and in windows that are taken
        self.lengths = pc.list_value_length(rows["tokens"]).to_numpy()
        self.clusters = rows["cluster"].to_pylist()
        self.passed: Counter[str] = Counter()
        self.left: dict[str, list[int]] = {}  # rows of each cluster, in random order; clusters likewise
        for row in random.permutation(len(rows)):
            self.left.setdefault(self.clusters[row], []).append(row)
        self.taken = Counter(dict.fromkeys(self.left, 0))
        self.inside = Counter(self.taken)  # of those taken

    def next(self, inside: bool) -> dict | None:
        """A row of EVALUATION_SET without its bytes, of the cluster that gave fewest so far; None where none is left.

        inside: whether the window lies inside its document, clear of its first tokens. Of clusters that gave as many,
        the one that gave fewest of that kind, so that beginnings and insides don't come from different clusters.
        """
        turns = {cluster: (self.taken[cluster], self.inside[cluster] * (1 if inside else -1)) for cluster in self.left}
        for cluster in sorted(turns, key=turns.__getitem__):  # of equal ones the first, as the sort is stable
            for window in self._windows(cluster, inside):
                reason = self._repeats(window["tokens"])
                if reason is None:
                    self.taken[cluster] += 1
                    self.inside[cluster] += inside
                    return window
                self.passed[reason] += 1
        return None

    def _windows(self, cluster: str, inside: bool) -> Iterator[dict]:
        """Windows of the cluster's documents, each of which is then no candidate any more."""
        tokens = self.size.tokens
        needed = 2 * tokens + 1 if inside else tokens + 1
        for row in list(self.left[cluster]):
            length = self.lengths[row]
            if tokens < length < needed:
                continue  # long enough for a beginning
            self.left[cluster].remove(row)
            if length <= tokens:
                self.passed["short"] += 1
                continue
            start = int(self.random.integers(tokens, length - tokens)) if inside else 0
            ids = {name: self.rows[name][row].as_py() for name in ("domain", "document", "cluster")}
            yield ids | {"start": start, "tokens": self.rows["tokens"][row].as_py()[start : start + tokens + 1]}

    def _repeats(self, tokens: Sequence[int]) -> str | None:
        """Why a window is passed over; None where it is not, and is then among those taken."""
        grams = grams_of(np.array([tokens]))
        for reason, known in {"like_training": self.trained, "repeated": self.seen}.items():
            if share_in(grams, known) > self.size.shared:
                return reason
        self.seen = np.union1d(self.seen, grams)
        return None


def grams_of(rows: np.ndarray) -> np.ndarray:
    """Sorted hashes, each once, of all GRAM tokens in a row of ids [rows, length]."""
    ids = rows.astype(np.uint64) + np.uint64(1)
    length = max(0, ids.shape[1] - GRAM + 1)
    hashes = np.zeros((len(ids), length), np.uint64)
    for offset in range(GRAM):  # of a polynomial, modulo 2^64
        hashes = hashes * np.uint64(0x9E3779B97F4A7C15) + ids[:, offset : offset + length]
    return np.unique(hashes)


def grams_of_packed(rows: np.ndarray) -> np.ndarray:
    """`grams_of` the stream of ids that was cut into the rows [rows, sequence + 1] of PACKED, those across cuts too."""
    return grams_of(np.append(rows[:, :-1], rows[-1:, -1])[None])


def share_in(grams: np.ndarray, known: np.ndarray) -> float:
    """Share of the hashes that are among the known ones, both as grams_of gives them; 0 of none."""
    if not len(grams) or not len(known):
        return 0.0
    places = np.searchsorted(known, grams).clip(max=len(known) - 1)
    return float((known[places] == grams).mean())


def spelt(tokenizer: Tokenizer, ids: Sequence[int]) -> int:
    """Bytes of the text that ids of a byte-level tokenizer spell: each character of an entry stands for one byte."""
    return sum(len(tokenizer.id_to_token(index)) for index in ids)


def bos_id(table: pa.Table) -> int:
    """Id of the BOS token, with which every document of HELD_OUT begins; its column tokens is enough."""
    return table["tokens"][0][0].as_py()
