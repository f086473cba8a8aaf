"""The DAG of dvc.yaml as Python objects: what Snakemake's rules, `why` and `prune` are made from.

DVC judges what is out of date by hashes. `Dag.changes` gives the same judgement from dvc.lock, params.yaml and the
source files alone, without reading an artifact, so that Snakemake plans exactly the stages that DVC would run: also
where the stage `code` is due, whose digests it computes itself (workflow/code.py). The parser of dvc.yaml is DVC's own,
`dvc.parsing.DataResolver`; it is no public interface, hence used here alone and held to what is expected of it by
tests/workflow/test_dag.py.
"""

import copy
import difflib
import hashlib
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from dvc.exceptions import DvcException
from dvc.fs import LocalFileSystem
from dvc.parsing import DataResolver
from dvc.utils.serialize import dumps_yaml, parse_yaml_for_update

from duo.errors import InputError
from workflow import code, hashes
from workflow.hashes import md5
from workflow.instance import ABSENT, Instance, iterable, outs
from workflow.params import load_params, read_yaml
from workflow.record import LOCK

ARTIFACTS, STATES = Path("artifacts"), Path(".pipeline")
CACHE = Path(".dvc/cache/files/md5")
KEY = "{key}"


@dataclass(frozen=True)
class StageGroup:
    """Stage instances that differ by one key; in `outs` the key is written {key}, as Snakemake's wildcards are."""

    name: str
    keys: tuple[str, ...]  # none where the stage has a single instance
    outs: tuple[str, ...]
    meta: dict[str, Any]  # threads, mem_mb, gpu

    def address(self, key: str | None = None) -> str:
        return self.name if key is None else f"{self.name}@{key}"


class Dag:
    """dvc.yaml resolved with params.yaml, beside what dvc.lock says was run.

    Paths are relative to the working directory.
    """

    def __init__(self) -> None:
        self.values = read_yaml(Path("params.yaml"))
        self._definitions = read_yaml(Path("dvc.yaml"))["stages"]
        self._locked = (read_yaml(LOCK).get("stages") or {}) if LOCK.exists() else {}
        self._changes: dict[str, tuple[str, ...]] = {}
        self._directories: dict[str, str] = {}  # their hashes

    @cached_property
    def stages(self) -> dict[str, Instance]:
        """Every stage instance by its address, in dvc.yaml's order."""
        resolved = _resolve(self._definitions)
        return {address: Instance.resolved(address, declared, self.values) for address, declared in resolved.items()}

    @cached_property
    def groups(self) -> list[StageGroup]:
        """Every stage group that has an instance, in dvc.yaml's order."""
        there = {stage.group for stage in self.stages.values()}
        keyed = {name: _keyed(each, self.values) for name, each in self._definitions.items() if name in there}
        resolved = {address.split("@")[0]: stage for address, stage in _resolve(keyed).items()}
        return [self._group(name, stage) for name, stage in resolved.items()]

    @cached_property
    def makers(self) -> dict[str, str]:
        """Address of the stage that makes each out."""
        return {out: stage.address for stage in self.stages.values() for out in stage.outs}

    def named(self, name: str) -> list[Instance]:
        """The stage at this address, or all of a group. InputError, with the nearest name, where there is none."""
        found = [stage for stage in self.stages.values() if name in (stage.address, stage.group)]
        if not found:
            known = list(dict.fromkeys([group.name for group in self.groups] + list(self.stages)))
            near = difflib.get_close_matches(name, known, n=1)
            raise InputError(
                f"dvc.yaml: no stage {name!r}; "
                + (f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known)}")
            )
        return found

    def inside(self, path: str) -> list[str]:
        """The outs that a dependency stands for: itself, or all that lie in it where it is a directory."""
        return [out for out in self.makers if out == path or out.startswith(path + "/")]

    def upstream(self, stage: Instance) -> list[str]:
        """The outs of other stages that this one reads."""
        return [out for path in stage.deps for out in self.inside(path)]

    def behind(self, names: Iterable[str]) -> list[str]:
        """Addresses of these stages, or groups, and of all that they rest on, each once."""
        found: dict[str, None] = {}
        waiting = [stage for name in names for stage in self.named(name)]
        while waiting:
            stage = waiting.pop()
            if stage.address not in found:
                found[stage.address] = None
                waiting += [self.stages[self.makers[out]] for out in self.upstream(stage)]
        return list(found)

    def changes(self, address: str) -> tuple[str, ...]:
        """What changed since the run that dvc.lock records, a line each; empty where the stage need not run."""
        if address not in self._changes:
            stage, locked = self.stages[address], self._locked.get(address)
            self._changes[address] = tuple(self._compare(stage, locked)) if locked else ("never ran",)
        return self._changes[address]

    def why(self, name: str) -> dict[str, list[str]]:
        """For each stage instance of that name: what changed, its outs on disk included."""
        return {stage.address: [*self.changes(stage.address), *self._damage(stage)] for stage in self.named(name)}

    def write_state(self, stage: Instance) -> str:
        """Path of the stage's state file: what it would run. Its time is now where that differs from dvc.lock, else
        long ago.

        This file alone tells Snakemake whether to call DVC; the times of sources and artifacts, which git and the cache
        move about, do not.
        """
        path = STATES / f"{stage.address}.json"
        text = json.dumps({"cmd": stage.cmd, "params": stage.params}, indent=1) + "\n"
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
        os.utime(path, None if self.changes(stage.address) else (0, 0))
        return str(path)

    def strays(self) -> list[Path]:
        """Files that belong to no stage of the DAG: under artifacts/ (the cache of downloads apart) and state files."""
        digests = {Path(digest) for digest in self._digests}
        # Of an out that is a directory all is kept, but for old digests.
        outs = {Path(out) for out in self.makers} - {digest.parent for digest in digests}
        kept = outs | digests | {STATES / f"{address}.json" for address in self.stages} | {ARTIFACTS / "cache"}
        files = [path for path in (*sorted(ARTIFACTS.rglob("*")), *sorted(STATES.glob("*.json"))) if not path.is_dir()]
        return [path for path in files if kept.isdisjoint((path, *path.parents))]

    def stray_entries(self) -> list[str]:
        """Stages that dvc.lock knows and dvc.yaml doesn't."""
        return [address for address in self._locked if address not in self.stages]

    def _group(self, name: str, resolved: dict) -> StageGroup:
        keys = tuple(address.split("@", 1)[1] for address in self.stages if address.startswith(name + "@"))
        axes = len(self._definitions[name].get("matrix", "a"))
        with_key = tuple(out.replace("-".join([KEY] * axes), KEY) for out in outs(resolved))
        return StageGroup(name, keys, with_key, resolved.get("meta", {}))

    def _compare(self, stage: Instance, locked: dict) -> Iterable[str]:
        if stage.cmd != locked["cmd"]:
            yield f"command: {locked['cmd']} -> {stage.cmd}"
        yield from _differences("", locked.get("params", {}).get("params.yaml", {}), stage.params)
        before = {entry["path"]: entry.get("md5") for entry in locked.get("deps", [])}
        for path in stage.deps:
            if path in self._digests:
                yield from self._compare_code(path, before.get(path))
            elif self.inside(path):
                yield from self._compare_artifact(path, before.get(path))
            elif not Path(path).exists():
                yield f"{path}: is missing"
            elif hashes.of(path) != before.get(path):
                yield f"{path}: {'changed' if path in before else 'is a new dependency'}"
        yield from (f"{path}: is no dependency any more" for path in before if path not in stage.deps)
        outs = {entry["path"] for entry in locked.get("outs", [])}
        yield from (f"{path}: is a new out" for path in stage.outs if path not in outs)
        yield from (f"{path}: is no out any more" for path in sorted(outs.difference(stage.outs)))

    @cached_property
    def _digests(self) -> dict[str, code.Digest]:
        """By path, what the stage `code` makes of the sources as they are now."""
        if "code" not in self._definitions:
            return {}
        return {code.path(name): digest for name, digest in code.digests(self._definitions, self.values).items()}

    def _compare_code(self, path: str, before: str | None) -> Iterable[str]:
        """What the digest at this path says of changes, whether or not `code` has run since."""
        now = self._digests[path]
        if before is None:
            yield f"{path}: is a new dependency"
        elif hashlib.md5(code.written(now).encode()).hexdigest() != before:
            then = _content(path, before)
            yield from code.differences(json.loads(then), now) if then else [f"{path}: changed"]

    def _compare_artifact(self, path: str, before: str | None) -> Iterable[str]:
        pending = [
            maker for maker in dict.fromkeys(self.makers[out] for out in self.inside(path)) if self.changes(maker)
        ]
        if pending:
            yield f"{path}: {', '.join(pending)} will run"
        elif self._locked_hash(path) != before:
            yield f"{path}: {'changed' if before else 'is a new dependency'}"

    def _locked_hash(self, path: str) -> str | None:
        """The hash that DVC gives this file or directory of artifacts, from the hashes in dvc.lock."""
        if path in self.makers:
            return self._locked_outs.get(path)
        if path not in self._directories:
            leftover = {file for file in hashes.sources(path) if file not in self.makers}
            known = {file: self._locked_outs.get(file) or md5(file) for file in {*self.inside(path), *leftover}}
            self._directories[path] = hashes.of_files(path, known)
        return self._directories[path]

    @cached_property
    def _locked_outs(self) -> dict[str, str]:
        entries = [self._locked[address] for address in self.stages if address in self._locked]
        return {out["path"]: out.get("md5") for entry in entries for out in entry.get("outs", [])}

    def _damage(self, stage: Instance) -> list[str]:
        lines = [f"{out}: is missing" for out in stage.outs if not Path(out).exists()]
        known = [out for out in stage.outs if Path(out).exists() and out in self._locked_outs]
        return lines + [
            f"{out}: is not what the stage wrote" for out in known if hashes.of(out) != self._locked_outs[out]
        ]


def sort_lock() -> None:
    """Put dvc.lock, which parallel runs write as they finish, in dvc.yaml's order; nothing else in it changes."""
    if LOCK.exists():
        order = list(Dag().stages)
        _rewrite_lock(lambda names: sorted(names, key=lambda name: order.index(name) if name in order else len(order)))


def prune(dry_run: bool = False) -> list[str]:
    """Remove what no longer belongs to the DAG, checkpoints too; a line for each thing removed, or that would be."""
    dag = Dag()
    strays, entries = dag.strays(), dag.stray_entries()
    if not dry_run:
        for path in strays:
            path.unlink()
        _remove_empty(ARTIFACTS)
        if entries:
            _rewrite_lock(lambda names: [name for name in names if name not in entries])
    return [*map(str, strays), *(f"{LOCK}: {entry}" for entry in entries)]


def _resolve(definitions: dict) -> dict[str, dict]:
    """Stages by address with every ${...} replaced, as DVC does it."""
    repo = SimpleNamespace(fs=LocalFileSystem(), config={})
    try:
        return DataResolver(repo, "", {"stages": copy.deepcopy(definitions)}).resolve()["stages"]
    except DvcException as error:
        load_params()  # an old name, say, is told best there
        raise InputError(f"dvc.yaml: {error}") from None


def _keyed(definition: dict, values: dict) -> dict:
    """A stage group's definition with a single instance, whose key is KEY."""
    if "foreach" in definition:
        entries = iterable(definition["foreach"], values)
        return definition | {"foreach": {KEY: next(iter(entries.values()))} if isinstance(entries, dict) else [KEY]}
    if "matrix" in definition:  # its outs name an instance as DVC does: one value of each axis, joined
        return definition | {"matrix": {axis: [KEY] for axis in definition["matrix"]}}
    return definition


def _differences(name: str, before: Any, now: Any) -> Iterable[str]:
    """Lines "name: old -> new" for the innermost values that differ."""
    if isinstance(before, dict) and isinstance(now, dict):
        for key in dict.fromkeys([*before, *now]):
            yield from _differences(f"{name}.{key}" if name else key, before.get(key, ABSENT), now.get(key, ABSENT))
    elif before != now:
        yield f"{name}: {_short(before)} -> {_short(now)}"


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 80 else text[:77] + "..."


def _content(path: str, known: str) -> str | None:
    """The text with this hash that is or was at `path`; None where it has left DVC's cache too."""
    for file in (Path(path), CACHE / known[:2] / known[2:]):
        if file.is_file() and md5(file) == known:
            return file.read_text(encoding="utf-8")
    return None


def _rewrite_lock(choose: Any) -> None:
    """Replace dvc.lock by one with the stages that `choose` makes of their names, in the order it gives them."""
    from duo.tables.files import atomic

    text = LOCK.read_text(encoding="utf-8")
    lock = parse_yaml_for_update(text, str(LOCK))
    stages = lock["stages"]
    lock["stages"] = {name: stages[name] for name in choose(list(stages))}
    chosen = dumps_yaml(lock)
    if chosen != text:
        with atomic(LOCK) as temporary:
            temporary.write_text(chosen, encoding="utf-8")


def _remove_empty(root: Path) -> None:
    for path in sorted(root.rglob("*"), reverse=True):
        if path.is_dir() and not any(path.iterdir()):
            path.rmdir()
