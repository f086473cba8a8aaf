"""What is measured of pretrained models: the tables of the studies that they are subjects of, in files of their own.

The column model holds a key of params pretrained_routes: a model and which of its routes are tried. Where routes are
bounded by departures, a budget has so many big layers, or blocks, or more.
"""

import pyarrow as pa

from duo.tables import contexts, oracle, studies
from duo.tables.files import File, Metrics, Table

PRETRAINED = File("pretrained/{model}")  # the directory of its files
PRETRAINED_FILE = File("pretrained/{model}/{file}")
WINDOW_METRICS = Metrics("pretrained_windows/{model}/metrics.json")


def _of_routes(table: Table, name: str) -> Table:
    """The same columns in a file of one entry of pretrained_routes; codes of deep models' routes need 64 bits."""
    schema = table.schema
    for index, field in enumerate(schema):
        if field.name in ("route", "oracle_route"):
            schema = schema.set(index, field.with_type(pa.int64()))
    return Table(name, schema)


_LOSSES, _GAIN = "pretrained_losses/{routes}", "results/pretrained/{routes}"
SIZES = Metrics(f"{_LOSSES}/metrics.json")  # of what was tried: layers, routes
STUDIED_SIZES = Metrics(f"{_GAIN}/metrics.json")  # the same, beside the gain
CALIBRATION = _of_routes(oracle.CALIBRATION, f"{_LOSSES}/calibration.parquet")
ROUTE_LOSSES = _of_routes(oracle.ROUTE_LOSSES, f"{_LOSSES}/route_losses.parquet")
LABEL_SELECTIONS = _of_routes(oracle.LABEL_SELECTIONS, f"{_LOSSES}/selections.parquet")
CHOICES = _of_routes(oracle.CHOICES, f"{_LOSSES}/choices.parquet")
PREDICTIONS = _of_routes(oracle.PREDICTIONS, f"{_LOSSES}/predictions.parquet")
MATCHED_GAINS = _of_routes(oracle.MATCHED_GAINS, f"{_LOSSES}/matched.parquet")
CELLS = _of_routes(oracle.CELLS, f"{_LOSSES}/cells.parquet")
JOINT_LOSSES = _of_routes(oracle.JOINT_LOSSES, f"{_LOSSES}/joint.parquet")
JOINT_CHOICES = _of_routes(contexts.JOINT_CHOICES, f"{_LOSSES}/joint_choices.parquet")

GAIN_STATISTICS = _of_routes(studies.GAIN_STATISTICS, f"{_GAIN}/statistics.parquet")
JOINT_STATISTICS = _of_routes(studies.JOINT_STATISTICS, f"{_GAIN}/joint_statistics.parquet")
HEAT_MAPS = _of_routes(studies.GAIN_HEAT_MAPS, f"{_GAIN}/heat_maps.parquet")
LAYER_SHARES = _of_routes(studies.GAIN_LAYERS, f"{_GAIN}/layers.parquet")

# By the table of the study, that of its numbers on a pretrained model.
STUDIED = {
    studies.GAIN_CURVES: _of_routes(studies.GAIN_CURVES, f"{_GAIN}/curves.parquet"),
    studies.GAIN_STATISTICS: GAIN_STATISTICS,
    studies.GAIN_HEAT_MAPS: HEAT_MAPS,
    studies.GAIN_LAYERS: LAYER_SHARES,
    studies.ORACLE_STATISTICS: _of_routes(studies.ORACLE_STATISTICS, f"{_GAIN}/oracle.parquet"),
    studies.JOINT_CURVES: _of_routes(studies.JOINT_CURVES, f"{_GAIN}/joint_curves.parquet"),
    studies.JOINT_STATISTICS: JOINT_STATISTICS,
}
