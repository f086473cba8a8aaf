"""dvc.yaml against the scripts, and workflow.dag against DVC."""

import ast
import importlib
import os
import re
import shutil
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

import pytest
from dvc.parsing import DataResolver
from project import REPOSITORY

from duo.errors import InputError
from duo.report import content
from duo.tables import studies as tables
from duo.tables.fields import STATISTICS
from duo.tables.files import File, Table
from duo.tables.training import CHECKPOINT
from workflow import dag
from workflow.params import Params, read_yaml

DEFINITIONS = read_yaml(REPOSITORY / "dvc.yaml")["stages"]


def tree(path: str) -> ast.Module:
    return ast.parse((REPOSITORY / path).read_text(encoding="utf-8"))


def template(name: str) -> dict:
    return DEFINITIONS[name].get("do", DEFINITIONS[name])


def params_read(script: str) -> set[str]:
    """Dotted names read off `params`, with [] for a subscript;

    `params` itself may only go to functions of the same script.
    """
    module = tree(script)
    parents = {child: node for node in ast.walk(module) for child in ast.iter_child_nodes(node)}
    own = {node.name for node in ast.walk(module) if isinstance(node, ast.FunctionDef)}
    found = set()
    for node in ast.walk(module):
        if not (isinstance(node, ast.Name) and node.id == "params" and isinstance(node.ctx, ast.Load)):
            continue
        parent, parts = parents[node], []
        if isinstance(parent, ast.Call):
            assert isinstance(parent.func, ast.Name) and parent.func.id in own, (
                f"{script}:{node.lineno}: params leaves the script whole"
            )
            continue
        while True:
            if isinstance(parent, ast.Attribute) and parent.attr != "model_dump":
                parts.append(parent.attr)
            elif isinstance(parent, ast.Subscript) and parent.value is node:
                parts.append("[]")
            else:
                break
            node, parent = parent, parents[parent]
        found |= (
            {".".join(parts)} if parts else {name for name, field in Params.model_fields.items() if not field.exclude}
        )
    return found


def scripts(name: str) -> list[str]:
    """The stage's script, and those that it imports."""
    own = f"workflow/stages/{name}.py"
    modules = [node.module for node in ast.walk(tree(own)) if isinstance(node, ast.ImportFrom)]
    return [own, *(f"{name.replace('.', '/')}.py" for name in modules if name.startswith("workflow.stages."))]


@pytest.mark.parametrize("name", DEFINITIONS)
def test_params_that_a_stage_declares_are_what_it_reads(name):
    declared = {re.sub(r"\$\{(key|item)\}", "[]", param) for param in template(name).get("params", [])}
    read = set().union(*map(params_read, scripts(name)))
    undeclared = {
        chain for chain in read if not any(chain == param or chain.startswith(param + ".") for param in declared)
    }
    unread = {param for param in declared if not any(chain == param or chain.startswith(param + ".") for chain in read)}
    assert not undeclared and not unread


@pytest.mark.parametrize("name", [name for name in DEFINITIONS if name != "code"])
def test_tables_that_a_script_names_are_dependencies_or_outs(name):
    """Which the stage is held to when it runs, too; here at once."""
    declared = [path for key in ("deps", "outs", "metrics") for path in template(name).get(key, [])]
    declared = [re.sub(r"\$\{[^}]+\}", "*", path) for path in declared]
    named = [*tables_named(name), *tables_drawn(name), *tables_gathered(name)]
    for file in named:
        if isinstance(file, File) and file is not CHECKPOINT:
            path = re.sub(r"{\w+}", "*", f"artifacts/{file.template}")
            near = (fnmatch(path, known) or fnmatch(known, path) or path.startswith(f"{known}/") for known in declared)
            assert any(near), path
    assert named or not name.startswith("figures")


def tables_named(name: str) -> list:
    """What a script imports from duo.tables."""
    imports = [node for node in ast.walk(tree(f"workflow/stages/{name}.py")) if isinstance(node, ast.ImportFrom)]
    return [
        getattr(importlib.import_module(node.module), alias.name)
        for node in imports
        if node.module.startswith("duo.tables.")
        for alias in node.names
    ]


def tables_gathered(name: str) -> list:
    """What stages read that take all tables of a kind."""
    statistics = [table for table in vars(tables).values() if isinstance(table, Table) and table.schema == STATISTICS]
    return {"report": list(content.study_tables()), "claims": statistics}.get(name, [])


def tables_drawn(name: str) -> list:
    """What the function of duo.figures names that a script calls for its pictures."""
    named = []
    for call in ast.walk(tree(f"workflow/stages/{name}.py")):
        if (
            isinstance(call, ast.Call)
            and isinstance(call.func, ast.Attribute)
            and isinstance(call.func.value, ast.Name)
        ):
            path = REPOSITORY / f"duo/figures/{call.func.value.id}.py"
            for function in tree(str(path.relative_to(REPOSITORY))).body if path.exists() else ():
                if isinstance(function, ast.FunctionDef) and function.name == call.func.attr != "save_all":
                    module = importlib.import_module(f"duo.figures.{path.stem}")
                    words = [node.id for node in ast.walk(function) if isinstance(node, ast.Name)]
                    named += [getattr(module, word) for word in words if hasattr(module, word)]
    return [table for table in named if isinstance(table, File)]


def test_resolver_is_the_one_we_know(toy):
    """workflow.dag hands DataResolver a stand-in for the repository; this is what it relies on."""
    assert list(DataResolver.__init__.__annotations__) == ["repo", "wdir", "d"]
    known = dag.Dag()
    listed = toy.run("dvc stage list --name-only").stdout.split()
    assert sorted(known.stages) == sorted(listed)
    stage = known.stages["oracle@2"]
    assert stage.cmd == "python -m workflow.stages.oracle 2"
    assert stage.outs == ("artifacts/oracle/2/tokens.txt",)
    assert stage.params == {"seed": 1, "model": known.values["model"]}


def test_wildcards_stand_where_the_key_does(toy):
    groups = {group.name: group for group in dag.Dag().groups}
    assert groups["oracle"].outs == ("artifacts/oracle/{key}/tokens.txt",)
    assert groups["oracle"].keys == ("0", "1", "2", "4")
    assert groups["oracle"].address("2") == "oracle@2"
    assert groups["corpus"].outs == ("artifacts/corpus/{key}.txt",)
    assert groups["report"].keys == () and groups["report"].outs == ("artifacts/report.html",)


def test_a_matrix_has_one_key_of_all_its_axes(toy):
    stage = """
  pairs:
    matrix:
      model: [duo, skip]
      shard: ${route_losses.shards}
    cmd: python -m workflow.stages.pairs ${item.model} ${item.shard}
    outs: ["artifacts/pairs/${item.model}-${item.shard}.txt"]
"""
    toy.replace("dvc.yaml", "\n  headline:", f"{stage}\n  headline:")
    known = dag.Dag()
    (pairs,) = [group for group in known.groups if group.name == "pairs"]
    assert pairs.keys == ("duo-0", "duo-1", "skip-0", "skip-1") and pairs.outs == ("artifacts/pairs/{key}.txt",)
    assert known.stages[pairs.address("skip-1")].outs == ("artifacts/pairs/skip-1.txt",)
    assert sorted(known.stages) == sorted(toy.run("dvc stage list --name-only").stdout.split())


def test_a_stage_for_each_of_none_is_no_stage(toy):
    stage = """
  points:
    foreach: ${points}
    do:
      cmd: python -m workflow.stages.points ${key}
      params: ["points.${key}"]
      outs: ["artifacts/points/${key}.txt"]
"""
    toy.replace("dvc.yaml", "\n  headline:", f"{stage}\n  headline:")
    toy.replace("params.yaml", "\nruntime:", "\npoints: {}\nruntime:")
    known = dag.Dag()
    assert "points" not in {group.name for group in known.groups} and "headline" in known.stages
    assert sorted(known.stages) == sorted(toy.run("dvc stage list --name-only").stdout.split())


def test_parsing_is_light():
    heavy = "('torch', 'pyarrow', 'mlflow')"
    code = f"import sys; from workflow.dag import Dag; Dag().groups; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_nothing_changed_after_a_run(toy):
    known = dag.Dag()
    assert {address: known.why(address)[address] for address in known.stages} == {
        address: [] for address in known.stages
    }


def test_why_names_the_param_with_old_and_new_value(toy):
    toy.replace("params.yaml", "width: 32", "width: 64")
    assert dag.Dag().why("oracle@2") == {"oracle@2": ["model.width: 32 -> 64"]}
    assert dag.Dag().why("report")["report"] == ["artifacts/headline.txt: headline will run"]


def test_why_names_the_command_the_module_and_the_missing_out(toy):
    toy.replace("dvc.yaml", "workflow.stages.headline", "workflow.stages.headline now")
    toy.replace("duo/toy.py", "str(salt)", "repr(salt)")
    toy.replace("workflow/stages/report.py", "from workflow import", "import duo.stats\nfrom workflow import")
    Path("artifacts/corpus/text.txt").unlink()
    Path("artifacts/corpus/code.txt").write_text("by hand")
    command = "python -m workflow.stages.headline"
    assert f"command: {command} -> {command} now" in dag.Dag().why("headline")["headline"]
    assert dag.Dag().why("corpus") == {
        "corpus@text": ["duo/toy.py: changed", "artifacts/corpus/text.txt: is missing"],
        "corpus@code": ["duo/toy.py: changed", "artifacts/corpus/code.txt: is not what the stage wrote"],
    }
    assert dag.Dag().why("report")["report"][:4] == [
        "duo/seeds.py: is reached now",
        "duo/stats.py: is reached now",
        "duo/toy.py: changed",
        "workflow/stages/report.py: changed",
    ]
    assert dag.Dag().why("code")["code"] == ["duo: changed", "workflow: changed"]


def test_why_knows_old_code_from_the_cache_too(toy):
    """As after a checkout of another commit, or a run of `code` that was not followed by the others."""
    toy.replace("duo/toy.py", "str(salt)", "repr(salt)")
    toy.run("dvc repro -q code")
    assert dag.Dag().why("corpus@text")["corpus@text"] == ["duo/toy.py: changed"]
    shutil.rmtree(".dvc/cache")
    assert dag.Dag().why("corpus@text")["corpus@text"] == ["artifacts/code/corpus.json: changed"]


PROSE = ("duo/toy.py", "import hashlib", "# Hashes.\nimport hashlib")


def test_prose_makes_code_due_alone(toy):
    toy.replace(*PROSE)
    known = dag.Dag()
    assert {address: known.changes(address) for address in known.stages if known.changes(address)} == {
        "code": ("duo: changed",)
    }
    assert [toy.run(f"dvc status -q {address}", check=False).returncode for address in ("code", "corpus@text")] == [
        1,
        0,
    ]


@pytest.mark.parametrize(
    "file, due",
    [
        ("duo/new.py", True),
        ("examples/new.ipynb", True),
        ("workflow/stages/__pycache__/new.pyc", False),
        ("duo/model/.ipynb_checkpoints/new.py", False),
        ("duo/tables/files.py.tmp", False),
        ("duo/.files.py.swp", False),
    ],
)
def test_folders_of_sources_are_seen_as_dvc_sees_them(toy, file, due):
    Path(file).parent.mkdir(exist_ok=True)
    Path(file).write_text("new = 1")
    assert bool(dag.Dag().changes("code")) == due
    assert (toy.run("dvc status -q code", check=False).returncode == 1) == due


def test_why_of_a_stage_that_never_ran_and_of_none(toy):
    toy.replace("params.yaml", "budgets: [0, 1, 2, 4]", "budgets: [0, 1, 2, 3, 4]")
    assert dag.Dag().why("oracle@3")["oracle@3"][0] == "never ran"
    with pytest.raises(InputError, match="no stage 'orakle'; did you mean 'oracle'"):
        dag.Dag().why("orakle")


def test_judgement_is_dvcs(toy):
    """What workflow.dag calls unchanged, DVC calls up to date, and the other way round, for directories of artifacts
    too.
    """
    toy.replace("params.yaml", "width: 32", "width: 64")
    toy.run("dvc repro -q oracle@2 oracle@4 oracle@0 oracle@1")
    toy.replace("params.yaml", "budgets: [0, 1, 2, 4]", "budgets: [0, 1, 2]")
    known = dag.Dag()
    changed = {address for address in known.stages if known.changes(address)}
    assert changed == {"headline", "report"}
    assert [toy.run(f"dvc status -q {address}", check=False).returncode == 1 for address in known.stages] == [
        address == "headline" for address in known.stages
    ]


def test_state_file_is_new_only_where_the_stage_is_due(toy):
    def age(address):
        return os.path.getmtime(dag.Dag().write_state(dag.Dag().stages[address]))

    before = os.path.getmtime("params.yaml")
    assert age("oracle@2") == 0
    toy.replace("params.yaml", "width: 32", "width: 64")
    assert age("oracle@2") >= before and age("corpus@text") == 0
    toy.replace("params.yaml", "width: 64", "width: 32")
    assert age("oracle@2") == 0


def test_what_lies_in_a_directory_that_a_stage_makes_is_no_stray(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("dvc.yaml").write_text("stages: {model: {cmd: train, outs: [artifacts/model]}}")
    Path("params.yaml").write_text("seed: 1")
    for name in ("model/weights.gguf", "model/more/config.json", "models/weights.gguf", "cache/a.whl"):
        Path("artifacts", name).parent.mkdir(parents=True, exist_ok=True)
        Path("artifacts", name).write_text("")
    assert dag.Dag().strays() == [Path("artifacts/models/weights.gguf")]


def test_prune_removes_what_left_the_dag_and_nothing_else(toy):
    (toy.root / "artifacts/cache").mkdir()
    kept = [Path("artifacts/cache/wheel"), Path("artifacts/oracle/2/tokens.txt")]
    kept[0].write_text("")
    for address in dag.Dag().stages:
        dag.Dag().write_state(dag.Dag().stages[address])
    toy.replace("params.yaml", "budgets: [0, 1, 2, 4]", "budgets: [0, 1, 2]")
    stale = ["artifacts/oracle/4/tokens.txt", ".pipeline/oracle@4.json", "dvc.lock: oracle@4"]
    assert dag.prune(dry_run=True) == stale and Path(stale[0]).exists()
    assert dag.prune() == stale
    assert (
        not Path("artifacts/oracle/4").exists() and not Path(stale[1]).exists() and all(path.exists() for path in kept)
    )
    assert "oracle@4" not in Path("dvc.lock").read_text() and "oracle@2" in Path("dvc.lock").read_text()
    assert dag.prune() == []


def test_lock_is_put_in_order_without_any_other_change(toy):
    text = Path("dvc.lock").read_text()
    stages = list(read_yaml(Path("dvc.lock"))["stages"])
    assert stages == list(dag.Dag().stages)
    dag._rewrite_lock(lambda names: list(reversed(names)))
    assert list(read_yaml(Path("dvc.lock"))["stages"]) == list(reversed(stages))
    dag.sort_lock()
    assert Path("dvc.lock").read_text() == text


def test_bad_dvc_yaml_is_one_error(toy):
    toy.replace("dvc.yaml", "${oracle.budgets}", "${oracle.budget}")
    with pytest.raises(InputError, match=r"dvc.yaml: .*oracle.budget"):
        _ = dag.Dag().stages
