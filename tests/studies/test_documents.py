"""Documents in order, and their sums by cluster."""

import numpy as np
import pyarrow as pa

from duo import stats
from duo.studies.documents import by_cluster, clusters_of, part

TABLE = pa.table(
    {
        "model": ["a"] * 6 + ["b"],
        "domain": ["text", "text", "text", "text", "code", "text", "text"],
        "document": ["y", "x", "y", "z", "x", "x", "w"],
        "cluster": ["p", "q", "p", "p", "q", "q", "r"],
        "position": [1, 1, 0, 0, 0, 0, 0],
    }
)


def test_a_part_is_in_order_and_its_clusters_are_those_of_its_documents():
    rows = part(TABLE, "a", "text")
    places = list(zip(rows["document"].to_pylist(), rows["position"].to_pylist(), strict=True))
    assert places == [("x", 0), ("x", 1), ("y", 0), ("y", 1), ("z", 0)]
    assert clusters_of(rows).tolist() == ["q", "p", "p"]
    assert clusters_of(rows.take([4, 2, 0, 3, 1])).tolist() == ["q", "p", "p"], "whatever the order of the rows"


def test_sums_by_cluster_are_in_the_order_that_all_studies_have():
    clusters = np.array(["q", "p", "r", "p"])
    values = np.arange(24.0).reshape(4, 3, 2)
    sums = by_cluster(clusters, values)
    np.testing.assert_array_equal(sums, [values[1] + values[3], values[0], values[2]])
    np.testing.assert_array_equal(sums[:, 0, 0], stats.Clusters(clusters).sums(values[:, 0, 0]))
    assert by_cluster(clusters, np.ones(4, bool)).tolist() == [2, 1, 1]
