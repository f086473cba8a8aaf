"""Losses of somebody's own, of true and sampled labels under each of his routes, in the layout of docs/pretrained.md.

A Parquet file with a row for each token and label: `document` and `position` say which token, `labels` whether the
label is the true one or was sampled from what the reference route predicts, and `losses` has one loss per route.
"""

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from duo.errors import InputError
from duo.tables import audit, files
from duo.terms import SAMPLED, TRUE

COLUMNS = ("document", "position", "labels", "losses")


class OwnLosses(NamedTuple):
    """What the file holds, as duo.studies.departures.by_sampled takes it."""

    losses: np.ndarray  # [tokens, routes] of true labels
    sampled: np.ndarray  # [draws, routes]
    document: np.ndarray  # [tokens] number of the document from 0, ascending
    sampled_document: np.ndarray  # [draws]
    departures: np.ndarray  # [routes] 0 of the reference alone


def read(path: Path, reference: int | None = None) -> OwnLosses:
    """The losses in a file. reference: number of the route that others are compared with, where the file doesn't say.

    InputError, naming the file and what would be right, where it is not as the layout has it.
    """
    table = _table(path)
    losses = _losses(path, table["losses"])
    reference, departures = _routes(path, table.schema.metadata or {}, losses.shape[1], reference)
    labels = np.asarray(table["labels"].to_pylist())
    unknown = sorted(set(labels.tolist()) - {TRUE, SAMPLED})
    if unknown:
        raise InputError(f"{path}: column 'labels' has {unknown[0]!r}; should be {TRUE} or {SAMPLED}")
    column = table["document"].cast(pa.string()).combine_chunks().dictionary_encode()
    names, document = column.dictionary.to_pylist(), column.indices.to_numpy()  # in order of their first rows
    position = table["position"].to_numpy()
    order = np.lexsort((position, document))
    by_label = {name: order[labels[order] == name] for name in (TRUE, SAMPLED)}
    tokens, counts = (
        np.unique(np.stack([document[rows], position[rows]]), axis=1, return_counts=True) for rows in by_label.values()
    )
    _check_tokens(path, names, tokens, counts)
    if len(names) < 2:
        raise InputError(f"{path}: {len(names)} document; intervals need 2 or more")
    true, sampled = by_label.values()
    return OwnLosses(losses[true], losses[sampled], document[true], document[sampled], departures)


def _table(path: Path) -> pa.Table:
    """The four columns, of the right types and without empty values."""
    try:
        table = pq.read_table(path, memory_map=False, partitioning=None)
    except FileNotFoundError:
        raise InputError(f"{path}: is missing") from None
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{path}: damaged or not Parquet ({str(error).splitlines()[0]})") from None
    for name in COLUMNS:
        if name not in table.column_names:
            raise InputError(f"{path}: column {name!r} is missing; should have {', '.join(COLUMNS)}")
        if table[name].null_count:
            raise InputError(f"{path}: column {name!r} has {table[name].null_count} empty values; none is allowed")
    for name, fits, should in (
        ("position", pa.types.is_integer, "whole numbers"),
        ("labels", lambda kind: pa.types.is_string(kind) or pa.types.is_large_string(kind), "text"),
        ("losses", _holds_losses, "lists of floating-point numbers"),
    ):
        if not fits(table[name].type):
            raise InputError(f"{path}: column {name!r} is {table[name].type}, should be {should}")
    if not len(table):
        raise InputError(f"{path}: has no rows; should have one for each token and label")
    return table


def _holds_losses(kind: pa.DataType) -> bool:
    lists = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    return lists and pa.types.is_floating(kind.value_type)


def _losses(path: Path, column: pa.ChunkedArray) -> np.ndarray:
    """[rows, routes] of a column of lists."""
    sizes = column.combine_chunks().value_lengths().to_numpy(zero_copy_only=False)
    other = np.flatnonzero(sizes != sizes[0])
    if len(other):
        raise InputError(
            f"{path}: row {other[0]} has {sizes[other[0]]} losses, row 0 has {sizes[0]}; should be one for each route"
        )
    if sizes[0] < 2:
        raise InputError(f"{path}: losses of {sizes[0]} routes; should be 2 or more, or there is nothing to choose")
    losses = files.matrix(pa.chunked_array([column.combine_chunks().cast(pa.list_(column.type.value_type, sizes[0]))]))
    wrong = np.argwhere(~np.isfinite(losses))
    if len(wrong):
        row, route = wrong[0]
        raise InputError(f"{path}: row {row} has the loss {losses[row, route]} under route {route}; should be finite")
    return losses


def _routes(path: Path, metadata: dict[bytes, bytes], routes: int, reference: int | None) -> tuple[int, np.ndarray]:
    """Number of the reference route, and how far each route [routes] is from it."""
    if reference is None:
        reference = _value(path, metadata, audit.REFERENCE)
    if reference is None:
        raise InputError(
            f"{path}: says of no route that it is the reference; its schema's metadata should have "
            f"{audit.REFERENCE!r}, a number from 0 to {routes - 1}, or give --reference"
        )
    if not _whole(reference) or reference not in range(routes):
        raise InputError(f"{path}: reference route {reference!r}; should be a number from 0 to {routes - 1}")
    departures = _value(path, metadata, audit.DEPARTURES)
    if departures is None:
        return reference, (np.arange(routes) != reference).astype(int)
    if not isinstance(departures, list) or len(departures) != routes or not all(map(_whole, departures)):
        raise InputError(
            f"{path}: metadata {audit.DEPARTURES!r} should be a list of {routes} whole numbers, of each route"
        )
    away = np.array(departures)
    if np.flatnonzero(away <= 0).tolist() != [reference] or away[reference]:
        raise InputError(
            f"{path}: metadata {audit.DEPARTURES!r} should be 0 of the reference route {reference}, and 1 or more of "
            "all others"
        )
    return reference, away


def _value(path: Path, metadata: dict[bytes, bytes], name: str) -> Any:
    """What the schema's metadata say of a name, in JSON; None where they say nothing."""
    try:
        return json.loads(metadata[name.encode()]) if name.encode() in metadata else None
    except ValueError:
        raise InputError(
            f"{path}: metadata {name!r} is {metadata[name.encode()].decode(errors='replace')!r}; should be JSON"
        ) from None


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _check_tokens(path: Path, names: list[str], true: tuple, sampled: tuple) -> None:
    """InputError where a token has not one true label, or not as many sampled ones as others.

    true, sampled: document and position [2, tokens] of those that have such labels, and how many [tokens].
    """

    def where(token: np.ndarray) -> str:
        return f"document {names[token[0]]!r}, position {token[1]}"

    (tokens, counts), (drawn, draws) = true, sampled
    if not tokens.size or not drawn.size:
        missing = SAMPLED if tokens.size else TRUE
        raise InputError(f"{path}: no row has labels {missing!r}; every token should have some, and true ones")
    if counts.max() > 1:
        raise InputError(f"{path}: {where(tokens[:, counts.argmax()])} has {counts.max()} true labels; should be one")
    only = set(map(tuple, tokens.T.tolist())) ^ set(map(tuple, drawn.T.tolist()))
    if only:
        raise InputError(f"{path}: {where(min(only))} has no row of true or none of sampled labels; should have both")
    if draws.min() != draws.max():
        raise InputError(
            f"{path}: {where(drawn[:, draws.argmin()])} has {draws.min()} sampled labels, others have {draws.max()}; "
            "should be as many everywhere"
        )
