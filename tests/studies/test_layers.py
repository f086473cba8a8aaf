"""Studies are tables in, tables out: neither they nor the tables load torch, which takes seconds and much memory."""

import subprocess
import sys

import pytest
from source import REPOSITORY, imports, modules

LIGHT = modules("duo.studies", "duo.tables") | {"duo.stats": REPOSITORY / "duo/stats.py"}
EVERYTHING = modules("duo", "workflow")
# Modules that still reach torch. One that no longer does must leave this set: its test then passes, which is an error.
HEAVY: set[str] = set()
CODE = """
import importlib, sys
for name in sys.argv[1:]:
    importlib.import_module(name)
    if "torch" in sys.modules:
        sys.exit(f"{name} loads torch")
"""


def test_no_study_and_no_table_loads_torch():
    """In a fresh interpreter, where nothing else has loaded it."""
    names = [name for name in LIGHT if name not in HEAVY]
    done = subprocess.run([sys.executable, "-c", CODE, *names], cwd=REPOSITORY, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.xfail(strict=True)] if name in HEAVY else []) for name in LIGHT]
)
def test_no_study_and_no_table_reaches_torch(name):
    """Nor by an import inside a function, of the module or of one that it reaches."""
    reached, ahead = set(), {name}
    while ahead:
        module = ahead.pop()
        reached.add(module)
        if module in EVERYTHING:
            ahead |= imports(module, EVERYTHING[module]) - reached
    assert not [module for module in reached if module.split(".")[0] == "torch"]
