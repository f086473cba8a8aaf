"""A toy experiment with the real Snakefile, profiles, duo/ and workflow/, and stages of its own, which take no time and
log that they ran; and the real DAG, as if it had run."""

import shutil
from pathlib import Path

import pytest
from project import REPOSITORY, Project

from workflow.__main__ import use

DVC_YAML = """
stages:
  code:
    cmd: python -m workflow.stages.code
    deps: [duo, workflow, examples]
    outs:
      - artifacts/code/corpus.json
      - artifacts/code/oracle.json
      - artifacts/code/headline.json
      - artifacts/code/report.json
  corpus:
    foreach: ${corpus}
    do:
      cmd: python -m workflow.stages.corpus ${key}
      deps: [artifacts/code/corpus.json]
      params: [seed, "corpus.${key}"]
      outs: ["artifacts/corpus/${key}.txt"]
  oracle:
    foreach: ${oracle.budgets}
    do:
      cmd: python -m workflow.stages.oracle ${item}
      deps: [artifacts/code/oracle.json, artifacts/corpus]
      params: [seed, model]
      outs: ["artifacts/oracle/${item}/tokens.txt"]
      meta: {threads: 1, gpu: 1}
  headline:
    cmd: python -m workflow.stages.headline
    deps: [artifacts/code/headline.json, artifacts/oracle]
    params: [oracle.budgets]
    outs: [artifacts/headline.txt]
  report:
    cmd: python -m workflow.stages.report
    deps: [artifacts/code/report.json, artifacts/headline.txt]
    metrics: [artifacts/report.html: {cache: true}]
"""

PATCH = """
oracle: {budgets: [0, 1, 2, 4]}
figures: {heat_maps: [2]}
schedules: [2, 0]
"""

TOY = '''
"""What all stages of the toy do: write the hash of what they read."""

import hashlib, os, sys, time
from duo.tables import files
from duo.tables.files import File

def make(out, salt, inputs=()):
    with open("ran.log", "a") as log:
        log.write(str(File(out).path()) + "\\n")
    if os.environ.get("TOY_FAILS") == str(File(out).path()):
        sys.exit("error: a made-up reason")
    digest = hashlib.md5(str(salt).encode())
    for file in inputs:
        digest.update(File(file).path().read_bytes())
    with files.atomic(File(out).path()) as temporary:
        temporary.write_text(digest.hexdigest())
        if os.environ.get("TOY_HANGS") == str(File(out).path()):
            time.sleep(60)
'''

STAGE = '''
"""A stage of the toy."""

from duo.toy import make
from workflow import stage
from workflow.params import load_params

def main({word}):
    params = load_params()
    {body}

if __name__ == "__main__":
    stage.run(main)
'''
STAGES = {
    "corpus": ("key", 'make(f"corpus/{key}.txt", params.seed)'),
    "oracle": ("budget", 'make(f"oracle/{budget}/tokens.txt", budget, [f"corpus/{key}.txt" for key in params.corpus])'),
    "headline": ("", 'make("headline.txt", 0, [f"oracle/{budget}/tokens.txt" for budget in params.oracle.budgets])'),
    "report": ("", 'make("report.html", 0, ["headline.txt"])'),
}


def copied(root: Path, *names: str) -> None:
    """Put files and folders of the repository into another one."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        source = REPOSITORY / name
        if source.is_dir():
            shutil.copytree(source, root / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, root / name)


@pytest.fixture(scope="session")
def fresh_toy(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The toy before its first run: two domains, budgets 0, 1, 2 and 4. Copy it, don't run it."""
    root = tmp_path_factory.mktemp("toy") / "fresh"
    copied(
        root, ".gitignore", ".dvcignore", ".dvc/config", ".dvc/.gitignore", "params.yaml", "duo", "workflow", "examples"
    )
    for script in (root / "workflow/stages").glob("[a-z]*.py"):
        if script.name != "code.py":
            script.unlink()
    for name, (word, body) in STAGES.items():
        (root / f"workflow/stages/{name}.py").write_text(STAGE.format(word=word, body=body))
    (root / "workflow/track.py").write_text("def sync() -> None:\n    pass\n")
    (root / "dvc.yaml").write_text(DVC_YAML)
    (root / "duo/toy.py").write_text(TOY)
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


# Any out that is not there gets a content of its own, and DVC takes it all for what the stages made.
COMMIT = """
from pathlib import Path
from workflow.instance import all_instances

for stage in all_instances().values():
    for out in map(Path, stage.outs):
        if not out.exists():
            out.parent.mkdir(parents=True, exist_ok=True)
            out.write_text(str(out))
"""


@pytest.fixture(scope="session")
def committed(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The real DAG as if it had run, with true digests of the code and made-up other outs. Copy it, don't change it."""
    root = tmp_path_factory.mktemp("committed") / "fresh"
    copied(root, ".gitignore", ".dvcignore", ".dvc/config", ".dvc/.gitignore", "params.yaml", "params", "dvc.yaml")
    copied(root, "duo", "workflow", "examples", "own-text")
    project = Project(root)
    project.run("git init -q .")
    project.run("python -m duo use params/smoke.yaml")
    project.run("python -m workflow.stages.code")
    (root / "commit.py").write_text(COMMIT)
    project.run("python commit.py")
    project.run("dvc commit -q --force")
    return project


@pytest.fixture
def real(committed: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A `committed` of one's own, as the working directory."""
    project = committed.copy(tmp_path / "real")
    monkeypatch.chdir(project.root)
    return project
