"""The layout of somebody's own losses: what is right is read whatever wrote it, what is wrong is one error."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from duo.auditing import own_losses
from duo.errors import InputError

ROWS = [  # document, position, labels, losses
    ("b", 0, "true", [1.0, 2.0, 0.5]),
    ("a", 1, "true", [3.0, 1.0, 2.0]),
    ("a", 0, "sampled", [1.0, 2.0, 3.0]),
    ("a", 0, "true", [4.0, 5.0, 6.0]),
    ("a", 0, "sampled", [0.0, 1.0, 3.0]),
    ("b", 0, "sampled", [4.0, 1.0, 0.5]),
    ("b", 0, "sampled", [3.0, 2.0, 1.0]),
    ("a", 1, "sampled", [2.0, 2.0, 2.0]),
    ("a", 1, "sampled", [2.5, 2.0, 2.0]),
]
REFERENCE = {"reference": "1"}


def table(rows=ROWS, kind=None, metadata=REFERENCE) -> pa.Table:
    columns = dict(zip(own_losses.COLUMNS, map(list, zip(*rows, strict=True)), strict=True))
    columns["losses"] = pa.array(columns["losses"], kind or pa.list_(pa.float64()))
    return pa.table(columns).replace_schema_metadata(metadata)


def read(path, given: pa.Table, reference=None):
    pq.write_table(given, path / "mine.parquet")
    return own_losses.read(path / "mine.parquet", reference)


@pytest.mark.parametrize(
    "kind", [pa.list_(pa.float64()), pa.large_list(pa.float32()), pa.list_(pa.float32(), 3), pa.list_(pa.float16())]
)
@pytest.mark.parametrize("chunks", [1, 3])
def test_rows_stand_in_any_order_and_type(tmp_path, kind, chunks):
    whole = table(kind=kind)
    size = len(whole) // chunks
    own = read(tmp_path, pa.concat_tables([whole.slice(start, size) for start in range(0, len(whole), size)]))
    np.testing.assert_array_equal(own.losses, [[1, 2, 0.5], [4, 5, 6], [3, 1, 2]])
    assert own.document.tolist() == [0, 1, 1] and own.sampled_document.tolist() == [0, 0, 1, 1, 1, 1]
    assert sorted(own.sampled[:2].tolist()) == [[3, 2, 1], [4, 1, 0.5]]
    assert own.departures.tolist() == [1, 0, 1]


def test_numbers_name_documents_too_and_other_columns_are_passed_over(tmp_path):
    given = table([({"a": 10, "b": 9}[row[0]], *row[1:]) for row in ROWS]).append_column("note", [["x"] * len(ROWS)])
    assert read(tmp_path, given).losses.shape == (3, 3)


def test_the_reference_is_said_by_the_file_or_the_command(tmp_path):
    assert read(tmp_path, table(metadata=None), 2).departures.tolist() == [1, 1, 0]
    far = REFERENCE | {"departures": json.dumps([2, 0, 1])}
    assert read(tmp_path, table(metadata=far)).departures.tolist() == [2, 0, 1]


def without(row: int, *more) -> list:
    return ROWS[:row] + ROWS[row + 1 :] + list(more)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (table().drop_columns("labels"), "column 'labels' is missing; should have document, position, labels, losses"),
        (table().slice(0, 0), "has no rows"),
        (table([*ROWS, (None, 0, "true", [0.0] * 3)]), "column 'document' has 1 empty values"),
        (
            table([(*row[:2], "guessed", row[3]) for row in ROWS]),
            "column 'labels' has 'guessed'; should be true or",
        ),
        (table([(*row[:1], "x", *row[2:]) for row in ROWS]), "column 'position' is string, should be whole numbers"),
        (table(kind=pa.list_(pa.int64())), "column 'losses' is list<.*int64>, should be lists of floating-point"),
        (table([*ROWS, ("c", 0, "true", [0.0])]), "row 9 has 1 losses, row 0 has 3; should be one for each route"),
        (table([(*row[:3], row[3][:1]) for row in ROWS]), "losses of 1 routes; should be 2 or more"),
        (table([*ROWS, ("a", 5, "true", [0, np.nan, 1])]), "row 9 has the loss nan under route 1; should be finite"),
        (table(metadata=None), "says of no route that it is the reference; .* from 0 to 2, or give --reference"),
        (table(metadata={"reference": "3"}), "reference route 3; should be a number from 0 to 2"),
        (table(metadata={"reference": "big"}), "metadata 'reference' is 'big'; should be JSON"),
        (table(metadata={"reference": "true"}), "reference route True; should be a number"),
        (table(metadata=REFERENCE | {"departures": "[1, 0]"}), "should be a list of 3 whole numbers"),
        (table(metadata=REFERENCE | {"departures": "[0, 1, 1]"}), "should be 0 of the reference route 1, and 1 or"),
        (table([row for row in ROWS if row[2] == "true"]), "no row has labels 'sampled'"),
        (table([row for row in ROWS if row[2] != "true"]), "no row has labels 'true'"),
        (table([*ROWS, ROWS[1]]), "document 'a', position 1 has 2 true labels; should be one"),
        (table(without(3)), "document 'a', position 0 has no row of true or none of sampled labels"),
        (table(without(2)), "document 'a', position 0 has 1 sampled labels, others have 2; should be as many"),
        (table([row for row in ROWS if row[0] == "a"]), "1 document; intervals need 2 or more"),
    ],
)
def test_what_is_not_in_the_layout_is_one_clear_error(tmp_path, given, message):
    with pytest.raises(InputError, match=f"mine.parquet: .*{message}"):
        read(tmp_path, given)


def test_what_is_no_parquet_is_one_clear_error(tmp_path):
    (tmp_path / "mine.parquet").write_text("document,position")
    with pytest.raises(InputError, match=r"mine.parquet: damaged or not Parquet"):
        own_losses.read(tmp_path / "mine.parquet")
