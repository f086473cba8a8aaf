"""Snakemake and `dvc repro` on the toy, and both on the smoke experiment."""

import hashlib
import json
import re
import shutil
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from mlflow import MlflowClient
from project import Project, kill

from workflow import dag

NOTHING = "Nothing to be done"
RUNNING = re.compile(r"^Running stage '(.+)'", re.MULTILINE)


def test_snakemake_makes_what_dvc_makes_and_then_both_rest(fresh_toy, finished_toy, tmp_path):
    toy = fresh_toy.copy(tmp_path / "toy")
    toy.run("snakemake --cores 2")
    assert toy.files() == finished_toy.files()
    assert len(toy.ran()) == 8 and len(toy.files()) == 13
    toy.run("dvc repro -q")
    assert NOTHING in toy.run("snakemake -n").stdout and toy.ran() == []


def test_after_dvc_snakemake_rests_though_every_file_is_touched(toy):
    for path in [toy.root / "duo/toy.py", *sorted((toy.root / "artifacts").rglob("*.*"), reverse=True)]:
        path.touch()
    assert NOTHING in toy.run("snakemake -n").stdout


def test_prose_runs_code_alone(toy):
    toy.replace("duo/toy.py", "import hashlib", "# Hashes.\nimport hashlib")
    planned = toy.run("snakemake -n").stdout
    assert re.findall(r"^rule (\w+):", planned, re.MULTILINE) == ["code", "all"]
    assert RUNNING.findall(toy.run("dvc repro").stdout) == ["code"]
    toy.replace("workflow/stages/oracle.py", "A stage of the toy.", "A stage.")
    toy.run("snakemake --cores 2")
    assert toy.ran() == [] and NOTHING in toy.run("snakemake -n").stdout
    assert RUNNING.findall(toy.run("dvc repro").stdout) == []


@pytest.mark.parametrize("driver", ["dvc repro -q", "snakemake --cores 2"])
def test_changed_code_runs_what_reaches_it(toy, driver):
    toy.replace("workflow/stages/headline.py", "0, [f", "1, [f")
    toy.run(driver)
    assert toy.ran() == ["artifacts/headline.txt", "artifacts/report.html"]
    assert NOTHING in toy.run("snakemake -n").stdout and toy.run("dvc status -q").returncode == 0


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


def test_a_stage_that_computes_takes_the_threads_that_params_give_it(toy):
    toy.replace("dvc.yaml", "meta: {threads: 1, gpu: 1}", "meta: {threads: 2}")
    toy.replace("params.yaml", "seed: 1", "seed: 2")
    toy.replace("params.yaml", "threads: 1", "threads: 3")
    rules = toy.run("snakemake -n --cores 8").stdout.split("rule ")
    assert all(("threads: 3" in rule) == rule.startswith("oracle") for rule in rules)
    assert any(rule.startswith("oracle") for rule in rules)


def kill_when(project: Project, driver: str, ready, **environment: str) -> None:
    """Start the driver, wait until `ready()`, then kill -9 it with all its children."""
    running = project.start(driver, **environment)
    try:
        deadline = time.monotonic() + 120
        while not ready():
            assert running.poll() is None, f"{driver} ended before it could be killed\n{project.output()}"
            assert time.monotonic() < deadline, f"{driver} never came to the point where it was to be killed"
            time.sleep(0.01)
    finally:
        kill(running)


def same(one: Project, other: Project) -> None:
    ones, others = one.files(), other.files()
    assert sorted(ones) == sorted(others)
    assert [path for path in ones if ones[path] != others[path]] == []


@pytest.mark.slow
@pytest.mark.parametrize(
    "driver, stage, sign",
    [
        ("dvc repro -q {}", "pretrain@duo", "artifacts/checkpoints/*.safetensors"),
        ("snakemake --cores 2 {}", "route_losses@duo-1", ".pipeline/route_losses-duo-1.lock"),
        ("dvc repro -q {}", "oracle@2", "artifacts/oracle/2/*.parquet*"),
    ],
    ids=["pretrain", "route_losses", "oracle"],
)
def test_smoke_killed_ends_the_same(finished_smoke, tmp_path, monkeypatch, driver, stage, sign):
    """In a training with its checkpoints, as a stage begins, between its files; with live curves, which the runs to
    compare with lack.
    """
    project = finished_smoke.copy(tmp_path / "smoke")
    expected = project.files()
    monkeypatch.chdir(project.root)
    made = dag.Dag().stages[stage].outs
    for path in map(Path, made):
        digest = hashlib.md5(path.read_bytes()).hexdigest()
        Path(".dvc/cache/files/md5", digest[:2], digest[2:]).unlink()
        path.unlink()
    for path in Path(".pipeline").glob("*.lock"):
        path.unlink()
    shutil.rmtree(".dvc/cache/runs")
    shutil.rmtree("artifacts/checkpoints", ignore_errors=True)
    command = driver.format(made[0] if driver.startswith("snakemake") else stage)
    kill_when(project, command, lambda: any(Path().glob(sign)), DUO_LIVE="1")
    project.run(command, DUO_LIVE="1")
    again = project.files()
    assert [path for path in expected if path.startswith("artifacts/") and again.get(path) != expected[path]] == []


@pytest.mark.slow
def test_smoke_with_a_budget_less_runs_what_reads_the_budgets(finished_smoke, tmp_path, monkeypatch):
    project = finished_smoke.copy(tmp_path / "smoke")
    (project.root / "patch.yaml").write_text(
        "oracle: {budgets: [0, 1, 2, 4]}\nschedules: [2, 0]\nfigures: {heat_maps: [1, 2]}\n"
    )
    project.run("python -m duo use patch.yaml")
    monkeypatch.chdir(project.root)
    known = dag.Dag()
    due = {address.split("@")[0] for address in known.stages if known.why(address)[address]}
    assert {"oracle_curves", "claims", "headline", "figures", "report"} <= due
    assert not due & {
        "corpus",
        "tokens",
        "pretrain",
        "route_losses",
        "oracle",
        "skips",
        "three_way",
        "router",
        "harness",
        "ablation",
    }
    ran = {address.split("@")[0] for address in RUNNING.findall(project.run("dvc repro claims headline").stdout)}
    assert {"oracle_curves", "claims", "headline"} <= ran <= due


@pytest.mark.slow
def test_every_statistic_has_words_and_stands_once_in_the_table_of_all(finished_smoke):
    tables = [pq.read_table(path) for path in finished_smoke.root.glob("artifacts/*/**/statistics.parquet")]
    (run,) = [table for table in tables if "study" in table.column_names]
    own = [row for table in tables if table is not run for row in table.to_pylist()]
    columns = ("model", "domain", "family", "subject", "reference", "budget", "labels", "value")

    def keys(rows: list[dict]) -> list[str]:
        return sorted(str([row[name] for name in columns]) for row in rows)

    assert len(tables) > 10 and keys(run.to_pylist()) == keys(own)
    assert all(len(row["words"]) > 10 and "_" not in row["words"].replace("random_", "") for row in own)


@pytest.mark.slow
@pytest.mark.parametrize("finished", ["finished_smoke", "finished_by_snakemake"])
def test_a_whole_run_is_synced_whichever_driver_made_it(request, finished, tmp_path, monkeypatch):
    """Snakemake has synced at its end already; then nothing is left to do."""
    project = request.getfixturevalue(finished).copy(tmp_path / "smoke")
    said = project.run("python -m duo sync").stderr
    monkeypatch.chdir(project.root)
    stages = set(dag.Dag().stages)
    assert (
        f"{0 if finished == 'finished_by_snakemake' else len(stages) + 1} new runs, {len(stages)} finished stages"
        in said
    )
    client = MlflowClient("sqlite:///mlflow.db")
    runs = client.search_runs([client.get_experiment_by_name("duo").experiment_id])
    assert {run.info.run_name for run in runs if not run.info.run_name.startswith("pipeline")} == stages
    assert len(runs) == len(stages) + 1 and {run.info.status for run in runs} == {"FINISHED"}


@pytest.mark.slow
def test_smoke_by_both_drivers(finished_smoke, finished_by_snakemake):
    same(finished_by_snakemake, finished_smoke)
    verdicts = json.loads((finished_smoke.root / "artifacts/results/metrics.json").read_text())["claims"]
    numbers = [*range(1, 13), "13a", "13b", *range(14, 20)]
    assert list(verdicts) == [f"C{number}" for number in numbers]
    for each in (finished_by_snakemake, finished_smoke):
        assert NOTHING in each.run("snakemake -n").stdout
        assert each.run("dvc status").stdout.strip() == "Data and pipelines are up to date."
    assert "Running stage" not in finished_by_snakemake.run("dvc repro").stdout
