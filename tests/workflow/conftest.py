"""A toy experiment with the real Snakefile, profiles and duo/: stages that take no time and log that they ran."""

import shutil
from pathlib import Path

import pytest
from project import REPOSITORY, Project

from workflow.__main__ import use

DVC_YAML = """
stages:
  corpus:
    foreach: ${corpus}
    do:
      cmd: python toy.py artifacts/corpus/${key}.txt ${seed}
      deps: [toy.py]
      params: [seed, "corpus.${key}"]
      outs: ["artifacts/corpus/${key}.txt"]
  oracle:
    foreach: ${oracle.budgets}
    do:
      cmd: python toy.py artifacts/oracle/${item}/tokens.txt ${item} artifacts/corpus
      deps: [artifacts/corpus, toy.py]
      params: [seed, model]
      outs: ["artifacts/oracle/${item}/tokens.txt"]
      meta: {threads: 1, gpu: 1}
  headline:
    cmd: python toy.py artifacts/headline.txt 0 artifacts/oracle
    deps: [artifacts/oracle, toy.py]
    params: [oracle.budgets]
    outs: [artifacts/headline.txt]
  report:
    cmd: python toy.py artifacts/report.html 0 artifacts/headline.txt
    deps: [artifacts/headline.txt, toy.py]
    metrics: [artifacts/report.html: {cache: true}]
"""

PATCH = """
oracle: {budgets: [0, 1, 2, 4]}
figures: {heat_maps: [2]}
schedules: [2, 0]
"""

TOY = """
import hashlib, os, sys, time
from pathlib import Path
from duo.tables.files import atomic

out, salt, *inputs = sys.argv[1:]
with open("ran.log", "a") as log:
    log.write(out + "\\n")
if os.environ.get("TOY_FAILS") == out:
    sys.exit("error: a made-up reason")
digest = hashlib.md5(salt.encode())
for root in map(Path, inputs):
    for path in sorted(root.rglob("*.txt")) if root.is_dir() else [root]:
        digest.update(path.read_bytes())
with atomic(Path(out)) as temporary:
    temporary.write_text(digest.hexdigest())
    if os.environ.get("TOY_HANGS") == out:
        time.sleep(60)
"""


@pytest.fixture(scope="session")
def fresh_toy(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The toy before its first run: two domains, budgets 0, 1, 2 and 4. Copy it, don't run it."""
    root = tmp_path_factory.mktemp("toy") / "fresh"
    shutil.copytree(REPOSITORY / "duo", root / "duo", ignore=shutil.ignore_patterns("__pycache__"))
    for name in (
        ".gitignore",
        ".dvcignore",
        ".dvc/config",
        ".dvc/.gitignore",
        "params.yaml",
        "workflow/Snakefile",
        "workflow/profiles",
    ):
        (root / name).parent.mkdir(exist_ok=True)
        source = REPOSITORY / name
        shutil.copytree(source, root / name) if source.is_dir() else shutil.copy(source, root / name)
    (root / "workflow/track.py").write_text("def sync() -> None:\n    pass\n")
    (root / "dvc.yaml").write_text(DVC_YAML)
    (root / "toy.py").write_text(TOY)
    (root / "patch.yaml").write_text(PATCH)
    use(str(REPOSITORY / "params/smoke.yaml"), root / "params.yaml")
    use(str(root / "patch.yaml"), root / "params.yaml")
    project = Project(root)
    project.run("git init -q .")
    return project


@pytest.fixture(scope="session")
def finished_toy(fresh_toy: Project) -> Project:
    """The toy after `dvc repro`. Copy it, don't run it."""
    project = fresh_toy.copy(fresh_toy.root.parent / "finished")
    project.run("dvc repro -q")
    return project


@pytest.fixture
def toy(finished_toy: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A finished toy of one's own, as the working directory."""
    project = finished_toy.copy(tmp_path / "toy")
    project.ran()
    monkeypatch.chdir(project.root)
    return project
