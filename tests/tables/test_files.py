"""Writes that are whole or not at all, schemas that are checked, bytes that depend on the table alone."""

import errno
import hashlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from project import REPOSITORY

from duo.errors import InputError
from duo.tables import files
from duo.tables.oracle import ROUTE_LOSSES
from duo.tables.studies import ORACLE_METRICS

COLUMNS = {
    "domain": ["text"] * 5,
    "document": ["a", "a", "a", "b", "b"],
    "cluster": ["a", "a", "a", "b", "b"],
    "position": [0, 1, 2, 0, 1],
    "token": [7, 8, 9, 7, 8],
    "label": [8, 9, 10, 8, 9],
}


def losses(routes: int = 16) -> dict:
    values = np.linspace(0, 8, 5 * routes, dtype=np.float32).reshape(5, routes)
    return COLUMNS | {"losses": files.fixed_lists(values)}


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_table_comes_back_as_it_was_written():
    ROUTE_LOSSES.write(losses(), model="duo", shard=3)
    table = ROUTE_LOSSES.read(model="duo", shard=3)
    assert table.schema.names == ROUTE_LOSSES.schema.names
    assert table["position"].to_pylist() == COLUMNS["position"]
    assert np.array_equal(files.matrix(table["losses"]), np.linspace(0, 8, 80, dtype=np.float32).reshape(5, 16))


def test_columns_say_what_they_mean_and_in_what_unit():
    ROUTE_LOSSES.write(losses(), model="duo", shard=0)
    field = ROUTE_LOSSES.read(model="duo", shard=0).schema.field("losses")
    assert field.metadata[b"unit"] == b"nats" and b"every route" in field.metadata[b"meaning"]


def test_two_processes_and_any_chunking_write_equal_bytes(tmp_path):
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import pyarrow as pa\n"
        "from test_files import losses; from duo.tables.oracle import ROUTE_LOSSES\n"
        "table = pa.table(losses())\n"
        "if sys.argv[2] == 'chunks': table = pa.concat_tables([table.slice(0, 2), table.slice(2)])\n"
        "file = ROUTE_LOSSES.instance(model='duo', shard=0)\n"
        "file.write(table.select(sorted(table.column_names))); print(file.digest())"
    )
    digests = set()
    for how in ("whole", "chunks"):
        (tmp_path / how).mkdir()
        command = [sys.executable, "-c", code, str(Path(__file__).parent), how]
        root = str(REPOSITORY)
        done = subprocess.run(
            command,
            cwd=tmp_path / how,
            env={"PYTHONPATH": f"{root}:{root}/tests", "PATH": ""},
            capture_output=True,
            text=True,
            check=True,
        )
        digests.add(done.stdout.strip())
    assert len(digests) == 1


def test_digest_is_the_files():
    ORACLE_METRICS.write({"a": 1})
    assert ORACLE_METRICS.digest() == hashlib.md5(ORACLE_METRICS.path().read_bytes()).hexdigest()


@pytest.mark.parametrize(
    "change, message",
    [
        ({"extra": [1] * 5}, "columns are .*'extra'.* should be"),
        ({"position": ["x"] * 5}, "column 'position'"),
        ({"position": [0, 1, None, 3, 4]}, "column 'position' has 1 empty values; none is allowed"),
        ({"position": [0, 1, 2**40, 3, 4]}, "column 'position'.*1099511627776"),
    ],
)
def test_table_of_another_schema_is_not_written(change, message):
    with pytest.raises(InputError, match=message):
        ROUTE_LOSSES.write(losses() | change, model="duo", shard=0)
    assert not Path("artifacts").exists() or not any(Path("artifacts").rglob("*.parquet*"))


def test_file_of_another_schema_is_not_read():
    path = ROUTE_LOSSES.path(model="duo", shard=0)
    path.parent.mkdir(parents=True)
    pq.write_table(pa.table(losses() | {"position": ["x"] * 5}), path)
    with pytest.raises(InputError, match=r"route_losses/duo-0.parquet: column 'position' is string, should be int32"):
        ROUTE_LOSSES.read(model="duo", shard=0)
    ROUTE_LOSSES.write(losses(), model="duo", shard=0)
    pq.write_table(ROUTE_LOSSES.read(model="duo", shard=0).drop_columns("label"), path)
    with pytest.raises(InputError, match=r"route_losses/duo-0.parquet: column 'label' is missing"):
        ROUTE_LOSSES.read(model="duo", shard=0)


@pytest.mark.parametrize("kept", [0.0, 0.5, 0.99])
def test_truncated_table_is_one_error(kept):
    ROUTE_LOSSES.write(losses(), model="duo", shard=0)
    path = ROUTE_LOSSES.path(model="duo", shard=0)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * kept)])
    with pytest.raises(InputError, match=r"route_losses/duo-0.parquet: damaged or not Parquet \(.+\)$") as caught:
        ROUTE_LOSSES.read(model="duo", shard=0)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("file, keys", [(ROUTE_LOSSES, {"model": "duo", "shard": 0}), (ORACLE_METRICS, {})])
def test_missing_file_is_one_error(file, keys):
    with pytest.raises(InputError, match=rf"^{file.path(**keys)}: is missing$"):
        file.read(**keys)


class Watcher:
    """Remembers what it is told, and refuses what it is asked to."""

    def __init__(self, refused: str = ""):
        self.refused, self.told = refused, []

    def asked(self, path: Path) -> None:
        self.told.append(("asked", path.name))
        if path.name == self.refused:
            raise InputError(f"{path} is not yours")

    def written(self, path: Path) -> None:
        self.told.append(("written", path.name))


def test_a_watcher_is_told_of_every_file_while_it_watches():
    watcher = Watcher()
    with files.watched(watcher):
        ORACLE_METRICS.write({"a": 1})
        ORACLE_METRICS.read()
        ROUTE_LOSSES.write(losses(), model="duo", shard=0)
        ROUTE_LOSSES.instance(model="duo", shard=0).read()
    ORACLE_METRICS.read()
    metrics, table = "metrics.json", "duo-0.parquet"
    both = ("asked", "written", "asked")
    assert watcher.told == [(word, name) for name in (metrics, table) for word in both]


def test_the_place_of_a_file_is_told_without_its_being_used():
    with files.watched(Watcher("metrics.json")):
        assert ORACLE_METRICS.place() == "artifacts/oracle_curves/metrics.json"


def test_a_watcher_can_refuse_a_file_and_then_watches_no_more():
    ORACLE_METRICS.write({"a": 1})
    watcher = Watcher("metrics.json")
    with pytest.raises(InputError, match=r"metrics.json is not yours"), files.watched(watcher):
        ORACLE_METRICS.write({"a": 2})
    assert ORACLE_METRICS.read() == {"a": 1} and watcher.told == [("asked", "metrics.json")]


def test_a_write_that_fails_is_not_told():
    watcher = Watcher()
    with pytest.raises(ValueError), files.watched(watcher):
        ORACLE_METRICS.write({"a": float("nan")})
    assert watcher.told == [("asked", "metrics.json")]


def test_damaged_json_is_one_error():
    ORACLE_METRICS.write({"a": 1})
    ORACLE_METRICS.path().write_text('{"a": ')
    with pytest.raises(InputError, match=r"metrics.json: not valid JSON"):
        ORACLE_METRICS.read()


def test_json_keeps_order_and_refuses_what_json_has_not():
    ORACLE_METRICS.write({"b": 1, "a": 0.5})
    assert list(json.loads(ORACLE_METRICS.path().read_text())) == ["b", "a"]
    with pytest.raises(ValueError):
        ORACLE_METRICS.write({"a": float("nan")})
    assert ORACLE_METRICS.read() == {"b": 1, "a": 0.5}


def test_failed_write_leaves_the_old_file():
    path = Path("some/file")
    with files.atomic(path) as temporary:
        temporary.write_text("old")
    with pytest.raises(RuntimeError), files.atomic(path) as temporary:
        temporary.write_text("half of the n")
        raise RuntimeError
    assert path.read_text() == "old" and [path.name for path in Path("some").iterdir()] == ["file"]


def test_full_disk_is_one_error_and_leaves_the_old_file(monkeypatch):
    ROUTE_LOSSES.write(losses(), model="duo", shard=0)
    before = ROUTE_LOSSES.digest(model="duo", shard=0)

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(InputError, match=r"route_losses/duo-0.parquet: could not be written: No space left on device"):
        ROUTE_LOSSES.write(losses(8), model="duo", shard=0)
    assert (
        ROUTE_LOSSES.digest(model="duo", shard=0) == before and len(list(Path("artifacts/route_losses").iterdir())) == 1
    )


@pytest.mark.parametrize("made", ["folder", "file"])
def test_a_read_only_place_is_one_error(monkeypatch, made):
    def refuse(*_, **__):
        raise OSError(errno.EROFS, "Read-only file system")

    Path("some").mkdir()
    name = {"folder": "mkdir", "file": "write_text"}[made]
    monkeypatch.setattr(Path, name, refuse)
    monkeypatch.setattr(Path, "unlink", refuse)
    with (
        pytest.raises(InputError, match=r"^some/file: could not be written: Read-only file system$"),
        files.atomic(Path("some/file")) as temporary,
    ):
        temporary.write_text("new")


def test_truly_full_disk_is_the_same_error():
    """/dev/full refuses every byte, as a full disk does."""
    with (
        pytest.raises(InputError, match=r"out: could not be written: No space left on device"),
        files.atomic(Path("out")) as temporary,
    ):
        temporary.symlink_to("/dev/full")
        pq.write_table(pa.table(losses()), temporary)
    assert not Path("out").exists() and not Path("out.tmp").is_symlink()
