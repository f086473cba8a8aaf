"""Snakemake and `dvc repro` on the toy, and both on the smoke experiment."""

import json
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
from conftest import REPOSITORY, Project

NOTHING = "Nothing to be done"


def test_snakemake_makes_what_dvc_makes_and_then_both_rest(fresh_toy, finished_toy, tmp_path):
    toy = fresh_toy.copy(tmp_path / "toy")
    toy.run("snakemake --cores 2")
    assert toy.files() == finished_toy.files()
    assert len(toy.ran()) == 8
    toy.run("dvc repro -q")
    assert NOTHING in toy.run("snakemake -n").stdout and toy.ran() == []


def test_after_dvc_snakemake_rests_though_every_file_is_touched(toy):
    for path in [toy.root / "toy.py", *sorted((toy.root / "artifacts").rglob("*.txt"), reverse=True)]:
        path.touch()
    assert NOTHING in toy.run("snakemake -n").stdout


def test_new_budget_runs_its_own_stages_and_the_way_back_runs_none(toy):
    before = toy.files()
    toy.replace("params.yaml", "budgets: [0, 1, 2, 4]", "budgets: [0, 1, 2, 3, 4]")
    toy.run("snakemake --cores 2")
    assert toy.ran() == ["artifacts/headline.txt", "artifacts/oracle/3/tokens.txt", "artifacts/report.html"]
    toy.replace("params.yaml", "budgets: [0, 1, 2, 3, 4]", "budgets: [0, 1, 2, 4]")
    toy.run("python -m duo prune")
    toy.run("snakemake --cores 2")
    assert toy.ran() == [] and toy.files() == before


def test_a_target_needs_only_what_it_reads(fresh_toy, tmp_path):
    toy = fresh_toy.copy(tmp_path / "toy")
    toy.run("snakemake --cores 2 headline")
    assert (toy.root / "artifacts/headline.txt").exists() and not (toy.root / "artifacts/report.html").exists()


@pytest.mark.parametrize("driver", ["dvc repro -q", "snakemake --cores 2"])
def test_failed_stage_shows_its_error_and_heals(toy, finished_toy, driver):
    toy.replace("params.yaml", "seed: 1", "seed: 2")
    failed = toy.run(driver, check=False, TOY_FAILS="artifacts/oracle/2/tokens.txt")
    assert failed.returncode != 0 and "error: a made-up reason" in failed.stdout + failed.stderr
    toy.replace("params.yaml", "seed: 2", "seed: 1")
    toy.run(driver)
    assert toy.files() == finished_toy.files()


@pytest.mark.parametrize("driver", ["dvc repro -q", "snakemake --cores 2"])
def test_killed_in_a_write_heals(fresh_toy, finished_toy, tmp_path, driver):
    toy = fresh_toy.copy(tmp_path / "toy")
    half = toy.root / "artifacts/oracle/2/tokens.txt.tmp"
    kill_when(toy, driver, half.exists, TOY_HANGS="artifacts/oracle/2/tokens.txt")
    assert half.exists()
    toy.run(driver)
    assert toy.files() == finished_toy.files()


def test_bad_params_are_one_error_before_anything_runs(toy):
    toy.replace("params.yaml", "budgets: [0, 1, 2, 4]", "budgets: [0, 1, 2, 5]")
    failed = toy.run("snakemake --cores 2", check=False)
    assert failed.returncode != 0 and toy.ran() == []
    assert "params.yaml: oracle.budgets: 5 is above the number of layers (model.layers: 4)" in failed.stderr
    assert "Traceback" not in failed.stderr


def test_gpu_is_asked_for_only_on_cuda(toy):
    toy.replace("params.yaml", "seed: 1", "seed: 2")
    assert "gpu=1" not in toy.run("snakemake -n").stdout
    toy.replace("params.yaml", "device: cpu", "device: cuda")
    assert "gpu=1" in toy.run("snakemake -n").stdout


def kill_when(project: Project, driver: str, ready, **environment: str) -> None:
    """Start the driver, wait until `ready()`, then kill -9 it with all its children."""
    running = subprocess.Popen(
        driver.split(),
        cwd=project.root,
        env=project.environment | environment,
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 120
        while not ready():
            assert running.poll() is None, f"{driver} ended before it could be killed"
            assert time.monotonic() < deadline, f"{driver} never came to the point where it was to be killed"
            time.sleep(0.01)
    finally:
        os.killpg(running.pid, signal.SIGKILL)
        running.wait()
        _wait_for_the_end(running.pid)


def _wait_for_the_end(group: int) -> None:
    """Wait until the killed processes are gone: DVC honours the lock of one that still shows in the process table."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)


@pytest.fixture(scope="session")
def fresh_smoke(tmp_path_factory) -> Project:
    """The repository's files, set to the smoke experiment, with the wheels that this checkout already has."""
    root = tmp_path_factory.mktemp("smoke") / "fresh"
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (REPOSITORY / name).is_file():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(REPOSITORY / name, root / name)
    (root / "dvc.lock").unlink(missing_ok=True)
    if (REPOSITORY / "artifacts/cache").exists():
        shutil.copytree(REPOSITORY / "artifacts/cache", root / "artifacts/cache")
    project = Project(root)
    project.run("git init -q .")
    project.run("python -m duo use params/smoke.yaml")
    return project


@pytest.fixture(scope="session")
def finished_smoke(fresh_smoke) -> Project:
    project = fresh_smoke.copy(fresh_smoke.root.parent / "finished")
    project.run("dvc repro -q")
    project.run("python -c 'from duo import dag; dag.sort_lock()'")
    return project


def same(one: Project, other: Project) -> None:
    ones, others = one.files(), other.files()
    assert sorted(ones) == sorted(others)
    assert [path for path in ones if ones[path] != others[path]] == []


@pytest.mark.slow
def test_smoke_by_both_drivers(fresh_smoke, finished_smoke, tmp_path):
    project = fresh_smoke.copy(tmp_path / "smoke")
    project.run("snakemake --cores 2")
    same(project, finished_smoke)
    verdicts = json.loads((project.root / "artifacts/results/metrics.json").read_text())["claims"]
    assert list(verdicts) == [f"C{number}" for number in range(1, 20)]
    for each in (project, finished_smoke):
        assert NOTHING in each.run("snakemake -n").stdout
        assert "Running stage" not in each.run("dvc repro").stdout
        assert each.run("dvc status").stdout.strip() == "Data and pipelines are up to date."


@pytest.mark.slow
@pytest.mark.parametrize(
    "driver, sign",
    [
        ("dvc repro -q headline", "artifacts/checkpoints/*.safetensors"),
        ("snakemake --cores 2 headline", "artifacts/enumerate/*.parquet*"),
        ("dvc repro -q headline", "artifacts/oracle/2/*.tmp"),
    ],
    ids=["pretrain", "enumerate", "oracle"],
)
def test_smoke_killed_ends_the_same(fresh_smoke, finished_smoke, tmp_path, driver, sign):
    """On the way to the headline, a third of the stages, which has every kind of write and a training's checkpoints."""
    project = fresh_smoke.copy(tmp_path / "smoke")
    kill_when(project, driver, lambda: any(project.root.glob(sign)))
    project.run(driver)
    project.run("python -m duo prune")
    made, expected = project.files(), finished_smoke.files()
    assert "artifacts/figures/headline.svg" in made
    assert [path for path in made if path != "dvc.lock" and made[path] != expected.get(path)] == []


@pytest.mark.slow
def test_smoke_with_a_budget_less_runs_what_reads_the_budgets(finished_smoke, tmp_path):
    project = finished_smoke.copy(tmp_path / "smoke")
    (project.root / "patch.yaml").write_text("oracle: {budgets: [0, 1, 2, 4]}\nschedules: [2, 0]\nfigures: {heat_maps: [1, 2]}\n")
    project.run("python -m duo use patch.yaml")
    ran = set(re.findall(r"^Running stage '([^'@]+)", project.run("dvc repro").stdout, re.MULTILINE))
    assert {"evaluate", "claims", "headline", "figures", "report"} <= ran
    assert not ran & {"corpus", "tokens", "pretrain", "enumerate", "oracle", "skips", "three_way", "router", "harness", "ablation"}
    assert Path(project.root / "artifacts/report/index.html").exists()
