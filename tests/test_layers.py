"""The house keeps its order: imports run one way, and every name says one thing."""

import ast
import builtins
from collections import defaultdict
from graphlib import CycleError, TopologicalSorter

import pytest
from source import bound, imports, modules, tree

# From the ground up. What stands on one floor may import each other, and all that is below; never what is above.
FLOORS = [
    (
        "terms",
        "errors",
        "commands",
        "progress",
        "seeds",
        "routes",
        "groups",
        "settings",
        "adapted_settings",
        "pretrained_settings",
        "trend_settings",
        "answer_settings",
        "figure_settings",
        "plugins",
        "scale",
    ),
    ("stats", "tables", "verdicts"),
    ("model", "data"),
    ("training",),
    ("oracle",),
    ("routers",),
    ("studies",),
    ("figures",),
    ("report",),
    ("api", "run", "auditing", "cost"),  # what a notebook sees, and commands for a model of one's own and for costs
    ("",),  # duo itself: the public names, and the command
]
FLOOR = {part: floor for floor, parts in enumerate(FLOORS) for part in parts}
DUO = modules("duo")
BOTH = modules("duo", "workflow")
LINES = 400


def test_imports_are_seen_wherever_they_stand(tmp_path):
    module = tmp_path / "made_up.py"
    module.write_text(
        "import torch.nn as nn\n"
        "from duo import stats, __version__\n"
        "from duo.stats import Study\n"
        "from . import base\n"
        "def later():\n"
        "    from ..report.claims import claims\n"
        "    import workflow.stage\n"
    )
    expected = {"torch.nn", "duo.stats", "duo", "duo.figures.base", "duo.report.claims", "workflow.stage"}
    assert imports("duo.figures.made_up", module) == expected
    module.write_text("if True:\n    len: int = 1\nclass Own:\n    max = 2\ndef f(sum): min = sum\n")
    assert bound(ast.parse(module.read_text())) == {"len", "Own", "f"}


def part(name: str) -> str:
    """The package or module of duo that a module belongs to: tables of duo.tables.files, stats of duo.stats."""
    inner = name.split(".")[1:]
    return "" if inner in ([], ["__main__"]) else inner[0]


@pytest.mark.parametrize("name", DUO)
def test_imports_run_downwards(name):
    assert part(name) in FLOOR, f"{name}: stands on no floor of FLOORS; say on which"
    ours = {imported for imported in imports(name, DUO[name]) if imported.split(".")[0] == "duo"}
    above = {imported for imported in ours if FLOOR[part(imported)] > FLOOR[part(name)]}
    assert not above, f"{name} imports what is above it"


def test_imports_go_in_no_circle():
    graph = {name: imports(name, path) & set(BOTH) - {name} for name, path in BOTH.items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


@pytest.mark.parametrize("name", DUO)
def test_the_science_knows_nothing_of_the_workflow(name):
    assert not {imported for imported in imports(name, DUO[name]) if imported.split(".")[0] == "workflow"}


def test_no_two_classes_share_a_name():
    places = defaultdict(list)
    for name, path in BOTH.items():
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.ClassDef):
                places[node.name].append(f"{name}:{node.lineno}")
    assert {name: where for name, where in places.items() if len(where) > 1} == {}


@pytest.mark.parametrize("name", BOTH)
def test_no_module_hides_a_builtin(name):
    """Neither by its own name, which `from duo import NAME` would bind, nor by one that it defines."""
    module = tree(BOTH[name])
    own = {name.rpartition(".")[2]} - {"__main__"}
    aliases = {
        alias.asname or alias.name
        for node in ast.walk(module)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    dunder = {word for word in dir(builtins) if word.startswith("__")}
    assert not (own | bound(module) | aliases) & set(dir(builtins)) - dunder


@pytest.mark.parametrize("name", BOTH)
def test_a_module_can_be_read_at_one_sitting(name):
    lines = len(BOTH[name].read_text(encoding="utf-8").splitlines())
    assert lines <= LINES


@pytest.mark.parametrize("name", [name for name, path in BOTH.items() if path.name == "__init__.py" and name != "duo"])
def test_packages_hold_nothing(name):
    assert BOTH[name].read_bytes() == b"" or name == "workflow.stages"  # which an interrupt while it is imported needs
