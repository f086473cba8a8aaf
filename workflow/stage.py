"""What every stage script shares: its log, its lock, the one-line error with which it ends on bad input, its
fingerprint.
"""

import functools
import hashlib
import json
import logging
import operator
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock

from duo.errors import InputError
from workflow.params import load_params, read_yaml


def run(main: Callable[..., None]) -> None:
    """Call main with the command line's words; an InputError becomes one message and exit status 1.

    One process a stage instance at a time: a driver that is killed leaves its stage running, which the next run awaits.
    """
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    lock = Path(".pipeline", "-".join([Path(sys.argv[0]).stem, *sys.argv[1:]]) + ".lock")
    lock.parent.mkdir(exist_ok=True)
    status = 0
    try:
        with FileLock(lock):
            main(*sys.argv[1:])
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        status = 1
    # All is on disk. The interpreter's own way out would abort where the thread of the live curves is still inside a
    # library.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def fingerprint(name: str, key: str | None = None) -> str:
    """Hash of all that decides what the stage `name` makes, or its instance `key`: command, params, dependencies."""
    params = load_params().model_dump()
    spec = read_yaml(Path("dvc.yaml"))["stages"][name]
    if key is not None:
        entry = functools.reduce(operator.getitem, spec["foreach"].strip("${}").split("."), params)[key]
        text = json.dumps(spec["do"]).replace("${key}", key)
        spec = json.loads(re.sub(r"\$\{item\.(\w+)\}", lambda found: str(entry[found[1]]), text))
    state = {
        "cmd": spec["cmd"],
        "params": {path: functools.reduce(operator.getitem, path.split("."), params) for path in spec["params"]},
        "deps": {path: hashlib.md5(Path(path).read_bytes()).hexdigest() for path in spec["deps"]},
    }
    return hashlib.sha256(json.dumps(state, sort_keys=True).encode()).hexdigest()[:16]
