"""What studies share that look at whole documents before they sum by cluster."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc


def part(table: pa.Table, model: str, domain: str) -> pa.Table:
    """The rows of one model and domain, by document and position."""
    rows = table.filter(pc.and_(pc.equal(table["model"], model), pc.equal(table["domain"], domain)))
    return in_order(rows)


def in_order(rows: pa.Table) -> pa.Table:
    """The rows by document and position."""
    return rows.sort_by([("document", "ascending"), ("position", "ascending")])


def clusters_of(table: pa.Table) -> np.ndarray:
    """[documents] cluster of each document of the table, documents in order of id."""
    _, first = np.unique(table["document"].to_numpy(), return_index=True)
    return table["cluster"].to_numpy()[first]


def by_cluster(clusters: np.ndarray, values: np.ndarray) -> np.ndarray:
    """[clusters, ...] sums of values [documents, ...], in order of the clusters' ids; clusters: ids [documents]."""
    ids, row = np.unique(clusters, return_inverse=True)
    sums = np.zeros((len(ids), *values.shape[1:]))
    np.add.at(sums, row, values)
    return sums
