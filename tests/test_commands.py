"""How commands end: their exit status, and the one line that says why."""

import errno
import os
import shlex
import signal
import subprocess
import sys

import pytest
from project import REPOSITORY

from duo import commands
from duo.errors import InputError


def raising(error: BaseException):
    def work():
        raise error

    return work


@pytest.mark.parametrize(
    ("work", "status", "said"),
    [
        (lambda: None, 0, ""),
        (raising(InputError("params.yaml: seed: is missing")), 1, "error: params.yaml: seed: is missing\n"),
        (
            raising(PermissionError(errno.EACCES, "Permission denied", ".pipeline")),
            1,
            "error: .pipeline: Permission de",
        ),
        (raising(OSError(errno.EROFS, "Read-only file system", "a")), 1, "error: a: Read-only file system\n"),
        (raising(OSError(errno.ENOSPC, "No space left on device")), 1, "error: a file: No space left on device\n"),
        (raising(KeyboardInterrupt()), 130, "interrupted\n"),
        (lambda: os.kill(os.getpid(), signal.SIGINT), 130, "interrupted\n"),
        (lambda: os.kill(os.getpid(), signal.SIGTERM), 143, "interrupted\n"),
    ],
)
def test_status_and_what_is_said(work, status, said, capsys):
    before = signal.getsignal(signal.SIGTERM)
    assert commands.exit_status(work) == status
    told = capsys.readouterr().err
    assert told.startswith(said) and len(told.splitlines()) == bool(said)
    assert signal.getsignal(signal.SIGTERM) == before


@pytest.mark.parametrize("error", [ValueError("a mistake of ours"), FileNotFoundError(errno.ENOENT, "No such file")])
def test_what_its_user_can_do_nothing_about_keeps_its_traceback(error):
    with pytest.raises(type(error)):
        commands.exit_status(raising(error))


@pytest.mark.parametrize("lines", [1, 100_000])
def test_whoever_reads_no_further_sees_no_error(lines):
    script = f"from duo import commands; import sys; sys.exit(commands.exit_status(lambda: print('x\\n' * {lines})))"
    pipe = f"{{ sleep 0.2; {sys.executable} -c {shlex.quote(script)}; echo status $? >&2; }} | true"
    ran = subprocess.run(["bash", "-c", pipe], capture_output=True, text=True, cwd=REPOSITORY)
    assert ran.stderr == "status 141\n"


def test_what_is_ignored_stays_ignored():
    """A shell has what it runs in the background ignore Ctrl-C."""
    script = "import os, signal; from duo import commands; signal.signal(signal.SIGINT, signal.SIG_IGN); "
    script += "print(commands.exit_status(lambda: os.kill(os.getpid(), signal.SIGINT)))"
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=REPOSITORY)
    assert (ran.stdout, ran.stderr) == ("0\n", "")
