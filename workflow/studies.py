"""Studies made tables: what every stage of a study shares."""

from collections.abc import Iterable, Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from duo.settings import Bootstrap
from duo.stats import Intervals, Study
from duo.tables.files import Table
from workflow import instance


def write(
    studies: Iterable[Study], settings: Bootstrap, seed: int, into: Mapping[Table, Table] | None = None, **keys: str
) -> list[tuple[Study, Intervals]]:
    """Write every table that the studies fill; returns each study with its intervals, for what is no table.

    into: where given, the tables to write, and in whose place of the same columns. keys: of the tables' files, where
    they have instances.
    """
    finished, parts = [], {}
    for study in studies:
        estimates = study.intervals(settings.resamples, settings.confidence, seed)
        finished.append((study, estimates))
        for table, rows in study.tables(estimates).items():
            parts.setdefault(table, []).append(as_table(table, rows))
    for table, tables in parts.items():
        if into is None or table in into:
            (into[table] if into else table).write(pa.concat_tables(tables), **keys)
    return finished


def whole(table: Table) -> pa.Table | None:
    """All instances of a table together, in dvc.yaml's order; None where the experiment has none."""
    parts = [table.read(**keys) for keys in instance.made(table.template)]
    return pa.concat_tables(parts) if parts else None


def of_models(table: pa.Table, models: Sequence[str]) -> pa.Table:
    """The rows of these models."""
    return table.filter(pc.is_in(table["model"], pa.array(models)))


def as_table(table: Table, rows: list[dict] | pa.Table) -> pa.Table:
    """Rows as Arrow columns in the order of the table's schema."""
    if not isinstance(rows, pa.Table):
        rows = pa.table({name: [row[name] for row in rows] for name in table.schema.names}, table.schema)
    return rows.select(table.schema.names).cast(table.schema)
