import contextlib
import json
import multiprocessing
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
from project import REPOSITORY as ROOT

from duo.errors import InputError
from duo.tables.report import HEADLINE
from duo.tables.training import HISTORY, PRETRAIN_METRICS
from workflow import hashes, track, tracker
from workflow.dag import Dag

DVC_YAML = """
stages:
  pretrain:
    cmd: python -m pretrain
    deps: [artifacts/code/pretrain.json, artifacts/tokens/packed.parquet, theirs, pretrain.py]
    params: [seed, model.width]
    outs: [artifacts/pretrain/duo/history.parquet]
    metrics: [artifacts/pretrain/duo/metrics.json]
  oracle:
    foreach: ${budgets}
    do:
      cmd: python -m oracle ${item}
      deps: [pretrain.py]
      params: [seed]
      outs: ["artifacts/oracle/${item}/picture.svg"]
  claims:
    cmd: python -m claims
    deps: [pretrain.py]
    params: [seed]
    metrics: [artifacts/results/headline.json]
"""
HEADLINES = {"gain": 0.3, "gain_low": 0.2, "gain_high": 0.4}
STEPS = 1200  # more points than MLflow takes in one request


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MLflow database, made once, since that takes seconds."""
    path = tmp_path_factory.mktemp("database") / "mlflow.db"
    tracker.create_database(path)
    return path


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a finished pipeline, and no database."""
    monkeypatch.chdir(tmp_path)
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME", "DUO_LIVE"):
        monkeypatch.delenv(name, raising=False)
    Path("dvc.yaml").write_text(DVC_YAML)
    Path("pretrain.py").write_text("pass\n")
    Path("theirs").mkdir()  # some dependencies are directories
    Path("theirs/config.json").write_text("{}")
    write_params(width=8)
    write_artifacts()
    write_lock()
    return tmp_path


@pytest.fixture
def project(bare: Path, empty_database: Path) -> Path:
    shutil.copy(empty_database, bare / "mlflow.db")
    return bare


def write_params(**model: int) -> None:
    Path("params.yaml").write_text(json.dumps({"seed": 1, "model": model, "budgets": [0, 1]}))


def losses() -> dict[int, float]:
    return {step: abs(step - 700) / 1000 for step in range(STEPS)}


def write_artifacts() -> None:
    columns = {
        "step": list(losses()),
        "tokens": list(losses()),
        "series": ["validation/text/all_big"] * STEPS,
        "value": list(losses().values()),
    }
    HISTORY.write(columns, model="duo")
    HEADLINE.write({"text": HEADLINES})
    PRETRAIN_METRICS.write({"text": {"loss": 0.5, "remark": "good"}}, model="duo")
    made = ("code/pretrain.json", "tokens/packed.parquet", "oracle/0/picture.svg", "oracle/1/picture.svg")
    for path in (f"artifacts/{name}" for name in made):
        Path(path).parent.mkdir(parents=True)
        Path(path).write_text("<svg/>")


def write_lock() -> None:
    """dvc.lock as DVC would write it now; JSON is YAML."""

    def entries(paths: tuple[str, ...]) -> list[dict]:
        return [{"path": path, "hash": "md5", "md5": hashes.of(path)} for path in paths]

    stages = {
        address: {
            "cmd": stage.cmd,
            "deps": entries(stage.deps),
            "params": {"params.yaml": stage.params},
            "outs": entries(stage.outs),
        }
        for address, stage in Dag().stages.items()
    }
    Path("dvc.lock").write_text(json.dumps({"schema": "2.0", "stages": stages}))


def client():
    from mlflow import MlflowClient

    return MlflowClient(f"sqlite:///{Path('mlflow.db').absolute()}")


def runs() -> dict[str, list]:
    """All runs by name, oldest first."""
    experiment = client().get_experiment_by_name("duo")
    found = {}
    for run in (
        client().search_runs([experiment.experiment_id], order_by=["attributes.start_time ASC"]) if experiment else []
    ):
        name = "pipeline" if run.info.run_name.startswith("pipeline") else run.info.run_name
        found.setdefault(name, []).append(run)
    return found


def points(run) -> list[tuple[int, float]]:
    return sorted(
        (point.step, point.value) for point in client().get_metric_history(run.info.run_id, "validation/text/all_big")
    )


def everything() -> str:
    """All that MLflow shows, as text."""
    found = [run.to_dictionary() for named in runs().values() for run in named]
    return json.dumps([found, [points(run) for run in runs()["pretrain"]]], sort_keys=True)


def test_a_run_shows_its_stage_and_the_pipeline_sums_up(project: Path) -> None:
    track.sync()
    found = runs()
    assert {name: len(named) for name, named in found.items()} == {
        "pipeline": 1,
        "pretrain": 1,
        "oracle@0": 1,
        "oracle@1": 1,
        "claims": 1,
    }
    (pretrain,), (pipeline,) = found["pretrain"], found["pipeline"]
    assert pretrain.info.status == pipeline.info.status == "FINISHED"
    assert pretrain.data.params == pipeline.data.params == {"seed": "1", "model.width": "8"}
    assert points(pretrain) == sorted(losses().items())
    assert pretrain.data.metrics["metrics/text/loss"] == 0.5
    assert pretrain.data.metrics["metrics/validation/text/all_big/lowest"] == 0
    assert pretrain.data.metrics["metrics/validation/text/all_big/final"] == losses()[STEPS - 1]
    assert pipeline.data.metrics == {f"headline/text/{name}": value for name, value in HEADLINES.items()}
    (entry,) = pretrain.inputs.dataset_inputs
    assert (entry.dataset.name, entry.dataset.digest) == (
        "artifacts/tokens/packed.parquet",
        hashes.md5("artifacts/tokens/packed.parquet"),
    )
    for run in (found["oracle@1"][0], pretrain):
        assert run.data.tags["mlflow.parentRunId"] == pipeline.info.run_id
    assert pipeline.data.tags["duo.stage.oracle/1"] == found["oracle@1"][0].info.run_id
    assert [file.path for file in client().list_artifacts(found["oracle@1"][0].info.run_id, "1")] == ["1/picture.svg"]


def test_twice_adds_nothing(project: Path) -> None:
    track.sync()
    once = everything()
    track.sync()
    assert everything() == once


def test_a_changed_param_gives_new_runs_and_keeps_the_old(project: Path) -> None:
    track.sync()
    old = runs()
    write_params(width=16)
    write_lock()
    track.sync()
    new = runs()
    assert [run.data.params["model.width"] for run in new["pretrain"]] == ["8", "16"]
    assert [run.data.params["model.width"] for run in new["pipeline"]] == ["8", "16"]
    assert new["pretrain"][0].to_dictionary() == old["pretrain"][0].to_dictionary()
    # the stage that didn't change keeps its run and its first parent, and the new pipeline names it
    assert [run.to_dictionary() for run in new["oracle@0"]] == [run.to_dictionary() for run in old["oracle@0"]]
    assert new["pipeline"][1].data.tags["duo.stage.oracle/0"] == old["oracle@0"][0].info.run_id


def test_a_stale_stage_is_no_part_of_the_pipeline(project: Path) -> None:
    write_params(width=16)
    track.sync()
    (pipeline,), (pretrain,) = runs()["pipeline"], runs()["pretrain"]
    assert "duo.stage.pretrain" not in pipeline.data.tags and "duo.stage.oracle/0" in pipeline.data.tags
    assert "mlflow.parentRunId" not in pretrain.data.tags


def test_an_artifact_that_is_not_the_recorded_one_is_left_out(project: Path) -> None:
    Path("artifacts/oracle/0/picture.svg").write_text("other")
    Path("artifacts/oracle/1/picture.svg").unlink()
    track.sync()
    assert set(runs()) == {"pretrain", "claims", "pipeline"}


def test_nothing_finished_is_no_error(bare: Path) -> None:
    Path("dvc.lock").unlink()
    track.sync()
    assert not Path("mlflow.db").exists()


def log_live(steps: range) -> None:
    with track.live("pretrain") as live:
        for step in steps:
            live.log(step, {"validation/text/all_big": losses()[step]})


def test_live_curves_are_in_the_run_that_sync_completes(project: Path) -> None:
    Path("dvc.lock").unlink()
    log_live(range(0, 20))
    log_live(range(10, 30))  # a stage that was killed resumes before the last point that it showed
    (run,) = runs()["pretrain"]
    assert points(run) == [(step, losses()[step]) for step in range(30)]
    assert run.data.params == {"seed": "1", "model.width": "8"}
    write_lock()
    track.sync()
    (completed,) = runs()["pretrain"]
    assert completed.info.run_id == run.info.run_id
    assert points(completed) == sorted(losses().items())


def test_an_error_in_the_stage_marks_the_live_run_as_failed(project: Path) -> None:
    with pytest.raises(ZeroDivisionError), track.live("pretrain"):
        _ = 1 / 0
    assert runs()["pretrain"][0].info.status == "FAILED"


def test_live_curves_can_be_turned_off(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DUO_LIVE", "0")
    log_live(range(3))
    assert not Path("mlflow.db").exists()


@pytest.mark.parametrize("answers", ["refuses", "is silent"])
def test_a_dead_server_neither_fails_nor_delays_a_stage(bare: Path, answers: str) -> None:
    script = """
import sys
from pathlib import Path
from duo.tables import files
from workflow import record, track, tracker
from workflow import stage
assert "mlflow" not in sys.modules and "dvc" not in sys.modules
track.PATIENCE = 1.0

def main(*words):
    with track.live("pretrain") as live:
        for step in range(1000):
            live.log(step, {"train": 1.0})
    for name in ("history.parquet", "metrics.json"):
        with files.atomic(Path("artifacts/pretrain/duo", name)) as temporary:
            temporary.write_text("")
    print("trained", flush=True)

stage.run(main)
"""
    Path("pretrain.py").write_text(script)
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        if answers == "is silent":
            server.listen()
        uri = f"http://127.0.0.1:{server.getsockname()[1]}"
        environment = {**os.environ, "MLFLOW_TRACKING_URI": uri, "PYTHONPATH": str(ROOT)}
        start = time.monotonic()
        done = subprocess.run(
            [sys.executable, "pretrain.py"], capture_output=True, text=True, env=environment, timeout=60
        )
        took = time.monotonic() - start
    assert (done.returncode, done.stdout) == (0, "trained\n"), done.stderr
    assert done.stderr.count("live curves") == 1 and len(done.stderr.splitlines()) == 1
    assert took < 20


def test_an_unreachable_server_is_one_error_without_the_password(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        port = server.getsockname()[1]
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://me:secret@127.0.0.1:{port}")
        before = {path: path.read_bytes() for path in Path("artifacts").rglob("*") if path.is_file()}
        with pytest.raises(InputError, match=rf"MLFLOW_TRACKING_URI: http://127.0.0.1:{port} ") as caught:
            track.sync()
    assert "secret" not in str(caught.value)
    assert {path: path.read_bytes() for path in Path("artifacts").rglob("*") if path.is_file()} == before


def test_an_experiment_that_was_deleted_on_the_pages_comes_back(project: Path) -> None:
    track.sync()
    client = tracker.Tracker().client
    (experiment,) = (each for each in client.search_experiments() if each.name == "duo")
    assert experiment.tags["mlflow.experimentKind"] == "custom_model_development"
    client.delete_experiment(experiment.experiment_id)
    track.sync()
    assert client.get_experiment(experiment.experiment_id).lifecycle_stage == "active"


def test_a_database_of_another_mlflow_says_that_it_can_be_made_anew(project: Path) -> None:
    with contextlib.closing(sqlite3.connect("mlflow.db")) as database:
        database.execute("update alembic_version set version_num = 'abc'")
        database.commit()
    with pytest.raises(InputError) as caught:
        track.sync()
    told = str(caught.value)
    assert told.startswith("MLFLOW_TRACKING_URI: sqlite:///") and "\n" not in told
    assert "move mlflow.db away, and `python -m duo sync` writes all runs anew; or set" in told


def test_a_database_without_its_driver_says_what_to_install(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "postgresql://u:secret@localhost/x")
    with pytest.raises(InputError, match=r"`python -m pip install psycopg2` brings what reaches it") as caught:
        track.sync()
    assert "secret" not in str(caught.value)


def test_without_git_there_are_no_tags_of_it(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(project))
    track.sync()
    assert track._git_tags() == {}


def test_port_0_is_a_port_that_is_free_and_a_used_one_is_refused() -> None:
    free = track._free(0)
    assert free > 1023 and track._free(free) == free
    with socket.socket() as used:
        used.bind(("127.0.0.1", 0))
        used.listen()
        with pytest.raises(InputError, match=r"port \d+: can't be used .*; choose another"):
            track._free(used.getsockname()[1])


def test_names_and_values_that_mlflow_refuses(project: Path) -> None:
    long = "x" * 10_000
    with tracker.opened() as opened:
        run = opened.run("0", "odd", {})
        opened.params(run, {"a@b": long + "1", "a#b": long + "2", "plain": "1"})
        opened.numbers(run, "metrics", {"x@1": 1.0, "x#1": 2.0, "../up": 3.0, "y" * 300: 4.0})
        found = opened.client.get_run(run.info.run_id).data
    assert len(found.params) == len(set(found.params.values())) == 3
    assert found.params["plain"] == "1"
    assert sorted(found.metrics.values()) == [1, 2, 3, 4]


def track_in(folder: str, lives: bool) -> None:
    os.chdir(folder)
    os.environ.pop("MLFLOW_TRACKING_URI", None)
    if lives:
        log_live(range(50))
    else:
        track.sync()


def test_eight_trackers_on_a_fresh_database(bare: Path) -> None:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["workflow.track", "workflow.dag", "mlflow"])
    processes = [context.Process(target=track_in, args=(str(bare), bool(number % 2))) for number in range(8)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 8
    found = runs()
    assert {name: len(named) for name, named in found.items()} == {
        "pipeline": 1,
        "pretrain": 1,
        "oracle@0": 1,
        "oracle@1": 1,
        "claims": 1,
    }
    assert points(found["pretrain"][0]) == sorted(losses().items())


def test_the_pages_are_for_this_machine_alone(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started = []
    monkeypatch.setattr(os, "execve", lambda program, words, environment: started.append((words, environment)))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        taken.listen()
        with pytest.raises(InputError, match=f"port {port}"):
            track.ui(port)
        assert not started
    track.ui(port)
    words, environment = started[0]
    assert words[words.index("--host") + 1] == "127.0.0.1"
    assert environment["MLFLOW_DISABLE_TELEMETRY"] == "true"
