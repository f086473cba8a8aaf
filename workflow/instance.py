"""Stage instances as dvc.yaml declares them, without DVC, whose import would cost every stage two seconds.

Of DVC's templates this knows what dvc.yaml uses; tests/workflow/test_instance.py holds it to workflow.dag, which asks
DVC itself.
"""

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from duo.errors import InputError
from workflow.params import read_yaml

ABSENT = "(not set)"


@dataclass(frozen=True)
class Instance:
    """One stage instance. `address` is its name for DVC: the group's name, with @key where the group has instances."""

    address: str
    group: str
    cmd: str
    deps: tuple[str, ...]
    params: dict[str, Any]  # dotted name -> value in params.yaml
    outs: tuple[str, ...]

    @classmethod
    def resolved(cls, address: str, declared: dict, values: dict) -> "Instance":
        """From its entry in dvc.yaml with every ${...} replaced, and what params.yaml holds."""
        params = {name: lookup(values, name) for name in declared.get("params", [])}
        return cls(
            address, address.split("@")[0], declared["cmd"], tuple(declared.get("deps", [])), params, outs(declared)
        )


def all_instances() -> dict[str, Instance]:
    """Every stage instance by its address, of the dvc.yaml and params.yaml of the working directory."""
    values = read_yaml(Path("params.yaml"))
    return {
        address: Instance.resolved(address, declared, values)
        for name, definition in read_yaml(Path("dvc.yaml"))["stages"].items()
        for address, declared in _instances(name, definition, values)
    }


def find(name: str, *words: str) -> Instance:
    """The instance of stage `name` that is run with these words. InputError where there is none."""
    values, definitions = read_yaml(Path("params.yaml")), read_yaml(Path("dvc.yaml"))["stages"]
    known = dict(_instances(name, definitions[name], values)) if name in definitions else {}
    address = f"{name}@{'-'.join(words)}" if words else name
    if address not in known:
        raise InputError(f"dvc.yaml: no stage {address}" + (f"; there are {', '.join(known)}" if known else ""))
    return Instance.resolved(address, known[address], values)


def made(template: str) -> list[dict[str, str]]:
    """The keys of every out of the experiment that a file of duo.tables with this template is, in dvc.yaml's order."""
    pattern = re.sub(r"\\{(\w+)\\}", r"(?P<\1>[^/]+)", re.escape(f"artifacts/{template}"))
    listed = (out for instance in all_instances().values() for out in instance.outs)
    return [match.groupdict() for out in listed if (match := re.fullmatch(pattern, out))]


def domains(template: str) -> list[str]:
    """The domains of which the experiment makes a file with this template each, in the order of params.yaml's corpus.

    For stages that need their names alone, behind others that run again where a domain comes or goes: all of corpus
    would lengthen dvc.lock, which DVC reads and writes for every stage, by hundreds of lines.
    """
    return [keys["domain"] for keys in made(template)]


def lookup(values: Any, name: str) -> Any:
    """The value of a param by its dotted name, with the index of a list's entry as [0]; ABSENT where it isn't set."""
    for part in name.replace("[", ".").replace("]", "").split("."):
        if isinstance(values, list) and part.isdigit() and int(part) < len(values):
            values = values[int(part)]
        else:
            values = values.get(part, ABSENT) if isinstance(values, dict) else ABSENT
    return values


def outs(declared: dict) -> tuple[str, ...]:
    """Paths of outs and metrics, which stand in dvc.yaml as a path or as {path: options}."""
    listed = [out for kind in ("outs", "metrics") for out in declared.get(kind, [])]
    return tuple(out if isinstance(out, str) else next(iter(out)) for out in listed)


def iterable(entries: Any, values: dict) -> Any:
    """What foreach or an axis of a matrix runs over: written out, or the name of a param in ${}."""
    listed = lookup(values, entries.strip("${} ")) if isinstance(entries, str) else entries
    if not isinstance(listed, list | dict):
        raise InputError(f"params.yaml: {entries.strip('${} ')}: is missing, or neither a list nor a mapping")
    return listed


def _instances(name: str, definition: dict, values: dict) -> Iterator[tuple[str, dict]]:
    if "foreach" in definition:
        entries = iterable(definition["foreach"], values)
        for key, item in entries.items() if isinstance(entries, dict) else ((str(item), item) for item in entries):
            yield f"{name}@{key}", _replaced(definition["do"], values | {"key": key, "item": item})
    elif "matrix" in definition:
        axes = {axis: iterable(entries, values) for axis, entries in definition["matrix"].items()}
        for chosen in itertools.product(*axes.values()):
            item = dict(zip(axes, chosen, strict=True))
            yield f"{name}@{'-'.join(map(str, chosen))}", _replaced(definition, values | {"item": item})
    else:
        yield name, _replaced(definition, values)


def _replaced(declared: Any, values: dict) -> Any:
    """What is declared, with the value of every ${...} in its place."""
    if isinstance(declared, dict):
        return {_replaced(key, values): _replaced(item, values) for key, item in declared.items()}
    if isinstance(declared, list):
        return [_replaced(item, values) for item in declared]
    if isinstance(declared, str):
        return re.sub(r"\$\{([^}]+)\}", lambda match: str(lookup(values, match[1].strip())), declared)
    return declared
