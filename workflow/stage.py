"""What every stage script shares: its log, its lock, its place in the run, its fingerprint, the one message with which
it ends on bad input.

It holds the script to what dvc.yaml declares: a file that is read but no dependency, or an out that is not written,
would make later runs accept stale results without a word.
"""

import hashlib
import json
import logging
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock

from duo import commands
from duo.errors import InputError
from duo.tables import files
from workflow import healing, instance, weights, whole_run
from workflow.instance import Instance

CHECKPOINTS, DOWNLOADS = "artifacts/checkpoints/", "artifacts/cache/"  # which belong to no stage of the DAG
# Advice for whoever meets a loss that is not finite.
DIVERGED = "if the model's training diverged, take a smaller pretrain.learning_rate in params.yaml"


def run(main: Callable[..., None]) -> None:
    """Call main with the command line's words, and end the process as `duo.commands.exit_status` says.

    Each stage instance has one process at a time: a driver that is killed leaves its stage running, and the next run
    awaits that.
    """
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)

    def work() -> None:
        name, words = Path(sys.argv[0]).stem, sys.argv[1:]
        lock = Path(".pipeline", "-".join([name, *words]) + ".lock")
        lock.parent.mkdir(exist_ok=True)
        found = instance.find(name, *words)
        with FileLock(lock), whole_run.counted(found), held(found):
            healing.keep()
            main(*words)

    status = commands.exit_status(work, commands.AGAIN)
    # All is on disk. The interpreter's own way out would abort where the thread of the live curves is still inside a
    # library.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


@contextmanager
def held(stage: Instance) -> Iterator[None]:
    """Context that keeps to what the stage declares: InputError where it asks for a file that is neither a dependency
    nor an out, and at the end where an out was not written. To an InputError about another stage's file it adds how
    that is made again.
    """
    watcher = _Watcher(stage)
    try:
        with files.watched(watcher):
            yield
    except InputError as error:
        raise InputError(f"{error}{_remedy(str(error), stage)}") from None
    for out in stage.outs:
        if not any(f"{path}/".startswith(f"{out}/") for path in watcher.outs):  # an out may be a directory
            remedy = "write it, or take it out of dvc.yaml"
            raise InputError(f"stage {stage.address}: {out} is an out, but was not written; {remedy}")


@contextmanager
def advice(words: str | Mapping[str, str]) -> Iterator[None]:
    """Context that adds to an InputError what the user of the experiment can do about it, as the science can't know.

    words: for every error, or by what the error begins with. The same for the line that ends the traceback of an error
    in a class of the user's own (duo.plugins.theirs).
    """
    by_start = {"": words} if isinstance(words, str) else words

    def advised(line: str) -> str:
        return "; ".join([line, *(each for start, each in by_start.items() if line.startswith(start))])

    try:
        yield
    except InputError as error:
        raise InputError(advised(str(error))) from None
    except Exception as error:
        notes = getattr(error, "__notes__", [])
        notes[-1:] = map(advised, notes[-1:])
        raise


def fingerprint(name: str, *words: str) -> str:
    """Hash of all that decides what the stage `name`, run with these words, makes: command, params, dependencies."""
    stage = instance.find(name, *words)
    state = {"cmd": stage.cmd, "params": stage.params, "deps": {path: _md5(path) for path in stage.deps}}
    return hashlib.sha256(json.dumps(state, sort_keys=True).encode()).hexdigest()[:16]


class _Watcher:
    """Refuses files that the stage does not declare, and remembers those that it wrote."""

    def __init__(self, stage: Instance) -> None:
        self.stage, self.outs = stage, set()
        self._models = weights.stood_for(stage.deps)

    def asked(self, path: Path) -> None:
        name = _relative(path)
        declared = (*self.stage.deps, *self.stage.outs, *self._models)
        if not name.startswith((CHECKPOINTS, DOWNLOADS)) and not any(
            f"{name}/".startswith(f"{each}/") for each in declared
        ):
            remedy = "declare it in dvc.yaml, or leave it alone"
            raise InputError(f"stage {self.stage.address}: {name} is neither a dependency nor an out; {remedy}")

    def written(self, path: Path) -> None:
        self.outs.add(_relative(path))


def _remedy(error: str, stage: Instance) -> str:
    """How the file is made anew that an error begins with; nothing where another stage doesn't make it."""
    path = error.split(": ")[0]
    for maker in instance.all_instances().values():
        if path in maker.outs and maker != stage:
            again = f"`dvc repro {maker.address}` makes it"
            return f"; delete it, then {again} again" if Path(path).exists() else f"; {again}"
    return ""


def _relative(path: Path) -> str:
    """A path as dvc.yaml has it."""
    return (path.relative_to(Path.cwd()) if path.is_absolute() else path).as_posix()


def _md5(path: str) -> str | list[tuple[str, str]]:
    """Hash of a file's bytes; of a directory, the names of all files in it, each with its hash."""
    try:
        if Path(path).is_dir():
            return [(file.name, _md5(str(file))) for file in sorted(Path(path).iterdir())]
        return hashlib.md5(Path(path).read_bytes()).hexdigest()
    except OSError as error:
        raise InputError(f"{path}: can't be read: {error.strerror}") from None
