"""What a kill may leave damaged that DVC can't start with, and how it is made whole.

DVC writes dvc.lock and its rwlock in place. A process that is killed in that moment leaves them empty or cut short.
Every stage keeps a copy of dvc.lock before it works; what the copy lacks, DVC's run cache has.
"""

import json
import os
import shutil
import time
from pathlib import Path
from typing import Any

from duo.errors import InputError
from workflow.params import read_yaml
from workflow.record import LOCK

KEPT = Path(".pipeline/dvc.lock")
RWLOCK = Path(".dvc/tmp/rwlock")
PATIENCE = 2.0  # seconds in which a file that is just being written should be whole


def keep() -> None:
    """Keep a copy of dvc.lock, if it is whole: stages that run side by side may be writing it."""
    if _lock_is_whole(LOCK):
        KEPT.parent.mkdir(exist_ok=True)
        temporary = KEPT.with_suffix(f".{os.getpid()}")
        shutil.copyfile(LOCK, temporary)
        os.replace(temporary, KEPT)


def heal() -> list[str]:
    """Mend dvc.lock and DVC's rwlock where they are damaged, and say what was done; nothing mostly.

    InputError where dvc.lock has the conflict markers of git: which of both sides is right, its user must say.
    """
    said = []
    if LOCK.exists() and not _soon(lambda: _lock_is_whole(LOCK)):
        if "\n<<<<<<< " in f"\n{LOCK.read_text(encoding='utf-8', errors='replace')}":
            remedy = "take one side, with `git checkout --ours dvc.lock` or `--theirs`, then run `dvc repro`"
            raise InputError(f"{LOCK}: has git's conflict markers; {remedy}")
        if _lock_is_whole(KEPT):
            shutil.copyfile(KEPT, LOCK.with_suffix(".tmp"))
            os.replace(LOCK.with_suffix(".tmp"), LOCK)
            said.append(f"{LOCK}: was damaged, as by a kill while it was written; its last copy stands in its place")
        else:
            LOCK.unlink()
            said.append(f"{LOCK}: was damaged, as by a kill while it was written; DVC makes it anew from its cache")
    if RWLOCK.exists() and not _soon(_rwlock_is_whole):
        RWLOCK.unlink()
        said.append(f"{RWLOCK}: was damaged, as by a kill while it was written; removed")
    return said


def _soon(whole: Any) -> bool:
    """Whether it is whole, now or once who may be writing it has finished."""
    ends = time.monotonic() + PATIENCE
    while not (now := whole()) and time.monotonic() < ends:
        time.sleep(0.1)
    return now


def _lock_is_whole(path: Path) -> bool:
    try:
        stages = read_yaml(path)["stages"]
        entries = [entry for stage in stages.values() for kind in ("deps", "outs") for entry in stage.get(kind, [])]
        return all("cmd" in stage for stage in stages.values()) and all(
            {"path", "md5"} <= set(each) for each in entries
        )
    except (InputError, OSError, KeyError, TypeError, AttributeError):
        return False


def _rwlock_is_whole() -> bool:
    try:
        return isinstance(json.loads(RWLOCK.read_text(encoding="utf-8")), dict)
    except FileNotFoundError:
        return True
    except ValueError:
        return False
