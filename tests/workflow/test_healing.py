"""A kill in the moment in which DVC writes its own files is mended by whatever runs next."""

import shutil
from pathlib import Path

import pytest
from project import Project

from duo.errors import InputError
from workflow import healing

WHOLE = """schema: '2.0'
stages:
  one@a:
    cmd: python -m one a
    deps:
    - path: duo
      hash: md5
      md5: 0123456789abcdef0123456789abcdef.dir
    outs:
    - path: artifacts/one.txt
      hash: md5
      md5: 0123456789abcdef0123456789abcdef
"""
# As kills have left it, and worse.
DAMAGED = {
    "empty": "",
    "cut in a word": WHOLE[:-60],
    "cut behind a path": WHOLE[: WHOLE.index("      hash: md5\n      md5: 0123456789abcdef0123456789abcdef\n")],
    "cut behind a stage": WHOLE[: WHOLE.index("    cmd")],
    "no mapping": "- a\n",
    "binary": "\0\0\0",
    "no stages": "schema: '2.0'\n",
}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(healing, "PATIENCE", 0.0)
    healing.RWLOCK.parent.mkdir(parents=True)


def test_what_is_whole_stays():
    healing.LOCK.write_text(WHOLE)
    healing.RWLOCK.write_text("{}")
    healing.keep()
    assert healing.heal() == [] and healing.LOCK.read_text() == healing.KEPT.read_text() == WHOLE
    healing.LOCK.unlink()
    healing.RWLOCK.unlink()
    assert healing.heal() == []


@pytest.mark.parametrize("damage", DAMAGED)
def test_a_damaged_lock_gives_way_to_its_last_copy_or_to_dvcs_cache(damage):
    healing.LOCK.write_text(DAMAGED[damage])
    healing.keep()
    assert not healing.KEPT.exists()
    (said,) = healing.heal()
    assert not healing.LOCK.exists() and said.endswith("DVC makes it anew from its cache")
    healing.LOCK.write_text(WHOLE)
    healing.keep()
    healing.LOCK.write_text(DAMAGED[damage])
    (said,) = healing.heal()
    assert healing.LOCK.read_text() == WHOLE and said.endswith("its last copy stands in its place")


@pytest.mark.parametrize("content", ["", '{"a": ', "[]"])
def test_a_damaged_rwlock_is_removed(content):
    healing.RWLOCK.write_text(content)
    (said,) = healing.heal()
    assert (
        not healing.RWLOCK.exists()
        and said == ".dvc/tmp/rwlock: was damaged, as by a kill while it was written; removed"
    )


def test_conflict_markers_are_left_to_the_user():
    healing.LOCK.write_text(f"<<<<<<< HEAD\n{WHOLE}=======\n{WHOLE}>>>>>>> theirs\n")
    with pytest.raises(InputError, match=r"^dvc.lock: has git's conflict markers; take one side, with `git checkout"):
        healing.heal()
    assert healing.LOCK.exists()


def test_a_lock_that_is_just_being_written_is_awaited(monkeypatch):
    monkeypatch.setattr(healing, "PATIENCE", 60.0)
    monkeypatch.setattr(healing.time, "sleep", lambda _: healing.LOCK.write_text(WHOLE))
    healing.LOCK.write_text(DAMAGED["empty"])
    assert healing.heal() == [] and healing.LOCK.read_text() == WHOLE


@pytest.mark.parametrize(
    "next_command",
    ["python -m duo check", pytest.param("snakemake --cores 1 --quiet all", marks=pytest.mark.slow)],
)
def test_a_run_goes_on_after_both_were_damaged(toy: Project, next_command):
    before = (toy.root / "dvc.lock").read_text()
    (toy.root / "dvc.lock").write_text(before[: len(before) // 3])
    (toy.root / ".dvc/tmp/rwlock").write_text("")
    assert toy.run("dvc repro -q", check=False).returncode != 0
    toy.run(next_command)
    toy.run("dvc repro -q")
    assert toy.ran() == [] and (toy.root / "dvc.lock").read_text() == before
    assert toy.run("dvc status -q").returncode == 0
    shutil.rmtree(toy.root / ".pipeline")
    (toy.root / "dvc.lock").write_text("")
    toy.run(next_command)
    toy.run("dvc repro -q")
    assert toy.ran() == [] and Path("dvc.lock").stat().st_size > 100
