"""Digests of the code that every other stage depends on; workflow/code.py says of what.

It runs before all others, so it also tries the classes of the user's own that params name: what is wrong with one is
better said now than after hours of training.
"""

import sys
from pathlib import Path

from duo import plugins
from duo.errors import InputError
from duo.tables import files
from workflow import code, stage
from workflow.params import load_params, read_yaml


def main() -> None:
    params = load_params()
    named = {
        "oracle.strategies": (params.oracle.strategies, plugins.STRATEGY),
        "policies.routers": (params.policies.routers, plugins.POLICY),
        "policies.baselines": (params.policies.baselines, plugins.POLICY),
    }
    for group, (entries, methods) in named.items():
        for name, kind in entries.items():
            if ":" in kind:
                with stage.advice(f"{group}.{name} in params.yaml names it"):
                    check_tracked(kind, plugins.load(kind, methods))
    definitions, values = read_yaml(Path("dvc.yaml"))["stages"], read_yaml(Path("params.yaml"))
    for name, digest in code.digests(definitions, values).items():
        with files.atomic(Path(code.path(name))) as temporary:
            temporary.write_text(code.written(digest), encoding="utf-8")


def check_tracked(kind: str, made: object) -> None:
    """InputError where the class lies in this project, but where no digest would tell of its changes."""
    file = Path(sys.modules[type(made).__module__].__file__).resolve()
    if file.is_relative_to(Path.cwd()) and "site-packages" not in file.parts:
        where = file.relative_to(Path.cwd())
        if where.parts[0] not in code.FOLDERS:
            raise InputError(f"{kind!r}: {where} should lie in {code.USERS}/, or no stage would notice its changes")


if __name__ == "__main__":
    stage.run(main)
