"""What studies share that measure each token's losses under all routes, and add the measures up by cluster."""

from collections.abc import Callable, Hashable, Iterator
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from duo.oracle import select
from duo.progress import progress
from duo.routes import RouteSpace
from duo.studies.documents import by_cluster

Measures = dict[Hashable, np.ndarray]  # by name, [tokens, ...], or sums of these [...]
# By (domain, cluster, document): tokens, and the sum over them of each measure.
Sums = dict[tuple[str, str, str], tuple[int, Measures]]


class DomainSums(NamedTuple):
    """One domain of a model: tokens [clusters], and every measure summed by cluster [clusters, ...]."""

    name: str
    tokens: np.ndarray
    sums: Measures


def document_sums(table: pa.Table, space: RouteSpace, measure: Callable[[np.ndarray], Measures], what: str) -> Sums:
    """Tokens, and every measure summed over them, of each document in a shard of ROUTE_LOSSES.

    measure(losses [tokens, routes]) gives arrays [tokens, ...]; one document is worked on at a time. what: for the
    progress bar.
    """
    documents = progress(what, "documents", select.by_document(table, space))
    by_document = {}
    for domain, document, rows, losses in documents:
        sums = {name: values.sum(axis=0) for name, values in measure(losses).items()}
        by_document[domain, table["cluster"][rows.start].as_py(), document] = (rows.stop - rows.start, sums)
    return by_document


def domains(sums: Sums) -> Iterator[DomainSums]:
    """Every domain of a model, from document_sums of all its shards; the documents' order changes nothing."""
    for domain in dict.fromkeys(name for name, *_ in sums):
        keys = sorted(key for key in sums if key[0] == domain)
        clusters = np.array([cluster for _, cluster, _ in keys])
        tokens, measures = zip(*(sums[key] for key in keys), strict=True)
        by_measure = {
            name: by_cluster(clusters, np.stack([document[name] for document in measures])) for name in measures[0]
        }
        yield DomainSums(domain, by_cluster(clusters, np.array(tokens)), by_measure)
