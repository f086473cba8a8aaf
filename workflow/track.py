"""MLflow as a view of the artifacts: runs are made from the files and dvc.lock, and never read back.

A stage instance is known by its fingerprint: its address, command, params and the hashes of what it reads, as
dvc.lock records them. `sync` makes one run per fingerprint, nested under one run per state of the pipeline; where
the runs are there already, it adds nothing. `live` shows a stage's curves while it works, in the run that `sync`
completes later. Where the runs go is MLflow's own business: MLFLOW_TRACKING_URI (default sqlite:///mlflow.db) and
MLFLOW_EXPERIMENT_NAME (default duo).
"""

import json
import logging
import os
import queue
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from duo.errors import InputError
from duo.progress import progress
from duo.tables import adapted, data, files, oracle, pretrained, report, routers, studies, training, trend
from workflow import record
from workflow.record import LOCK, Stage, recorded, upcoming
from workflow.tracker import SYNCED, Tracker, explained, flat, is_database, opened, reason, shown, uri

log = logging.getLogger(__name__)

CURVE = {"step", "series", "value"}  # columns of a table whose rows are points of curves
INTERVAL = 2.0  # seconds between two deliveries of live points
PATIENCE = 5.0  # seconds that the end of a stage waits for the last delivery


def sync() -> None:
    """Make MLflow show every finished stage, and the pipeline they form; what it shows already stays as it is.

    InputError where dvc.lock is damaged or MLflow can't be reached. Artifacts are only read.
    """
    stages = [stage for stage in recorded() if stage.finished()]
    if not stages:
        log.info("tracking: no stage has finished yet")
        return
    state = _up_to_date(stages)
    with explained(), opened() as tracker:
        before = tracker.created
        _sync_pipeline(tracker, stages, state)
        log.info(
            "tracking: %d new runs, %d finished stages, in %s", tracker.created - before, len(stages), shown(uri())
        )


def _sync_pipeline(tracker: Tracker, stages: list[Stage], state: list[Stage]) -> None:
    """A run per stage; and, over those of the present state, the run that has their params, pictures and headline."""
    digest = record.digest(sorted(stage.fingerprint for stage in state))
    pipeline = tracker.run(digest, f"pipeline {digest[:8]}", _git_tags()) if state else None
    runs = {}
    for stage in progress("tracking", "stages", stages):
        runs[stage.address] = _sync_stage(tracker, stage, pipeline if stage in state else None)
    if pipeline is None or SYNCED in pipeline.data.tags:
        return
    for stage in state:
        tracker.params(pipeline, stage.params)
        tracker.pictures(pipeline, stage)
    tracker.numbers(pipeline, "headline", _headline(state))
    tracker.tags(pipeline, {f"duo.stage.{stage.label}": runs[stage.address].info.run_id for stage in state})
    tracker.complete(pipeline)


def _sync_stage(tracker: Tracker, stage: Stage, pipeline: Any) -> Any:
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


def _headline(state: list[Stage]) -> dict[str, float]:
    """The few numbers that pipelines are compared by; none where the stage that gathers them is not among these."""
    outs = {path for stage in state for path in stage.outs}
    return flat(report.HEADLINE.read(), "/") if report.HEADLINE.place() in outs else {}


def _numbers(stage: Stage) -> dict[str, float]:
    """The stage's metrics, the last value of each of its curves, and the lowest of its validation losses."""
    numbers = {}
    for path in stage.outs:
        if _holds_metrics(path):
            numbers |= flat(json.loads(Path(path).read_text(encoding="utf-8")), "/")
    for _, point in _curves(stage):
        for series, value in point.items():
            numbers[f"{series}/final"] = value
            if series.startswith("validation/"):
                numbers[f"{series}/lowest"] = min(value, numbers.get(f"{series}/lowest", value))
    return {name: value for name, value in numbers.items() if isinstance(value, int | float)}


def _holds_metrics(path: str) -> bool:
    """Whether it is a file of metrics, by the schemas in duo.tables."""
    families = (data, training, oracle, routers, adapted, pretrained, studies, trend, report)
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
            log.warning("live curves are off, results are not affected: %s", reason(error))

    def _deliver(self) -> None:
        stage = upcoming(self._address)
        with opened() as tracker:
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
    if not is_database(uri()):
        log.info("MLflow's pages are at %s", shown(uri()))
        return
    port = _free(port)
    with explained(), opened():
        pass  # makes the database where there is none
    log.info("MLflow's pages open in some seconds at http://127.0.0.1:%d; Ctrl-C ends them", port)
    environment = {
        **os.environ,
        "MLFLOW_BACKEND_STORE_URI": uri(),  # not as an argument, which every user of the machine could read
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # ten idle processes, for features that have nothing to do here
    }
    words = ["mlflow", "ui", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    os.execve(sys.executable, [sys.executable, "-m", *words], environment)


def _free(port: int) -> int:
    """The port, or one that is free for 0. InputError where it can't be used."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except (OSError, OverflowError) as error:
            raise InputError(f"port {port}: can't be used ({error}); choose another") from None
        return probe.getsockname()[1]


def _git_tags() -> dict[str, str]:
    """The commit that is checked out, and whether files differ from it; nothing outside git, or without it.

    DVC itself rewrites dvc.lock.
    """
    if not shutil.which("git"):
        return {}
    commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True)
    if commit.returncode:
        return {}
    words = ["git", "status", "--porcelain", "--untracked-files=no", "--", ".", f":(exclude){LOCK}"]
    changes = subprocess.run(words, capture_output=True, text=True).stdout
    return {"mlflow.source.git.commit": commit.stdout.strip(), "mlflow.source.git.dirty": str(bool(changes)).lower()}
