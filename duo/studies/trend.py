"""The trend over scale: how much of the oracle's gain is luck or foreseeable as a model and its training grow.

One small model says nothing of a larger one; a slope may. A line is some models that differ in one factor alone. All
are scored on the same spans of text, so a cluster drawn for one is drawn for all, and differences between points are
paired: the interval of a slope is narrower than those of its points suggest. Each point is one training, and how much
it would differ with another seed is in no interval.

Of a gain in loss, L less O, a chooser that doesn't know the label gets L - F: it is foreseeable, by that chooser. By
its own prediction the oracle is bound to gain E[F] - E[O] beyond that: luck. What is left is not explained. The
matched excess is the part of the gain that the true label has above words as surprising in the same context. These are
shares of the gain, free of units; losses are per byte too, as tokens of different vocabularies are no common measure.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import log
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from duo import stats
from duo.errors import InputError
from duo.stats import Intervals, Study
from duo.tables.trend import TREND_LOSSES, TREND_POINTS, TREND_SLOPES

_IDS = ("point", "domain", "cluster", "share", "budget", "chooser")
_SUMMED = [name for name in TREND_LOSSES.schema.names if name not in _IDS]
Sums = Mapping[str, np.ndarray]  # by column of TREND_LOSSES


class Measure(NamedTuple):
    """What is measured at every point, from its sums; whether at a share of big layers, and of a chooser."""

    words: str
    unit: str
    of_share: bool
    of_chooser: bool
    value: Callable[[Sums], np.ndarray]


def _gain(sums: Sums) -> np.ndarray:
    return sums["reference"] - sums["oracle"]


def _per_byte(value: Callable[[Sums], np.ndarray]) -> Callable[[Sums], np.ndarray]:
    return lambda sums: value(sums) / sums["bytes"] / log(2)


def _per_token(value: Callable[[Sums], np.ndarray]) -> Callable[[Sums], np.ndarray]:
    return lambda sums: value(sums) / sums["tokens"]


def _foreseeable(sums: Sums) -> np.ndarray:
    return (sums["reference"] - sums["choice"]) / _gain(sums)


def _luck(sums: Sums) -> np.ndarray:
    return (sums["expected"] - sums["null"]) / _gain(sums)


_SHARE, _BITS, _NATS = "share of the gain", "bits per byte", "nats per token"
MEASURES = {
    "luck": Measure("luck by the chooser's own prediction", _SHARE, True, True, _luck),
    "foreseeable": Measure("foreseeable by the chooser", _SHARE, True, True, _foreseeable),
    "unexplained": Measure(
        "neither foreseeable by the chooser nor luck",
        _SHARE,
        True,
        True,
        lambda sums: 1 - _luck(sums) - _foreseeable(sums),
    ),
    "excess": Measure(
        "matched excess: above words as surprising in the same context",
        _SHARE,
        True,
        False,
        lambda sums: (sums["gain"] - sums["matched_gain"]) / _gain(sums),
    ),
    "gain": Measure("the oracle's gain over all layers big", _BITS, True, False, _per_byte(_gain)),
    "gain_per_token": Measure("the oracle's gain over all layers big", _NATS, True, False, _per_token(_gain)),
    "all_big": Measure("loss with all layers big", _BITS, False, False, _per_byte(lambda sums: sums["reference"])),
    "all_big_per_token": Measure(
        "loss with all layers big", _NATS, False, False, _per_token(lambda sums: sums["reference"])
    ),
    "surprisal": Measure("cross entropy of the chooser", _BITS, False, True, _per_byte(lambda sums: sums["surprisal"])),
}


@dataclass(frozen=True)
class Measured:
    """Key of a measure at a point; share and chooser are empty where it is of none."""

    measure: str
    share: float | None
    chooser: str
    point: str
    x: float


@dataclass(frozen=True)
class Slope:
    """Key of a measure's slope along the line, per doubling of the factor."""

    measure: str
    share: float | None
    chooser: str
    points: int


class TrendLine(Study):
    """One domain along one line, by cluster.

    places: the value of the factor, above 0, by point; sums [clusters] by point, share, chooser and column of
    TREND_LOSSES.
    """

    def __init__(
        self,
        domain: str,
        factor: str,
        places: Mapping[str, float],
        sums: Mapping[tuple[str, float, str], Mapping[str, np.ndarray]],
        clusters: int,
    ) -> None:
        self.ids = {"domain": domain, "factor": factor}
        self.stream = ("trend",)
        self.places, self.sums, self.clusters = places, sums, clusters

    def numbers(self, weights: np.ndarray) -> stats.Numbers:
        measured: dict[Measured, np.ndarray] = {}
        for (point, share, chooser), columns in self.sums.items():
            totals = {name: stats.weighted_sums(weights, column) for name, column in columns.items()}
            for name, measure in MEASURES.items():
                of = share if measure.of_share else None, chooser if measure.of_chooser else ""
                measured.setdefault(Measured(name, *of, point, self.places[point]), measure.value(totals))
        return measured | slopes(measured)

    def tables(self, estimates: Intervals) -> dict[Any, Any]:
        return {
            table: [row | _meaning(row["measure"]) for row in self.rows(estimates, kind)]
            for table, kind in {TREND_POINTS: Measured, TREND_SLOPES: Slope}.items()
        }


def _meaning(measure: str) -> dict[str, str]:
    return {"words": MEASURES[measure].words, "unit": MEASURES[measure].unit}


def slopes(measured: Mapping[Measured, np.ndarray]) -> stats.Numbers:
    """The slope [replicates] of every measure that two points or more have."""
    lines: dict[tuple, dict[float, np.ndarray]] = {}
    for key, values in measured.items():
        lines.setdefault((key.measure, key.share, key.chooser), {})[key.x] = values
    return {
        Slope(*line, len(points)): stats.slopes(np.log2(list(points))[:, None], np.stack(list(points.values())))
        for line, points in lines.items()
        if len(points) > 1
    }


def gather(tables: Mapping[str, pa.Table], factor: str, places: Mapping[str, float]) -> list[TrendLine]:
    """The study of every domain along one line, from TREND_LOSSES by point, and each point's value of the factor.

    InputError where points were scored on different text.
    """
    first = next(iter(tables.values()))
    return [_study(domain, tables, factor, places) for domain in first["domain"].unique().to_pylist()]


def _study(domain: str, tables: Mapping[str, pa.Table], factor: str, places: Mapping[str, float]) -> TrendLine:
    sums, text = {}, {}
    for point, table in tables.items():
        of_domain = table.filter(pc.equal(table["domain"], domain)).sort_by("cluster")
        shares, choosers = (of_domain[name].to_numpy(zero_copy_only=False) for name in ("share", "chooser"))
        for share, chooser in dict.fromkeys(zip(shares.tolist(), choosers.tolist(), strict=True)):
            rows = of_domain.filter(pa.array((shares == share) & (choosers == chooser)))
            sums[point, share, chooser] = {name: rows[name].to_numpy().astype(np.float64) for name in _SUMMED}
            text[point, share, chooser] = dict(zip(rows["cluster"].to_pylist(), rows["bytes"].to_pylist(), strict=True))
    expected = next(iter(text.values()))
    for (point, *_), found in text.items():
        for cluster in sorted(set(expected) | set(found)):
            if expected.get(cluster) != found.get(cluster):
                raise InputError(
                    f"point {point!r}, domain {domain!r}, cluster {cluster!r}: {found.get(cluster, 0)} bytes are "
                    f"scored, of another point {expected.get(cluster, 0)}; all points should be scored on the same text"
                )
    return TrendLine(domain, factor, places, sums, len(expected))
