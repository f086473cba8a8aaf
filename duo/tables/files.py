"""What every artifact shares: its place under artifacts/, its atomic write and its checked read.

A write goes to a temporary file beside the target, is synced and renamed, so a killed process leaves the old file or
the new one. The same table gives the same bytes: no time, host or path is stored.
"""

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, Self

import pyarrow as pa
import pyarrow.parquet as pq

from duo.errors import InputError

ROOT = Path("artifacts")


class Watcher(Protocol):
    """Told which files are used. Who runs code that should keep to some files can tell from it, or refuse."""

    def asked(self, path: Path) -> None:
        """Somebody asks where the file is, to read or to write it; an error that is raised here reaches them."""

    def written(self, path: Path) -> None:
        """The file has been written."""


_watchers: list[Watcher] = []


@contextmanager
def watched(watcher: Watcher) -> Iterator[None]:
    """Context in which the watcher is told of every file."""
    _watchers.append(watcher)
    try:
        yield
    finally:
        _watchers.remove(watcher)


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Yield a temporary path; what the caller writes there replaces `path` at once, or not at all."""
    temporary = path.with_name(path.name + ".tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
        for watcher in _watchers:
            watcher.written(path)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else error  # Arrow's own text is longer
        raise InputError(f"{path}: could not be written: {reason}") from error
    finally:
        with suppress(OSError):  # of a folder that can't be written, which has been told
            temporary.unlink(missing_ok=True)


@dataclass(frozen=True)
class File:
    """A file under artifacts/; `template` has a {name} for every key that tells instances apart."""

    template: str

    def place(self, **keys: Any) -> str:
        """Where the file is, as text to be shown; whoever uses the file asks for its path."""
        return (ROOT / self.template.format(**keys)).as_posix()

    def path(self, **keys: Any) -> Path:
        path = Path(self.place(**keys))
        for watcher in _watchers:
            watcher.asked(path)
        return path

    def instance(self, **keys: Any) -> Self:
        """The file of these keys alone, as a File that needs none."""
        return replace(self, template=self.template.format(**keys))

    def at(self, path: Path) -> Self:
        """The file of this kind that lies at a path, wherever that is."""
        return replace(self, template=str(path.absolute()).replace("{", "{{").replace("}", "}}"))

    def digest(self, **keys: Any) -> str:
        """MD5 of the bytes, the hash that dvc.lock records."""
        with open(self.path(**keys), "rb") as file:
            return hashlib.file_digest(file, "md5").hexdigest()


@dataclass(frozen=True)
class Json(File):
    """A small JSON value; keys of objects are written in the order given."""

    def write(self, value: Any, **keys: Any) -> None:
        with atomic(self.path(**keys)) as temporary:
            temporary.write_text(json.dumps(value, indent=2, allow_nan=False) + "\n", encoding="utf-8")

    def read(self, **keys: Any) -> Any:
        path = self.path(**keys)
        try:
            return json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise InputError(f"{path}: is missing") from None
        except ValueError as error:
            raise InputError(f"{path}: not valid JSON ({error})") from None


@dataclass(frozen=True)
class Metrics(Json):
    """A JSON object of numbers, which may be nested: what a run is compared with others by."""


@dataclass(frozen=True)
class Table(File):
    """A Parquet file with a fixed schema.

    A field of type list<x> holds rows of one length, the same for the whole file.
    """

    schema: pa.Schema

    def write(self, columns: dict[str, Any] | pa.Table, **keys: Any) -> None:
        """Write columns (arrays or lists, in any order) after checking them against the schema."""
        path = self.path(**keys)
        table = columns if isinstance(columns, pa.Table) else pa.table(columns)
        table = self._cast(table, path)
        with atomic(path) as temporary:
            pq.write_table(
                table,
                temporary,
                compression="zstd",
                use_dictionary=self._texts(),
                use_byte_stream_split=self._floats(table),
            )

    def read(self, columns: list[str] | None = None, **keys: Any) -> pa.Table:
        """The table, or the named columns of it. InputError where the file is missing, damaged or of another schema."""
        path = self.path(**keys)
        try:
            table = pq.read_table(path, columns=columns, memory_map=False, partitioning=None)
        except FileNotFoundError:
            raise InputError(f"{path}: is missing") from None
        except (pa.ArrowException, OSError) as error:
            reason = str(error).splitlines()[0]
            raise InputError(f"{path}: damaged or not Parquet ({reason})") from None
        expected = [field for field in self.schema if columns is None or field.name in columns]
        for field in expected:
            if field.name not in table.column_names:
                raise InputError(f"{path}: column {field.name!r} is missing")
            if not _fits(table.schema.field(field.name).type, field.type):
                found = table.schema.field(field.name).type
                raise InputError(f"{path}: column {field.name!r} is {found}, should be {field.type}")
        return table

    def _cast(self, table: pa.Table, path: Path) -> pa.Table:
        if sorted(table.column_names) != sorted(self.schema.names):
            raise InputError(f"{path}: columns are {sorted(table.column_names)}, should be {sorted(self.schema.names)}")
        arrays, fields = [], []
        for field in self.schema:
            column = table.column(field.name).combine_chunks()
            if not _fits(column.type, field.type):
                try:
                    column = column.cast(field.type)
                except pa.ArrowException as error:
                    raise InputError(f"{path}: column {field.name!r}: {error}") from None
            if column.null_count and not field.nullable:
                raise InputError(f"{path}: column {field.name!r} has {column.null_count} empty values; none is allowed")
            arrays.append(column)
            fields.append(field.with_type(column.type))
        return pa.Table.from_arrays(arrays, schema=pa.schema(fields, table.schema.metadata))

    def _texts(self) -> list[str]:
        return [
            field.name for field in self.schema if pa.types.is_string(field.type) and field.name not in ("text", "id")
        ]

    def _floats(self, table: pa.Table) -> list[str]:
        """Columns that BYTE_STREAM_SPLIT shrinks, by their path inside the Parquet file."""
        names = []
        for field in table.schema:
            if pa.types.is_floating(field.type):
                names.append(field.name)
            elif pa.types.is_fixed_size_list(field.type) and pa.types.is_floating(field.type.value_type):
                names.append(f"{field.name}.list.element")
        return names


def _fits(found: pa.DataType, expected: pa.DataType) -> bool:
    """Equal types, or a fixed-size list where the schema leaves the size open."""
    if pa.types.is_list(expected) and pa.types.is_fixed_size_list(found):
        return found.value_type == expected.value_type
    return found == expected


def matrix(column: pa.ChunkedArray) -> "numpy.ndarray":  # noqa: F821
    """A fixed-size-list column as an array [rows, size], without a copy where Arrow allows it."""
    array = column.combine_chunks()
    return array.flatten().to_numpy(zero_copy_only=False).reshape(len(array), array.type.list_size)


def fixed_lists(values: "numpy.ndarray") -> pa.FixedSizeListArray:  # noqa: F821
    """An array [rows, size] as a fixed-size-list column."""
    return pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1)), values.shape[1])
