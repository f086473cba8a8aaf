"""Digests of the code that every other stage depends on; workflow/code.py says of what."""

from pathlib import Path

from duo.tables import files
from workflow import code, stage
from workflow.params import read_yaml


def main() -> None:
    definitions, values = read_yaml(Path("dvc.yaml"))["stages"], read_yaml(Path("params.yaml"))
    for name, digest in code.digests(definitions, values).items():
        with files.atomic(Path(code.path(name))) as temporary:
            temporary.write_text(code.written(digest), encoding="utf-8")


if __name__ == "__main__":
    stage.run(main)
