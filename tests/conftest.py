"""The smoke experiment by both drivers, at work beside the other tests; and one thread for each process of tests."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest
from project import REPOSITORY, Project, kill

if "PYTEST_XDIST_WORKER" in os.environ:  # before torch is imported: two processes of two threads on two cores are slow
    os.environ.setdefault("OMP_NUM_THREADS", "1")

SORT = "python -c 'from workflow import dag; dag.sort_lock()'"
# What else runs goes first. A stage of the smoke experiment takes one core.
DRIVERS = {"dvc": f'nice sh -c "dvc repro -q && {SORT}"', "snakemake": "nice snakemake --cores 2"}


# The examples' classes take part in it.
OWN = """
oracle: {strategies: {greedy: "examples.own_strategy:GreedyLayers"}}
policies:
  routers: {entropy: "examples.own_router:EntropyRouter"}
  baselines: {entropy_exact: "examples.own_router:EntropyRouter"}
"""


class Background:
    """Projects whose drivers run side by side, each in a copy of a project.

    `finished` has a Future of the copy by driver.
    """

    def __init__(self, fresh: Project, drivers: dict[str, str]) -> None:
        self._pool, self._running = ThreadPoolExecutor(len(drivers)), []
        self.finished: dict[str, Future] = {}
        for name, command in drivers.items():
            self.finished[name] = self._pool.submit(self._finish, fresh.copy(fresh.root.parent / name), command)

    def _finish(self, project: Project, command: str) -> Project:
        running = project.start(command)
        self._running.append(running)
        assert running.wait() == 0, f"{command}\n{project.output()}"
        return project

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)
        for running in self._running:
            if running.poll() is None:
                kill(running)


@pytest.fixture(scope="session")
def fresh_smoke(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The repository's files, set to the smoke experiment and the examples' classes, with the wheels of this checkout.

    Copy it, don't run it.
    """
    root = tmp_path_factory.mktemp("smoke") / "fresh"
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
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
    (root / "own.yaml").write_text(OWN)
    project.run("python -m duo use own.yaml")
    return project


@pytest.fixture(scope="session", autouse=True)
def smoke_at_work(request: pytest.FixtureRequest) -> Iterator[Background | None]:
    """Both drivers on the smoke experiment, from the first test on; none where no test of this run asks for them."""
    if not any("finished_smoke" in getattr(item, "fixturenames", ()) for item in request.session.items):
        yield None
        return
    background = Background(request.getfixturevalue("fresh_smoke"), DRIVERS)
    yield background
    background.close()


@pytest.fixture(scope="session")
def finished_smoke(smoke_at_work: Background) -> Project:
    """The smoke experiment after `dvc repro`. Copy it, don't run it."""
    return smoke_at_work.finished["dvc"].result()


@pytest.fixture(scope="session")
def finished_by_snakemake(smoke_at_work: Background) -> Project:
    return smoke_at_work.finished["snakemake"].result()
