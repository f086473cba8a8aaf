"""The fingerprint that keys a checkpoint: the same as long as nothing that the instance depends on changes."""

import shutil
from pathlib import Path

import pytest
from project import REPOSITORY

from workflow import stage

DVC_YAML = """
stages:
  pretrain:
    foreach: ${models}
    do:
      cmd: python -m pretrain ${key}
      deps: [data.txt]
      params: [pretrain.tokens, "models.${key}"]
      outs: ["artifacts/${key}"]
  synthetic_model:
    cmd: python -m synthetic_model
    deps: [data.txt]
    params: [synthetic.tokens]
    outs: [artifacts/synthetic_model]
"""
CHANGES = {
    "the data": ("data.txt", "tokens", "other tokens"),
    "a param": ("params.yaml", "tokens: 4_200_000", "tokens: 4_200_001"),
    "its model": ("params.yaml", "skip: {seed: 1,", "skip: {seed: 2,"),
    "the command": ("dvc.yaml", "python -m pretrain", "python -m  pretrain"),
    "another model": ("params.yaml", "frozen: {seed: 1,", "frozen: {seed: 2,"),
    "another param": ("params.yaml", "batch: 32", "batch: 16"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_fingerprint_changes_with_what_the_instance_depends_on_alone(tmp_path, monkeypatch, change):
    monkeypatch.chdir(tmp_path)
    shutil.copy(REPOSITORY / "params.yaml", "params.yaml")
    Path("dvc.yaml").write_text(DVC_YAML)
    Path("data.txt").write_text("tokens")
    before = stage.fingerprint("pretrain", "skip")
    assert before == stage.fingerprint("pretrain", "skip") != stage.fingerprint("pretrain", "duo")
    file, old, new = CHANGES[change]
    assert old in Path(file).read_text()
    Path(file).write_text(Path(file).read_text().replace(old, new))
    assert (stage.fingerprint("pretrain", "skip") == before) == change.startswith("another")


def test_a_stage_without_instances_has_a_fingerprint_too(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copy(REPOSITORY / "params.yaml", "params.yaml")
    Path("dvc.yaml").write_text(DVC_YAML)
    Path("data.txt").write_text("tokens")
    before = stage.fingerprint("synthetic_model")
    Path("dvc.yaml").write_text(DVC_YAML.replace("synthetic.tokens", "synthetic.documents"))
    assert stage.fingerprint("synthetic_model") != before
