"""A project in a directory of its own, that commands run in."""

import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from functools import cache
from pathlib import Path

from workflow.params import Params, load_params

REPOSITORY = Path(__file__).parents[1]


@cache
def default_params() -> Params:
    """The default experiment: settings for tests, which change in a copy what matters to them and name no other key."""
    return load_params(REPOSITORY / "params.yaml")


class Project:
    """A project in a directory of its own;

    `run` gives a finished command, `ran` the outs that stages made since last asked.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        binaries = Path(sys.executable).parent
        self.environment = os.environ | {
            "PATH": f"{binaries}{os.pathsep}{os.environ['PATH']}",
            "DVC_NO_ANALYTICS": "1",
            "OMP_NUM_THREADS": "1",
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "DUO_LIVE": "0",
        }

    def run(self, command: str, check: bool = True, **environment: str) -> subprocess.CompletedProcess:
        done = subprocess.run(
            shlex.split(command), cwd=self.root, env=self.environment | environment, capture_output=True, text=True
        )
        assert not check or done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        return done

    def start(self, command: str, **environment: str) -> subprocess.Popen:
        """The command at work, in a process group of its own, its output in output.log."""
        with open(self.root / "output.log", "ab") as log:
            streams = {"stdout": log, "stderr": subprocess.STDOUT}
            words = shlex.split(command)
            return subprocess.Popen(
                words, cwd=self.root, env=self.environment | environment, start_new_session=True, **streams
            )

    def output(self) -> str:
        """What commands that were started have said."""
        return (self.root / "output.log").read_text()

    def ran(self) -> list[str]:
        log = self.root / "ran.log"
        lines = log.read_text().splitlines() if log.exists() else []
        log.unlink(missing_ok=True)
        return sorted(lines)

    def replace(self, file: str, old: str, new: str) -> None:
        text = (self.root / file).read_text()
        assert old in text
        (self.root / file).write_text(text.replace(old, new))

    def copy(self, root: Path) -> "Project":
        shutil.copytree(self.root, root)
        return Project(root)

    def files(self) -> dict[str, bytes]:
        """Every artifact's bytes, and dvc.lock's, by path."""
        paths = [path for path in sorted((self.root / "artifacts").rglob("*")) if path.is_file()]
        paths = [path for path in paths if not path.is_relative_to(self.root / "artifacts/cache")]
        return {str(path.relative_to(self.root)): path.read_bytes() for path in [*paths, self.root / "dvc.lock"]}


def kill(running: subprocess.Popen) -> None:
    """Kill -9 the process with all its group.

    Waits until they are gone: DVC honours the lock of one that still shows in the process table.
    """
    with suppress(ProcessLookupError):  # it may have ended
        os.killpg(running.pid, signal.SIGKILL)
    running.wait()
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            os.killpg(running.pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)
