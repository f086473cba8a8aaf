"""How far a run of the whole has come: each stage begins with a line that says which of how many it is and about how
long the rest takes, whether DVC runs it or Snakemake on this machine.

The first stage of a run asks the DAG what is due. How long a stage takes is known from when it last ran here with these
params, else from TYPICAL, the default experiment on two cores of an AMD EPYC (Zen 5); how much slower this run is shows
while it goes on. A stage that is run by hand, or as a job of a cluster, says nothing. An estimate is no reason to fail:
where one can't be made, a line says why, and the stage runs.
"""

import json
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

import psutil
from filelock import FileLock

from duo.tables.files import atomic
from workflow.instance import Instance
from workflow.record import digest

log = logging.getLogger(__name__)

FOLDER = Path(".pipeline/progress")
RUN, DURATIONS = FOLDER / "run.json", FOLDER / "durations.json"
TYPICAL = Path(__file__).with_name("durations.json")  # seconds by address
DRIVERS = ("dvc", "snakemake")
SILENT = ("-q", "--quiet", "-v", "--verbose")  # options without a value, behind which a target may stand
FORCING = ("-f", "--force", "-F", "--forceall")  # likewise, with which all is due
ENOUGH = 60.0  # seconds of finished stages from which the speed of this run can be told


@dataclass
class WholeRun:
    """What a driver has to run, of which it has begun and finished some; times in seconds."""

    driver: str  # which process it is
    began: float
    due: dict[str, float | None]  # by address, how long a stage takes; None where nothing is known of it
    rests: dict[str, list[str]]  # by address, the stages that are due, too, and come before it
    begun: list[str] = field(default_factory=list)
    done: list[str] = field(default_factory=list)

    def begin(self, address: str) -> None:
        """Count a stage. What it rests on is done, even where it turned out that it need not run."""
        self.begun.append(address)
        self.done += [other for other in self.rests.get(address, []) if other not in self.done]

    def words(self, now: float) -> str:
        """Which stage of how many the last one is, and about how long it and those that are left take."""
        left = [address for address in self.due if address not in self.done]
        # Stages that turned out not to be due stand among those that are done, but were not begun.
        total = len(self.begun) + sum(address not in self.begun for address in left)
        said = f"stage {len(self.begun)} of {total}"
        expected = sum(self._guess(address) for address in left)
        worked = sum(self._guess(address) for address in self.done if address in self.begun)
        passed = now - self.began
        if worked > ENOUGH:
            expected *= passed / worked
        return f"{said}, {_minutes(passed)} passed, about {_minutes(expected)} left" if expected else said

    def _guess(self, address: str) -> float:
        """How long a stage takes: as known, else as others of its group do, else as the stages that are known do."""
        known = {other: seconds for other, seconds in self.due.items() if seconds is not None}
        group = [seconds for other, seconds in known.items() if other.split("@")[0] == address.split("@")[0]]
        return known[address] if address in known else fmean(group or known.values() or [0.0])


@contextmanager
def counted(stage: Instance) -> Iterator[None]:
    """Context of a stage's work: logs how far the run has come, and keeps how long the stage took."""
    found = _attempt(_driver)
    if found is None:
        yield
        return
    driver, words = found
    _attempt(lambda: _begin(stage, driver, words))
    began = time.time()
    yield
    _attempt(lambda: _end(stage, driver, time.time() - began))


def _attempt(make: Callable[[], Any]) -> Any:
    """What it makes; where it fails, whatever the cause, None and a line in the log."""
    try:
        return make()
    except Exception as error:
        log.info("how far the run has come is not known: %s", " ".join(str(error).split())[:200])
        return None


def _begin(stage: Instance, driver: str, words: list[str]) -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    with FileLock(FOLDER / "lock"):
        run = _current(driver) or _planned(driver, words)
        run.begin(stage.address)
        _write(RUN, asdict(run))
    log.info("%s: %s", stage.address, run.words(time.time()))


def _end(stage: Instance, driver: str, seconds: float) -> None:
    with FileLock(FOLDER / "lock"):
        if run := _current(driver):  # another driver has begun a run where this one's was killed
            run.done.append(stage.address)
            _write(RUN, asdict(run))
        kept = {"params": digest(stage.params), "seconds": round(seconds, 1)}
        _write(DURATIONS, _read(DURATIONS) | {stage.address: kept})


def _driver() -> tuple[str, list[str]] | None:
    """The outermost process of a driver that this one belongs to, as a string of its own, and its command's words; None
    where there is none, or it runs this job alone.
    """
    found = None
    for parent in psutil.Process().parents():
        words = parent.cmdline()
        program = words[2:3] if words[1:2] == ["-m"] else words[1:2]  # behind Python
        if any(Path(word).name in DRIVERS for word in [*words[:1], *program]):
            # In ticks since the machine started, which a clock that is set does not change.
            since = Path(f"/proc/{parent.pid}/stat").read_text().rpartition(")")[2].split()[19]
            found = f"{parent.pid} {since}", words
    return None if found is None or "--target-jobs" in found[1] else found


def _planned(driver: str, words: list[str]) -> WholeRun:
    """What a driver with this command has to run: all that is due, where it names no stage."""
    from workflow.dag import Dag  # with DVC, whose import would cost every stage two seconds

    whole = Dag()
    known = whole.makers | {name: name for stage in whole.stages.values() for name in (stage.address, stage.group)}
    wanted = whole.behind(targets(words, known)) or list(whole.stages)
    forced = any(word in FORCING for word in words)
    due = [address for address in wanted if forced or whole.changes(address)]
    rests = {address: [other for other in whole.behind([address])[1:] if other in due] for address in due}
    typical, here = json.loads(TYPICAL.read_text(encoding="utf-8")), _read(DURATIONS)
    seconds = {}
    for address in due:
        kept = here.get(address) or {}
        same = kept.get("params") == digest(whole.stages[address].params)
        seconds[address] = kept["seconds"] if same else typical.get(address)
    return WholeRun(driver, time.time(), seconds, rests)


def targets(words: list[str], known: Mapping[str, str]) -> list[str]:
    """The stages that a command names to be run; none where it is `dvc exp run`, which names experiments besides.

    known: a stage, or group of them, by what may stand for it, an out that it makes among that.
    """
    if "exp" in words:
        return []
    values = [before.startswith("-") and before not in (*SILENT, *FORCING) for before in words]
    return [known[word] for word, value in zip(words[1:], values, strict=False) if word in known and not value]


def _current(driver: str) -> WholeRun | None:
    kept = _read(RUN)
    return WholeRun(**kept) if kept.get("driver") == driver else None


def _read(path: Path) -> dict[str, Any]:
    """What is kept there; nothing where it is not there yet, or damaged."""
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return kept if isinstance(kept, dict) else {}


def _write(path: Path, value: Mapping[str, Any]) -> None:
    with atomic(path) as temporary:
        temporary.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")


def _minutes(seconds: float) -> str:
    return f"{round(seconds / 60)} min" if seconds >= 90 else f"{round(seconds)} s"
