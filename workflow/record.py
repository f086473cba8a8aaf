"""Stage instances as dvc.lock records them, or will once they have run."""

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from workflow import hashes, instance
from workflow.params import read_yaml

LOCK = Path("dvc.lock")


@dataclass(frozen=True)
class Stage:
    """A stage instance: `params` by dotted key as dvc.yaml declares them, `deps` and `outs` as MD5 by path."""

    address: str
    cmd: str
    params: dict[str, Any]
    deps: dict[str, str]
    outs: dict[str, str] = field(default_factory=dict)

    @property
    def fingerprint(self) -> str:
        """Of all that decides its result, as 32 hexadecimal digits."""
        return digest([self.address, self.params, self.deps, self.cmd])

    @property
    def label(self) -> str:
        """The address in MLflow's alphabet, which has no @."""
        return self.address.replace("@", "/")

    def finished(self) -> bool:
        """Whether all its outs are there, with the recorded content; of a directory, whether it is there."""
        return all(
            Path(path).is_dir() if known.endswith(".dir") else Path(path).is_file() and hashes.md5(path) == known
            for path, known in self.outs.items()
        )


def recorded() -> list[Stage]:
    """The stage instances in dvc.lock; none where nothing has run yet."""
    if not LOCK.exists():
        return []
    stages = read_yaml(LOCK).get("stages") or {}
    return [
        Stage(
            address,
            entry["cmd"],
            {key: value for file in entry.get("params", {}).values() for key, value in file.items()},
            {dep["path"]: dep["md5"] for dep in entry.get("deps", [])},
            {out["path"]: out["md5"] for out in entry.get("outs", [])},
        )
        for address, entry in stages.items()
    ]


def upcoming(address: str) -> Stage:
    """The stage instance as dvc.lock will record it once it has run, from dvc.yaml, params.yaml and the files it
    reads now. OSError where one is missing.
    """
    name, *key = address.split("@", 1)
    declared = instance.find(name, *key)
    return Stage(address, declared.cmd, declared.params, {path: hashes.of(path) for path in declared.deps})


def digest(value: Any) -> str:
    """Of a value that JSON can hold, as 32 hexadecimal digits."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:32]
