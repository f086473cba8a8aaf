"""MLflow as a projection of the artifacts: the files and dvc.lock are the truth, runs are made from them and never
read back.

A stage instance is known by its fingerprint: its address, command, params and the hashes of what it reads, as
dvc.lock records them. `sync` makes one run a fingerprint, nested under one run a state of the pipeline; where the
runs are there already, it adds nothing. `live` shows a stage's curves while it works, in the run that `sync`
completes later. Where the runs go is MLflow's own business: MLFLOW_TRACKING_URI (default sqlite:///mlflow.db) and
MLFLOW_EXPERIMENT_NAME (default duo).
"""

import hashlib
import json
import logging
import os
import posixpath
import queue
import re
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from filelock import FileLock
from tqdm import tqdm

from duo.errors import InputError
from duo.tables import data, files, oracle, report, routers, studies, training
from workflow import code, instance
from workflow.params import read_yaml

log = logging.getLogger(__name__)

# Set before MLflow is imported anywhere. Its seven retries would make everybody wait minutes for a server that isn't
# there.
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")

LOCK = Path("dvc.lock")
FINGERPRINT, SYNCED = "duo.fingerprint", "duo.synced"
CURVE = {"step", "series", "value"}  # columns of a table whose rows are points of curves
PICTURES = {".html", ".png", ".svg"}
INTERVAL = 2.0  # seconds between two deliveries of live points
PATIENCE = 5.0  # seconds that the end of a stage waits for the last delivery


@dataclass(frozen=True)
class Stage:
    """A stage instance: `params` by dotted key as dvc.yaml declares them, `deps` and `outs` as MD5 by path."""

    address: str
    cmd: str
    params: dict[str, Any]
    deps: dict[str, str]
    outs: dict[str, str] = field(default_factory=dict)

    @property
    def fingerprint(self) -> str:
        """Of all that decides its result, as 32 hexadecimal digits."""
        return _digest([self.address, self.params, self.deps, self.cmd])

    @property
    def label(self) -> str:
        """The address in MLflow's alphabet, which has no @."""
        return self.address.replace("@", "/")

    def finished(self) -> bool:
        """Whether all its outs are there, with the recorded content; of a directory, whether it is there."""
        return all(
            Path(path).is_dir() if md5.endswith(".dir") else Path(path).is_file() and _md5(path) == md5
            for path, md5 in self.outs.items()
        )


def recorded() -> list[Stage]:
    """The stage instances in dvc.lock; none where nothing has run yet."""
    if not LOCK.exists():
        return []
    stages = read_yaml(LOCK).get("stages") or {}
    return [
        Stage(
            address,
            entry["cmd"],
            {key: value for file in entry.get("params", {}).values() for key, value in file.items()},
            {dep["path"]: dep["md5"] for dep in entry.get("deps", [])},
            {out["path"]: out["md5"] for out in entry.get("outs", [])},
        )
        for address, entry in stages.items()
    ]


def upcoming(address: str) -> Stage:
    """The stage instance as dvc.lock will record it once it has run, from dvc.yaml, params.yaml and the files it
    reads now.

    Its dependencies must be files; for a directory, OSError.
    """
    name, *key = address.split("@", 1)
    declared = instance.find(name, *key)
    return Stage(address, declared.cmd, declared.params, {path: _md5(path) for path in declared.deps})


def sync() -> None:
    """Make MLflow show every finished stage, and the pipeline they form; what it shows already stays as it is.

    InputError where dvc.lock is damaged or MLflow can't be reached. Artifacts are only read.
    """
    stages = [stage for stage in recorded() if stage.finished()]
    if not stages:
        log.info("tracking: no stage has finished yet")
        return
    state = _up_to_date(stages)
    with _explained(), _tracker() as tracker:
        before = tracker.created
        _sync_pipeline(tracker, stages, state)
        log.info(
            "tracking: %d new runs, %d finished stages, in %s", tracker.created - before, len(stages), _shown(_uri())
        )


def _sync_pipeline(tracker: "_Tracker", stages: list[Stage], state: list[Stage]) -> None:
    """A run a stage; and, over those of the present state, the run that sums them up."""
    digest = _digest(sorted(stage.fingerprint for stage in state))
    pipeline = tracker.run(digest, f"pipeline {digest[:8]}", _git_tags()) if state else None
    runs = {}
    for stage in tqdm(stages, desc="tracking", unit="stage", disable=None):
        runs[stage.address] = _sync_stage(tracker, stage, pipeline if stage in state else None)
    if pipeline is None or SYNCED in pipeline.data.tags:
        return
    for stage in state:
        tracker.params(pipeline, stage.params)
        tracker.numbers(pipeline, stage.label, _numbers(stage))
        tracker.pictures(pipeline, stage)
    tracker.tags(pipeline, {f"duo.stage.{stage.label}": runs[stage.address].info.run_id for stage in state})
    tracker.complete(pipeline)


def _sync_stage(tracker: "_Tracker", stage: Stage, pipeline: Any) -> Any:
    """The stage's run. It lies under the first pipeline that had it; MLflow allows a run only one parent."""
    run = tracker.stage_run(stage)
    if pipeline is not None and "mlflow.parentRunId" not in run.data.tags:
        tracker.tags(run, {"mlflow.parentRunId": pipeline.info.run_id})
    if SYNCED in run.data.tags:
        return run
    tracker.inputs(run, stage)
    tracker.curves(run, _curves(stage))
    tracker.numbers(run, "metrics", _numbers(stage))
    tracker.pictures(run, stage)
    tracker.complete(run)
    return run


def _up_to_date(stages: list[Stage]) -> list[Stage]:
    """Those that belong to the present state: in dvc.yaml, and with nothing changed in them or in what they rest on."""
    dag = _dag()
    return [stage for stage in stages if stage.address in dag.stages and not dag.changes(stage.address)]


def _dag() -> Any:
    from workflow.dag import Dag

    return Dag()


def _curves(stage: Stage) -> Iterator[tuple[int, dict[str, float]]]:
    """The points (step, {series: value}) of the stage's history tables."""
    for path in stage.outs:
        if path.endswith(".parquet") and set(pq.read_schema(path).names) >= CURVE:
            table = pq.read_table(path, columns=sorted(CURVE), partitioning=None)
            for row in table.to_pylist():
                yield row["step"], {row["series"]: row["value"]}


def _numbers(stage: Stage) -> dict[str, float]:
    """The stage's metrics, the last value of each of its curves, and the lowest of its validation losses."""
    numbers = {}
    for path in stage.outs:
        if _holds_metrics(path):
            numbers |= _flat(json.loads(Path(path).read_text(encoding="utf-8")), "/")
    for _, point in _curves(stage):
        for series, value in point.items():
            numbers[f"{series}/final"] = value
            if series.startswith("validation/"):
                numbers[f"{series}/lowest"] = min(value, numbers.get(f"{series}/lowest", value))
    return {name: value for name, value in numbers.items() if isinstance(value, int | float)}


def _holds_metrics(path: str) -> bool:
    """Whether it is a file of metrics, by the schemas in duo.tables."""
    families = (data, training, oracle, routers, studies, report)
    templates = [
        file.template for family in families for file in vars(family).values() if isinstance(file, files.Metrics)
    ]
    return any(fnmatch(path, str(files.ROOT / re.sub(r"{\w+}", "*", template))) for template in templates)


class Live:
    """Sends a stage's curves to its run while it works, from a thread of its own; never raises, never holds the stage
    up.

    Points gather until the next delivery. At the first failure one warning is logged and the rest is dropped: `sync`
    brings all points from the stage's history table in any case. As a context it closes itself, as failed where an
    error leaves it.
    """

    def __init__(self, address: str) -> None:
        self._address = address
        self._queue: queue.SimpleQueue = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="live curves", daemon=True)
        if os.environ.get("DUO_LIVE") != "0":
            self._thread.start()

    def log(self, step: int, values: dict[str, float]) -> None:
        """Show values by series at this step."""
        if self._thread.is_alive():
            self._queue.put((step, dict(values)))

    def close(self, status: str = "FINISHED") -> None:
        """Deliver what is left, for at most PATIENCE seconds."""
        if not self._thread.is_alive():
            return
        self._queue.put(status)
        self._thread.join(PATIENCE)
        if self._thread.is_alive():
            log.warning("live curves: the last points were not delivered in time; `python -m duo sync` brings them")

    def __enter__(self) -> "Live":
        return self

    def __exit__(self, kind: type | None, *_: Any) -> None:
        self.close("FAILED" if kind else "FINISHED")

    def _work(self) -> None:
        try:
            self._deliver()
        except Exception as error:  # whatever it is, the stage goes on
            log.warning("live curves are off, results are not affected: %s", _reason(error))

    def _deliver(self) -> None:
        stage = upcoming(self._address)
        with _tracker() as tracker:
            run = tracker.stage_run(stage)
        if SYNCED in run.data.tags:  # a forced rerun of a finished stage
            return
        tracker.client.update_run(run.info.run_id, status="RUNNING")
        status = None
        while status is None:
            points, status = self._gather()
            tracker.curves(run, points)
        tracker.client.set_terminated(run.info.run_id, status)

    def _gather(self) -> tuple[list[tuple[int, dict[str, float]]], str | None]:
        """The points of the next INTERVAL; at the end also the status to end with."""
        points, deadline = [], time.monotonic() + INTERVAL
        while (left := deadline - time.monotonic()) > 0:
            try:
                item = self._queue.get(timeout=left)
            except queue.Empty:
                break
            if isinstance(item, str):
                return points, item
            points.append(item)
        return points, None


def live(address: str) -> Live:
    """Start showing the curves of the stage at `address`; the environment variable DUO_LIVE=0 turns it off."""
    return Live(address)


def ui(port: int = 5000) -> None:
    """Sync, then serve MLflow's pages to this machine alone until interrupted."""
    sync()
    if not _is_database(_uri()):
        log.info("MLflow's pages are at %s", _shown(_uri()))
        return
    _require_free(port)
    with _explained(), _tracker():
        pass  # makes the database where there is none
    log.info("MLflow's pages open in some seconds at http://127.0.0.1:%d; Ctrl-C ends them", port)
    environment = {
        **os.environ,
        "MLFLOW_BACKEND_STORE_URI": _uri(),  # not as an argument, which every user of the machine could read
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # ten idle processes, for features that have nothing to do here
    }
    words = ["mlflow", "ui", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    os.execve(sys.executable, [sys.executable, "-m", *words], environment)


class _Tracker:
    """One MLflow experiment. All it does can be done again without adding anything."""

    def __init__(self) -> None:
        import mlflow
        from mlflow.utils import validation

        self.entities, self.limits = mlflow.entities, validation
        self.client = mlflow.MlflowClient(_uri())
        self.created = 0
        self._experiment = self._find_experiment(os.environ.get("MLFLOW_EXPERIMENT_NAME", "duo"))

    def _find_experiment(self, name: str) -> str:
        found = self.client.get_experiment_by_name(name)
        return found.experiment_id if found else self.client.create_experiment(name)

    def run(self, digest: str, name: str, tags: dict[str, str]) -> Any:
        """The run of this fingerprint, made where there is none."""
        found = self.client.search_runs([self._experiment], f"tags.`{FINGERPRINT}` = '{digest}'", max_results=1)
        if found:
            return found[0]
        self.created += 1
        return self.client.create_run(self._experiment, run_name=name, tags={FINGERPRINT: digest, **tags})

    def stage_run(self, stage: Stage) -> Any:
        run = self.run(stage.fingerprint, stage.address, {"duo.stage": stage.address, "duo.cmd": stage.cmd})
        if SYNCED not in run.data.tags:
            self.params(run, stage.params)
        return run

    def params(self, run: Any, params: dict[str, Any]) -> None:
        limit = self.limits.MAX_PARAM_VAL_LENGTH
        entries = [self.entities.Param(_name(key), _text(value, limit)) for key, value in _flat(params, ".").items()]
        for some in _chunks(entries, self.limits.MAX_PARAMS_TAGS_PER_BATCH):
            self.client.log_batch(run.info.run_id, params=some)

    def tags(self, run: Any, tags: dict[str, str]) -> None:
        entries = [self.entities.RunTag(_name(key), value) for key, value in tags.items()]
        for some in _chunks(entries, self.limits.MAX_PARAMS_TAGS_PER_BATCH):
            self.client.log_batch(run.info.run_id, tags=some)

    def curves(self, run: Any, points: Iterable[tuple[int, dict[str, float]]]) -> None:
        # MLflow drops a point that equals an old one in all, its time included; so a point's time is its step.
        entries = [
            self.entities.Metric(_name(key), float(value), step, step)
            for step, values in points
            for key, value in values.items()
        ]
        for some in _chunks(entries, self.limits.MAX_METRICS_PER_BATCH):
            self.client.log_batch(run.info.run_id, metrics=some)

    def numbers(self, run: Any, group: str, numbers: dict[str, float]) -> None:
        self.curves(run, [(0, {f"{group}/{name}": value for name, value in numbers.items()})])

    def inputs(self, run: Any, stage: Stage) -> None:
        """The artifacts that the stage read, as MLflow data sets; code is left to the fingerprint."""
        context = [self.entities.InputTag("mlflow.data.context", "input")]
        for path, md5 in stage.deps.items():
            if files.ROOT in Path(path).parents and not Path(path).is_relative_to(code.ARTIFACTS):
                data_set = self.entities.Dataset(path, md5, "local", path)
                self.client.log_inputs(run.info.run_id, [self.entities.DatasetInput(data_set, context)])

    def pictures(self, run: Any, stage: Stage) -> None:
        for path in map(Path, stage.outs):
            if path.suffix in PICTURES:
                self.client.log_artifact(run.info.run_id, str(path), path.parent.name)

    def complete(self, run: Any) -> None:
        self.tags(run, {SYNCED: "true"})
        self.client.set_terminated(run.info.run_id)


@contextmanager
def _tracker() -> Iterator[_Tracker]:
    """The tracker, for one process at a time: MLflow can't make a database, nor look and then create, from several."""
    for name in ("mlflow", "alembic", "urllib3"):
        logging.getLogger(name).setLevel(logging.ERROR)  # an error becomes one message of ours
    path = _database_file(_uri())
    with FileLock(f"{path or 'mlflow.db'}.lock"):
        if path and not path.exists():
            _create_database(path)
        yield _Tracker()


def _create_database(path: Path) -> None:
    """Make an SQLite database beside its place, then rename it: a process killed meanwhile leaves none half-made."""
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    temporary = path.with_name(path.name + ".new")
    temporary.unlink(missing_ok=True)
    SqlAlchemyStore(f"sqlite:///{temporary}", str(path.with_name("mlruns"))).engine.dispose()
    os.replace(temporary, path)


@contextmanager
def _explained() -> Iterator[None]:
    """Turn a failure of MLflow, its database or the network into one InputError."""
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (MlflowException, SQLAlchemyError, OSError) as error:
        remedy = "start it, or set MLFLOW_TRACKING_URI to another; results are not affected"
        raise InputError(
            f"MLFLOW_TRACKING_URI: {_shown(_uri())} doesn't answer as it should ({_reason(error)}); {remedy}"
        ) from None


def _uri() -> str:
    """Where the runs go; an SQLite file by its whole path, since MLflow goes by the text when it reuses a connection."""
    uri = os.environ.get("MLFLOW_TRACKING_URI") or "sqlite:///mlflow.db"
    path = _database_file(uri)
    return uri.replace(f":///{path}", f":///{path.absolute()}", 1) if path else uri


def _is_database(uri: str) -> bool:
    return uri.split(":")[0].split("+")[0] in ("sqlite", "postgresql", "mysql", "mssql")


def _database_file(uri: str) -> Path | None:
    """Where an SQLite URI has its file; None for any other URI."""
    file = uri.partition(":///")[2].partition("?")[0]
    return Path(file) if uri.startswith("sqlite") and file else None


def _shown(text: str) -> str:
    """Text without the user names and passwords of the URIs in it."""
    return re.sub(r"://[^/@\s]+@", "://", text)


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {textwrap.shorten(_shown(str(error)), 200, placeholder=' ...')}"


def _require_free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except (OSError, OverflowError) as error:
            raise InputError(f"port {port}: can't be used ({error}); choose another") from None


def _git_tags() -> dict[str, str]:
    """The commit that is checked out, and whether files differ from it; nothing outside git.

    DVC itself rewrites dvc.lock.
    """
    commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True)
    if commit.returncode:
        return {}
    words = ["git", "status", "--porcelain", "--untracked-files=no", "--", ".", f":(exclude){LOCK}"]
    changes = subprocess.run(words, capture_output=True, text=True).stdout
    return {"mlflow.source.git.commit": commit.stdout.strip(), "mlflow.source.git.dirty": str(bool(changes)).lower()}


def _digest(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _md5(path: str) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()


def _flat(values: dict[str, Any], separator: str) -> dict[str, Any]:
    """Nested mappings as one, keys joined by `separator`; lists stay whole."""
    flat = {}
    for key, value in values.items():
        if isinstance(value, dict) and value:
            flat |= {f"{key}{separator}{name}": leaf for name, leaf in _flat(value, separator).items()}
        else:
            flat[str(key)] = value
    return flat


def _name(name: str) -> str:
    """A key that MLflow accepts. A changed one gets a digest, so that different names stay different."""
    clean = posixpath.normpath(re.sub(r"[^\w.\-: /]", "_", name)).lstrip("./")[:240]
    return name if clean == name else f"{clean}-{_digest(name)[:8]}"


def _text(value: Any, limit: int) -> str:
    """A param's value. One over the limit is cut and gets a digest, so that different values stay different."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= limit else f"{text[: limit - 40]}... {_digest(text)}"


def _chunks(items: list, size: int) -> Iterator[list]:
    return (items[start : start + size] for start in range(0, len(items), size))
