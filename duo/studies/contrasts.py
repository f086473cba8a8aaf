"""The gain on one kind of text less that on another, with intervals: what comes of a shift, and what of the domain.

One model is scored on both, so what differs is the text. Where one domain is documents of packages that the model was
trained on and the other is packages that it never saw, that is the shift; against text of another kind it is the kind.

Nothing pairs the clusters of two domains, and their replicates are drawn apart, so the statistics of each, with their
standard errors, say all there is to know: the difference has the root of the sum of the squares. The interval is
Student's, with Cochran's rule for two variances that are known from few clusters each (`duo.verdicts.reach`). It holds
of this one training; seeds are no part of it. Clusters must not be shared: of a package that both domains have, or of
two parts of one, the error would be another.

Taken are numbers that come of every cluster by itself. Differences from the best fixed route are not: there the halves
of the clusters choose for each other, and an error over clusters is too small (docs/claims.md).
"""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from duo import verdicts
from duo.stats import Statistic
from duo.tables.contrasts import CONTRASTS

FAMILIES = (
    *("cross_entropy", "calibration", "gain", "foreseeable", "foreseeable_share", "luck", "luck_share", "unexplained"),
    *("matched_excess", "cells_excess"),
)


def differences(statistics: pa.Table, domain: str, less: str, confidence: float) -> pa.Table:
    """CONTRASTS of two domains, from GAIN_STATISTICS; of the statistics that both have."""
    taken = statistics.filter(pc.is_in(statistics["family"], pa.array(FAMILIES)))
    ours, theirs = (dict(_rows(taken, name)) for name in (domain, less))
    rows = [ours[key] | _difference(ours[key], theirs[key], confidence) for key in ours if key in theirs]
    return pa.Table.from_pylist(rows, schema=CONTRASTS.schema)


def _rows(statistics: pa.Table, domain: str) -> Iterator[tuple[tuple[str, Statistic], dict]]:
    """Rows of one domain, by model and statistic."""
    for row in statistics.filter(pc.equal(statistics["domain"], domain)).to_pylist():
        names = ("family", "subject", "reference", "budget", "labels")
        yield (row["model"], Statistic(**{name: row[name] for name in names})), row


def _difference(ours: dict, theirs: dict, confidence: float) -> dict[str, float | str]:
    """Columns of CONTRASTS that are of both rows."""
    value, variances = ours["value"] - theirs["value"], [np.square(row["error"]) for row in (ours, theirs)]
    parts = zip(variances, (ours["clusters"], theirs["clusters"]), strict=True)
    reach = float(verdicts.reach((1 - confidence) / 2, *parts))
    numbers = {"value": value, "low": value - reach, "high": value + reach, "error": float(np.sqrt(sum(variances)))}
    return numbers | {"less": theirs["domain"], "less_clusters": theirs["clusters"]}
