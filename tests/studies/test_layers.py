"""Studies are tables in, tables out: neither they nor the tables load torch, which takes seconds and a model's memory."""

import subprocess
import sys

import pytest
from source import REPOSITORY, imports, modules

LIGHT = modules("duo.studies", "duo.tables", "duo.stats")
# Modules that still load torch; a module that no longer does must leave this list.
HEAVY = {"duo.studies.ablation"}


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.xfail(strict=True) if name in HEAVY else ()) for name in LIGHT],
)
def test_no_study_and_no_table_loads_torch(name):
    """In a fresh interpreter, where nothing else has loaded it."""
    code = f"import sys, {name}; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
