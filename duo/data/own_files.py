"""The user's own files: text, a document each or between separators, and tables, a document a row.

Files are found in one folder, which the experiment watches. Links to folders are not followed, for two of them can
make a loop, nor are names read that begin with a dot, where systems keep things of their own.
"""

import csv
import itertools
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from fnmatch import fnmatchcase
from io import BufferedReader
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from duo.data import documents
from duo.data.documents import LONGEST, TEXT, TOO_LONG, Document, LeftOut, UnusableError
from duo.data.sources import FilesDomain
from duo.data.splits import SPLITS, globs, suffix_of
from duo.errors import InputError

CHUNK = 2**20  # bytes read at once
LONGEST_JSON = 2**30  # bytes of a file that is one JSON value, which is parsed as a whole
Rows = Iterator[tuple[str, Any]]  # the end of an id, and a row, or why it is none


def read(domain: FilesDomain, name: str, folder: Path) -> Iterator[Document | LeftOut]:
    """What the domain called `name` has in the folder, in the order of the files' names.

    InputError for a glob that matches nothing, a file that two splits ask for, and one that can't be read at all.
    """
    for path, split in _found(domain, name, folder).items():
        shown = os.fsencode(path.relative_to(folder)).decode("utf-8", "backslashreplace")
        for key, row in _rows(path, domain):
            about = {"source": domain.attribution, "licence": domain.licence, "split": split}
            if domain.split_field and isinstance(row, Mapping):
                about["split"] = _split(domain, row, f"{path}, {key}")
            yield documents.document(row, domain.field or TEXT, id=f"{shown}{key}", **about)


def _split(domain: FilesDomain, row: Mapping[str, Any], where: str) -> str:
    """The split that a row names. InputError where that is none, or one that the domain has a share for."""
    value = row.get(domain.split_field)
    split = value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else value
    named = [split for split in SPLITS if not getattr(domain, split, None)]
    if split not in named:
        raise InputError(f"{where}: {domain.split_field!r} is {split!r}; should be one of {', '.join(named)}")
    return split


# Finding them


def _found(domain: FilesDomain, name: str, folder: Path) -> dict[Path, str]:
    """The split of every file that a glob of the domain matches, in the order of their names."""
    there = files_in(folder)
    found: dict[Path, str] = {}
    for split, patterns in globs(domain.glob).items():
        for pattern in patterns:
            matching = [path for path in there if matches(path.relative_to(folder), pattern)]
            if not matching:
                raise InputError(f"domain {name!r}: no file in {folder} matches {pattern!r}{_hint(folder, pattern)}")
            for path in matching:
                if found.setdefault(path, split) != split:
                    raise InputError(f"domain {name!r}: globs of {found[path]} and of {split} match {path}")
    return dict(sorted(found.items()))


def files_in(folder: Path) -> list[Path]:
    """All files below a folder, sorted, but for hidden ones and those behind links to folders.

    InputError where a folder can't be read.
    """

    def refuse(error: OSError) -> None:
        raise InputError(f"{error.filename}: can't be read: {error.strerror}")

    found = []
    for place, folders, names in os.walk(folder, onerror=refuse):
        folders[:] = [each for each in folders if not each.startswith(".")]
        found += [path for each in names if not each.startswith(".") and (path := Path(place, each)).is_file()]
    return sorted(found)


def matches(path: Path, pattern: str) -> bool:
    """Whether a path matches a glob, in which ** stands for any folders, also for none."""
    return _match(path.parts, Path(pattern).parts)


def _match(parts: tuple[str, ...], patterns: tuple[str, ...]) -> bool:
    if not patterns:
        return not parts
    first, *rest = patterns
    if first == "**":
        return any(_match(parts[skipped:], tuple(rest)) for skipped in range(len(parts) + 1))
    return bool(parts) and fnmatchcase(parts[0], first) and _match(parts[1:], tuple(rest))


def _hint(folder: Path, pattern: str) -> str:
    """What else may have been meant by a glob that matches nothing."""
    if Path(pattern).exists():
        return f"; globs are relative to {folder} (params own_text)"
    if (folder / pattern).is_dir():
        return f"; it is a folder: {pattern}/**/*.txt names the texts in it, {pattern}/*.arrow the rows of a data set"
    return ""


# Reading them


def _rows(path: Path, domain: FilesDomain) -> Rows:
    reader = {
        ".jsonl": _json_lines,
        ".json": _json,
        ".csv": _csv,
        ".tsv": _csv,
        ".parquet": _parquet,
        ".arrow": _arrow,
    }.get(suffix_of(path.name), _text)
    with _explained(path):
        yield from reader(path, domain)


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Context in which a file that is damaged, or of another kind, is one error that names it."""
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{path}: can't be read: {str(error).splitlines()[0]}") from None


@contextmanager
def _open(path: Path) -> Iterator[BinaryIO]:
    """The file's bytes, unpacked where its name ends in .gz or .zst."""
    packing = {".gz": "gzip", ".zst": "zstd"}.get(path.suffix)
    with open(path, "rb") as file:  # by Python, as Arrow opens no name that is no Unicode
        yield BufferedReader(pa.input_stream(file, compression=packing), CHUNK) if packing else file


def _text(path: Path, domain: FilesDomain) -> Rows:
    with _open(path) as file:
        if domain.separator is None:
            yield "", {TEXT: file.read(LONGEST + 1)}
        else:
            pieces = _pieces(file, domain.separator.encode())
            yield from ((f"#{number}", {TEXT: piece}) for number, piece in enumerate(pieces, start=1) if piece.strip())


def _pieces(file: BinaryIO, separator: bytes) -> Iterator[bytes]:
    """What stands between separators; of a piece that is too long, just more than is allowed."""
    left = b""
    while chunk := file.read(CHUNK):
        *whole, left = (left + chunk).split(separator)
        yield from whole
        if len(left) > LONGEST:  # the end, as a separator may have begun there
            left = left[:LONGEST] + left[LONGEST:][-len(separator) :]
    yield left


def _json_lines(path: Path, _: FilesDomain) -> Rows:
    with _open(path) as file:
        for number in itertools.count(1):
            line = file.readline(LONGEST + 1)
            if not line:
                return
            if len(line) > LONGEST:
                while line and not line.endswith(b"\n"):
                    line = file.readline(LONGEST)
                yield f"#{number}", UnusableError(TOO_LONG, f"over {LONGEST:,} bytes")
            elif line.strip():
                yield f"#{number}", _parsed(line)


def _parsed(line: bytes) -> Any:
    try:
        return documents.parse(line)
    except UnusableError as unusable:
        return unusable


def _json(path: Path, _: FilesDomain) -> Rows:
    with _open(path) as file:
        content = file.read(LONGEST_JSON + 1)
    if len(content) > LONGEST_JSON:
        raise InputError(f"{path}: over {LONGEST_JSON:,} bytes of JSON in one piece; give JSON Lines (.jsonl) instead")
    yield from ((f"/{key}", value) for key, value in documents.entries(content, str(path)))


def _csv(path: Path, domain: FilesDomain) -> Rows:
    csv.field_size_limit(LONGEST)
    with _open(path) as file:
        reader = csv.DictReader(_lines(file, path), delimiter="\t" if suffix_of(path.name) == ".tsv" else ",")
        try:
            _require_columns(path, reader.fieldnames or (), domain)
            yield from ((f"#{number}", row) for number, row in enumerate(reader, start=1))
        except csv.Error as error:
            raise InputError(f"{path}, line {reader.line_num}: {error}") from None


def _lines(file: BinaryIO, path: Path) -> Iterator[str]:
    """Lines as text, in which bytes that are no UTF-8 stand for themselves: only the row that has them is left out."""
    for number in itertools.count(1):
        line = file.readline(LONGEST + 1)
        if len(line) > LONGEST:
            raise InputError(f"{path}, line {number}: over {LONGEST:,} bytes")
        if not line:
            return
        yield line.decode("utf-8-sig" if number == 1 else "utf-8", "surrogateescape")


def _parquet(path: Path, domain: FilesDomain) -> Rows:
    with _open(path) as file, pq.ParquetFile(file) as parquet:
        columns = _require_columns(path, parquet.schema_arrow.names, domain)
        yield from _of_batches(path, parquet.iter_batches(batch_size=1024, columns=columns), columns)


def _arrow(path: Path, domain: FilesDomain) -> Rows:
    """Of either kind of Arrow file: what the datasets library saves is a stream."""
    with _open(path) as file:
        is_file = file.read(6) == b"ARROW1"
        file.seek(0)
        reader = pa.ipc.open_file(file) if is_file else pa.ipc.open_stream(file)
        columns = _require_columns(path, reader.schema.names, domain)
        batches = map(reader.get_batch, range(reader.num_record_batches)) if is_file else reader
        yield from _of_batches(path, batches, columns)


def _of_batches(path: Path, batches: Iterable[pa.RecordBatch], columns: list[str]) -> Rows:
    number = 0
    for batch in batches:
        values = [_column(path, batch.column(batch.schema.names.index(name)), name) for name in columns]
        for row in zip(*values, strict=True):
            number += 1
            yield f"#{number}", dict(zip(columns, row, strict=True))


def _column(path: Path, column: pa.Array, name: str) -> list[bytes | None]:
    """A column of text as bytes, for what other programs write as text may be no UTF-8."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    try:
        return column.cast(pa.large_binary()).to_pylist()
    except pa.ArrowException:
        raise InputError(f"{path}: column {name!r} holds {column.type}; should be text") from None


def _require_columns(path: Path, there: Iterable[str], domain: FilesDomain) -> list[str]:
    """The columns that are read. InputError where the file lacks one."""
    columns = [name for name in (domain.field, domain.split_field) if name]
    for name in columns:
        if name not in there:
            raise InputError(f"{path}: has no column {name!r}; it has {', '.join(there) or 'none'}")
    return columns
