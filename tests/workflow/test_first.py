"""The small run that makes the first picture."""

import shutil
from pathlib import Path

import pytest
from project import REPOSITORY

from workflow import dag, first
from workflow.__main__ import change
from workflow.params import load_params

SMALL = "oracle: {budgets: [0, 1, 2, 3, 4]}\n"


@pytest.fixture
def small(toy):
    (toy.root / "params").mkdir()
    (toy.root / "params/first.yaml").write_text(SMALL)
    return toy


def test_what_the_figure_needs_is_run_apart_from_the_experiment(small):
    before = small.files()
    for _ in range(2):  # the second begins anew
        said = small.run("python -m duo first")
        ran = (small.root / first.FOLDER / "ran.log").read_text().splitlines()
        assert set(ran[:2]) == {"artifacts/corpus/text.txt", "artifacts/corpus/code.txt"}
        assert set(ran[2:7]) == {f"artifacts/oracle/{budget}/tokens.txt" for budget in range(5)}
        assert ran[7:] == ["artifacts/headline.txt"]
        assert str(first.FOLDER / first.PICTURE) in said.stdout
    assert small.files() == before and small.ran() == []


def test_of_params_that_it_does_not_fit_there_is_no_picture(small):
    """With which `make paper` goes on."""
    (small.root / "params/first.yaml").write_text("oracle: {budgets: [99]}")
    said = small.run("python -m duo first").stdout
    assert said.startswith("no first picture of this experiment: ") and "oracle.budgets: 99" in said


def test_params_that_are_wrong_themselves_are_one_error(small):
    small.replace("params.yaml", "seed: 1", "sead: 1")
    said = small.run("python -m duo first", check=False)
    assert said.returncode == 1 and said.stderr.startswith("error: params.yaml: ") and "sead: unknown" in said.stderr


def test_a_folder_that_can_not_be_written_is_one_error(small):
    shutil.rmtree(small.root / ".pipeline")
    (small.root / ".pipeline").write_text("")
    said = small.run("python -m duo first", check=False)
    (line,) = said.stderr.splitlines()
    assert said.returncode == 1 and ".pipeline/first" in line and "could not be written" in line


@pytest.mark.parametrize("experiment", [None, "smoke"])
def test_every_stage_comes_behind_what_it_reads(tmp_path, monkeypatch, experiment):
    monkeypatch.chdir(tmp_path)
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copy(REPOSITORY / name, tmp_path)
    if experiment:
        change(Path("params.yaml"), REPOSITORY / f"params/{experiment}.yaml")
    change(Path("params.yaml"), REPOSITORY / "params/first.yaml")
    known = dag.Dag()
    stages = first.in_order(known, first.TARGET)
    made = set()
    for stage in stages:
        assert made.issuperset(known.upstream(stage))
        made |= set(stage.outs)
    assert str(first.PICTURE) in made
    assert {stage.address for stage in stages if stage.group == "pretrain"} == {"pretrain@duo"}


@pytest.mark.slow  # it brings wheels
def test_the_picture_is_there(fresh_smoke, tmp_path):
    project = fresh_smoke.copy(tmp_path / "first")
    shutil.copy(REPOSITORY / "params.yaml", project.root)
    project.replace("params/first.yaml", "tokens: 400_000", "tokens: 4_000")
    project.run("python -m duo first")
    picture = project.root / first.FOLDER / first.PICTURE
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert load_params(picture.parents[2] / "params.yaml").pretrain.tokens == 4_000
    assert not list((project.root / "artifacts").glob("[!c]*"))  # but the cache of downloads
