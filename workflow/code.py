"""What code a stage's results depend on: for each stage a digest, which maps every file that its script reaches to a
hash of what the file does.

The stage `code` writes the digests, artifacts/code/STAGE.json, and every other stage depends on its own alone. So a
changed line runs again what reaches it, and neither a comment nor another stage's code runs anything. workflow.dag
computes the same digests to tell what is due, without running `code`.

Reached is what a file imports, wherever in it, and what it names in a string: a module ("duo.oracle.tree"), a package
with its data ("duo.report"), a data file beside it or a folder of them ("a.yaml"). A stage that loads the user's own
classes also reaches those that its declared params name ("examples.mine:Class"). Their files may name data from the
root as well ("examples/a.yaml"), and import nothing of the working copy that is outside of FOLDERS. Where every entry
of a mapping has a stage instance, an instance depends on a digest of its own entry's class,
artifacts/code/own/PARAM.json, and on no other's.
"""

import ast
import hashlib
import importlib.util
import json
import os
import re
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

from duo.errors import InputError
from workflow.instance import iterable

USERS = "examples"  # where users keep code of their own
LOADER = "duo/plugins.py"  # a script that imports it loads the classes that its params name
FOLDERS = ("duo", "workflow", USERS)
ARTIFACTS = "artifacts/code"
CACHE = Path(".pipeline/syntax.cache")
# Files that can't change what a stage makes (tests/workflow/test_code.py): they check the params, whose values DVC
# tracks, run a script, and show its curves and how far it has come.
OBSERVERS = {
    *(
        "duo/groups.py",
        "duo/progress.py",
        "duo/data/sources.py",
        "duo/settings.py",
        "duo/trend_settings.py",
        "duo/pretrained_settings.py",
        "duo/answer_settings.py",
        "duo/adapted_settings.py",
        "duo/figure_settings.py",
        "workflow/params.py",
        "workflow/trend_params.py",
    ),
    *("duo/commands.py", "workflow/stage.py", "workflow/stages/__init__.py", "workflow/track.py"),
}
_CLASS = re.compile(rf"({'|'.join(FOLDERS)})(\.\w+)+:\w+")
_NAME = re.compile(r"[\w-]+([./][\w-]+)*(:\w+)?")  # what a string looks like that may name a module, a file or a folder

Digest = dict[str, str]


def digests(definitions: dict[str, dict], values: dict) -> dict[str, Digest]:
    """By stage, and for entries with a digest of their own by own(entry): the files that the code is in, in order of
    their names, each with its hash.

    definitions: the stages in dvc.yaml, as they stand there; values: what params.yaml holds. InputError where a script
    is missing, a file is not Python, or `code` doesn't declare a param that names a class.
    """
    tree, classes = _Tree(), dict(_classes(values))
    for param, name in classes.items():
        if not _within(param, definitions["code"].get("params", [])):
            raise InputError(f"dvc.yaml: the params of stage code lack {param.split('.')[0]}, which names {name!r}")
    reached = {}
    for stage, definition in definitions.items():
        if stage != "code":
            declared = {param.split(".$")[0] for param in definition.get("do", definition).get("params", [])}
            apart = _apart(definition)
            script = f"workflow/stages/{stage}.py"
            reached[stage] = tree.reached({script}, set())
            if LOADER in tree.next(script):
                shared = {name for param, name in classes.items() if _within(param, declared - {apart})}
                reached[stage] |= tree.reached(set(), shared)
            for entry in iterable(apart, values) if apart else ():
                param = f"{apart}.{entry}"
                reached[own(param)] = tree.reached(set(), {classes[param]} if param in classes else set())
    found = {name: {file: tree.hash(file) for file in sorted(files)} for name, files in reached.items()}
    tree.keep()
    return found


def _apart(definition: dict) -> str | None:
    """The param whose entries have an instance and a digest each; None where the stage's instances share their code."""
    param = str(definition.get("foreach", "")).strip("${} ")
    return param if path(own(f"{param}.${{key}}")) in definition.get("do", {}).get("deps", []) else None


def _within(param: str, groups: Iterable[str]) -> bool:
    """Whether it is one of these, or stands in one of them."""
    return any(f"{param}.".startswith(f"{group}.") for group in groups)


def _classes(value: Any, param: str = "") -> Iterator[tuple[str, str]]:
    """Every class that a param names as module:Class, by the param's dotted name."""
    if isinstance(value, dict | list):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _classes(item, f"{param}.{key}" if param else str(key))
    elif isinstance(value, str) and _CLASS.fullmatch(value):
        yield param, value


def written(digest: Digest) -> str:
    """The digest as the stage `code` writes it."""
    return json.dumps(digest, indent=1) + "\n"


def path(name: str) -> str:
    """Where the digest of a stage, or own(entry), is."""
    return f"{ARTIFACTS}/{name}.json"


def own(entry: str) -> str:
    """The name of the digest of the class that an entry of a mapping names; it is empty where duo has what is named."""
    return f"own/{entry}"


def differences(before: Digest, now: Digest) -> Iterator[str]:
    """A line for every file that makes two digests of a stage differ."""
    for file in sorted(before | now):
        if file not in before:
            yield f"{file}: is reached now"
        elif file not in now:
            yield f"{file}: is reached no more"
        elif before[file] != now[file]:
            yield f"{file}: changed"


def syntax_hash(source: bytes, file: str) -> tuple[str, list[str]]:
    """Hash of what a Python file does, and the names of what it may reach.

    The hash is of the syntax tree without comments, docstrings and positions, and without what is empty; so it is the
    same in every version of Python. Docstrings count where the file reads them.
    """
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError) as error:
        line = getattr(error, "lineno", None) or 1
        raise InputError(f"{file}:{line}: not valid Python: {error}") from None
    parts: list[str] = []
    _serialise(tree, parts, docstrings=b"__doc__" in source)
    return _short_hash("".join(parts).encode()), sorted(_names(tree))


def _serialise(node: Any, parts: list[str], docstrings: bool) -> None:
    """Append text that two nodes have in common only where they mean the same."""
    if isinstance(node, ast.AST):
        parts.append(f"({type(node).__name__}")
        for name in sorted(node._fields):
            value = getattr(node, name, None)
            if isinstance(value, list) and not docstrings:
                value = [item for item in value if not _is_text(item)]
            if value is not None and value != []:
                parts.append(f" {name}=")
                _serialise(value, parts, docstrings)
        parts.append(")")
    elif isinstance(node, list):
        parts.append("[")
        for item in node:
            _serialise(item, parts, docstrings)
        parts.append("]")
    else:
        text = json.dumps(node) if isinstance(node, str) else repr(node)
        parts.append(f"{type(node).__name__}:{text} ")


def _is_text(node: Any) -> bool:
    """Whether it is a statement that is nothing but a text: a docstring, or what is used like a comment."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _names(tree: ast.Module) -> set[str]:
    """What is imported, `from A import B` as A:B and `import A` as A:, and strings that may name something."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {f"{alias.name}:" for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            names |= {f"{module}:{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and _NAME.fullmatch(node.value):
            names.add(node.value)
    return names


class _Tree:
    """The files of FOLDERS, each read once; what is known of a content is kept from run to run in CACHE."""

    def __init__(self) -> None:
        self.files: set[str] = set()
        for folder in FOLDERS:
            for root, folders, names in os.walk(folder):
                folders[:] = [name for name in folders if name != "__pycache__"]
                self.files |= {f"{Path(root).as_posix()}/{name}" for name in names if not name.endswith(".tmp")}
        self._known = self._load()
        self._used: dict[str, tuple[str, list[str]]] = {}
        self._read: dict[str, tuple[str, list[str]]] = {}
        self._reached: dict[str, set[str]] = {}

    def reached(self, scripts: set[str], classes: set[str]) -> set[str]:
        """The scripts and all that they and these classes reach, directly or not, but for OBSERVERS."""
        found, ahead = set(), scripts.union(*(self._named(name, "") for name in classes)) - OBSERVERS
        while ahead:
            file = ahead.pop()
            found.add(file)
            ahead |= self.next(file) - found
        return found

    def hash(self, file: str) -> str:
        return self._content(file)[0]

    def keep(self) -> None:
        """Write CACHE where something in it is new or left."""
        if self._used != self._known:
            CACHE.parent.mkdir(exist_ok=True)
            temporary = CACHE.with_suffix(f".{os.getpid()}")  # Snakemake's processes may all be here at once
            temporary.write_text(json.dumps({"version": self._version, "files": self._used}), encoding="utf-8")
            os.replace(temporary, CACHE)

    @cached_property
    def _version(self) -> str:
        """Of this module, since another one may see other things in the same content."""
        return _short_hash(Path(__file__).read_bytes())

    def _load(self) -> dict[str, tuple[str, list[str]]]:
        try:
            kept = json.loads(CACHE.read_text(encoding="utf-8"))
            return kept["files"] if kept["version"] == self._version else {}
        except (OSError, ValueError, KeyError, TypeError):
            return {}

    def _content(self, file: str) -> list:
        """The file's hash, and the names of what it may reach: none for data."""
        if file not in self._read:
            try:
                content = Path(file).read_bytes()
            except OSError as error:
                raise InputError(f"{file}: can't be read: {error.strerror}") from None
            key = _short_hash(content)
            if not file.endswith(".py"):
                self._read[file] = [key, []]
            else:
                self._used[key] = self._known.get(key) or list(syntax_hash(content, file))
                self._read[file] = self._used[key]
        return self._read[file]

    def next(self, file: str) -> set[str]:
        """What the file reaches itself."""
        if file not in self._reached:
            found = {reached for name in self._content(file)[1] for reached in self._named(name, file)}
            self._reached[file] = found - OBSERVERS - {file}
        return self._reached[file]

    def _named(self, name: str, file: str) -> Iterator[str]:
        """The files that a name in `file` stands for; none for what is not ours."""
        folder = Path(file).parent
        if ":" in name:
            module, _, attribute = name.partition(":")
            if module.startswith("."):
                module = importlib.util.resolve_name(module, ".".join(folder.parts))
            self._check_followed(module, file)
            yield from self._module(f"{module}.{attribute}") or self._module(module)
            return
        if "." in name:
            yield from self._module(name)
            yield from self._data(name.replace(".", "/"))
        places = [(folder / name).as_posix()]
        if _is_users(file) and _is_users(name):
            places.append(name)
        for place in places:
            if place in self.files:
                yield place
            elif place in self._folders and len(data := self._data(place)) == len(self._below(place)):
                yield from data

    def _check_followed(self, module: str, file: str) -> None:
        """InputError where a file of users' imports what lies in the working copy, but where it isn't looked at."""
        top = module.partition(".")[0]
        if not _is_users(file) or top in FOLDERS:
            return
        if Path(f"{top}.py").is_file() or any(Path(top).rglob("*.py")):
            remedy = f"should lie in {USERS}/, or no stage would notice its changes"
            raise InputError(f"{file}: imports {module}, which is of this project: {remedy}")

    def _module(self, name: str) -> set[str]:
        """The module's file, a package's __init__.py; in a package of users' those of the packages above it too."""
        base = Path(name.strip(".").replace(".", "/"))
        own = {f"{base.as_posix()}.py", f"{base.as_posix()}/__init__.py"} & self.files
        above = {f"{folder.as_posix()}/__init__.py" for folder in base.parents} & self.files
        return own | above if own and base.parts[0] == USERS else own

    def _data(self, folder: str) -> set[str]:
        """All that is no Python in the folder and below."""
        return {file for file in self._below(folder) if not file.endswith(".py")}

    def _below(self, folder: str) -> set[str]:
        return {file for file in self.files if file.startswith(f"{folder}/")} if folder in self._folders else set()

    @cached_property
    def _folders(self) -> set[str]:
        return {parent.as_posix() for file in self.files for parent in Path(file).parents}


def _is_users(path: str) -> bool:
    return path.startswith(f"{USERS}/")


def _short_hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]
