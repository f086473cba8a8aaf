"""How far a run of the whole has come: each stage begins with a line that says which of how many it is and how long the
rest takes, whichever driver runs it.

The first stage of a run asks the DAG what is due. How long a stage takes is known from when it last ran here, else from
TYPICAL, the default experiment on two cores of an AMD EPYC (Zen 5); how much slower this run is shows while it goes on.
A stage that is run by hand, without a driver, says nothing.
"""

import json
import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import psutil
from filelock import FileLock

from duo.tables.files import atomic

log = logging.getLogger(__name__)

FOLDER = Path(".pipeline/progress")
RUN, DURATIONS = FOLDER / "run.json", FOLDER / "durations.json"
TYPICAL = Path(__file__).with_name("durations.json")  # seconds by address
DRIVERS = ("dvc", "snakemake")
ENOUGH = 60.0  # seconds of finished stages from which the speed of this run can be told


@dataclass
class WholeRun:
    """What a driver has to run, of which it has begun and finished some; times in seconds."""

    driver: str  # which process it is
    began: float
    due: list[str]  # addresses of stages
    begun: list[str]
    done: list[str]

    def words(self, now: float, seconds: Mapping[str, float]) -> str:
        """Which stage of how many the last one is, and about how long it and those that are left take.

        seconds: by address, how long stages take.
        """
        said = f"stage {len(self.begun)} of {max(len(self.due), len(self.begun))}"
        left = [address for address in self.due if address not in self.done]
        expected = sum(guess(address, seconds) for address in left)
        worked, passed = sum(guess(address, seconds) for address in self.done), now - self.began
        if worked > ENOUGH:
            expected *= passed / worked
        return f"{said}, {_minutes(passed)} passed, about {_minutes(expected)} left" if expected else said


def guess(address: str, seconds: Mapping[str, float]) -> float:
    """How long a stage takes: as known, else as others of its group do, else as the stages that are known do."""
    group = address.split("@")[0]
    alike = [each for other, each in seconds.items() if other.split("@")[0] == group]
    return seconds[address] if address in seconds else fmean(alike or seconds.values() or [0.0])


@contextmanager
def counted(address: str) -> Iterator[None]:
    """Context of a stage's work: logs how far the run has come, and keeps how long the stage took."""
    found = _driver()
    if found is None:
        yield
        return
    driver, words = found
    FOLDER.mkdir(parents=True, exist_ok=True)
    began = time.time()
    with FileLock(FOLDER / "lock"):
        run = _current(driver) or WholeRun(driver, began, _due(words), [], [])
        run.begun.append(address)
        _write(RUN, asdict(run))
    log.info("%s: %s", address, run.words(began, _seconds()))
    yield
    with FileLock(FOLDER / "lock"):
        run = _current(driver) or run
        run.done.append(address)
        _write(RUN, asdict(run))
        _write(DURATIONS, _read(DURATIONS) | {address: round(time.time() - began, 1)})


def _driver() -> tuple[str, list[str]] | None:
    """The outermost process of a driver that this one belongs to, as a string of its own, and its command's words."""
    found = None
    with suppress(psutil.Error):  # a process that is another user's, or gone
        for parent in psutil.Process().parents():
            words = parent.cmdline()
            if any(Path(word).name in DRIVERS for word in words[:3]):  # python -m snakemake
                found = f"{parent.pid} {parent.create_time()}", words
    return found


def _due(words: list[str]) -> list[str]:
    """Addresses of the stages that a driver with this command has to run, all where it names none."""
    from workflow.dag import Dag  # with DVC, whose import would cost every stage two seconds

    whole = Dag()
    groups = {stage.group for stage in whole.stages.values()}
    named = [whole.makers.get(word, word) for word in words]
    named = [word for word in named if word in groups or word in whole.stages]
    wanted = whole.behind(named) if named else list(whole.stages)
    return [address for address in wanted if whole.changes(address)]


def _current(driver: str) -> WholeRun | None:
    kept = _read(RUN)
    return WholeRun(**kept) if kept.get("driver") == driver else None


def _seconds() -> dict[str, float]:
    typical = json.loads(TYPICAL.read_text(encoding="utf-8"))
    return typical | _read(DURATIONS)


def _read(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):  # not there yet, or damaged: it serves for estimates alone
        return {}


def _write(path: Path, value: dict[str, Any]) -> None:
    with atomic(path) as temporary:
        temporary.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")


def _minutes(seconds: float) -> str:
    return f"{round(seconds / 60)} min" if seconds >= 90 else f"{round(seconds)} s"
