"""The project's own modules, read as syntax trees: what they import and define, wherever in the file."""

import ast
from functools import cache
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]


def modules(*packages: str) -> dict[str, Path]:
    """Every module of the packages, by dotted name; a package goes by its own name."""
    paths = [path for package in packages for path in sorted(REPOSITORY.joinpath(*package.split(".")).rglob("*.py"))]
    return {_dotted(path): path for path in paths}


def _dotted(path: Path) -> str:
    parts = path.relative_to(REPOSITORY).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imports(name: str, path: Path) -> set[str]:
    """Dotted names of what the module imports, as deep as they are modules of this project.

    `from duo import stats` is duo.stats, `from duo.stats import Study` too; from outside the project the name as
    written, so torch.nn. A name that a package itself gives is the package.
    """
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    imported = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            imported |= {_module(alias.name) for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            imported |= {_module(f"{base}.{alias.name}") for alias in node.names}
    return imported


def _module(dotted: str) -> str:
    """The longest beginning of a dotted name that is a module of this project; the name itself where none is."""
    parts = dotted.split(".")
    for end in range(len(parts), 0, -1):
        path = REPOSITORY.joinpath(*parts[:end])
        if path.with_suffix(".py").exists() or (path / "__init__.py").exists():
            return ".".join(parts[:end])
    return dotted


def bound(body: ast.AST) -> set[str]:
    """Names that the top of a module gives a meaning: imports, functions, classes and assignments."""
    names = set()
    for node in ast.iter_child_nodes(body):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names |= {alias.asname or alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif not isinstance(node, ast.Lambda | ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp):
            names |= bound(node)
    return names
