"""What is left out of the digests of code can't change what a stage makes: it declares, checks, runs and shows."""

import ast
from pathlib import Path

import pytest
from project import REPOSITORY

from duo import adapted_settings, answer_settings, figure_settings, pretrained_settings, settings, trend_settings
from duo import groups as parts
from duo.data import sources
from workflow import code, params, trend_params

DECLARE = ("duo/groups.py", "duo/settings.py", "duo/trend_settings.py", "duo/answer_settings.py", "duo/data/sources.py")
DECLARE += (
    "duo/pretrained_settings.py",
    "duo/adapted_settings.py",
    "duo/figure_settings.py",
    "workflow/trend_params.py",
    "workflow/params.py",
)
READ = {"read_yaml", "load_params"}  # how params.yaml is read, as DVC reads it


def tree(file: str) -> ast.Module:
    return ast.parse((REPOSITORY / file).read_text(encoding="utf-8"))


def groups(file: str) -> list[ast.ClassDef]:
    return [node for node in tree(file).body if isinstance(node, ast.ClassDef)]


def is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def judged(node: ast.FunctionDef) -> str:
    """check: a validator or part of one, which gives back the group as it is, or nothing; else other."""
    returns = [each.value for each in ast.walk(node) if isinstance(each, ast.Return)]
    written = [
        each for each in ast.walk(node) if isinstance(each, ast.Attribute) and not isinstance(each.ctx, ast.Load)
    ]
    called = {each.func.attr for each in ast.walk(node) if isinstance(each, ast.Call) and hasattr(each.func, "attr")}
    after = any(
        isinstance(each, ast.Call)
        and [key.arg for key in each.keywords] == ["mode"]
        and each.keywords[0].value.value == "after"
        for each in node.decorator_list
    )
    same = all(isinstance(value, ast.Name) and value.id == "self" for value in returns) and bool(returns)
    if written or called & {"__setattr__", "model_construct", "setattr"} or (node.decorator_list and not after):
        return "other"
    return "check" if (same if after else not returns) else "other"


@pytest.mark.parametrize("file", DECLARE)
def test_params_are_declared_and_checked_and_nothing_is_made_of_them(file):
    for group in groups(file):
        for node in group.body:
            if isinstance(node, ast.AnnAssign):
                default = node.value
                assert default is None or (isinstance(default, ast.Constant) and default.value is None), ast.unparse(
                    node
                )
            elif isinstance(node, ast.FunctionDef):
                assert judged(node) == "check", f"{group.name}.{node.name} does more than check"
            else:
                assert is_text(node) or ast.unparse(node).startswith("model_config = "), ast.unparse(node)


def test_what_declares_runs_or_shows_is_all_that_is_left_out():
    others = {
        "duo/progress.py",
        "duo/commands.py",
        "workflow/stage.py",
        "workflow/stages/__init__.py",
        "workflow/track.py",
    }
    assert {*DECLARE, *others} == code.OBSERVERS


@pytest.mark.parametrize("file", DECLARE[:-1])
def test_settings_hold_no_functions_but_checks(file):
    for node in tree(file).body:
        if isinstance(node, ast.FunctionDef):
            assert node.name.lstrip("_").startswith("require") and judged(node) == "check", node.name
        else:
            assert isinstance(node, ast.Import | ast.ImportFrom | ast.ClassDef | ast.Assign) or is_text(node)


def test_params_hold_no_functions_but_those_that_read_them():
    known = {node.name for node in tree("workflow/params.py").body if isinstance(node, ast.FunctionDef)}
    assert {name for name in known if not name.startswith("_")} == READ


@pytest.mark.parametrize(
    "module",
    [
        settings,
        trend_settings,
        answer_settings,
        sources,
        pretrained_settings,
        adapted_settings,
        figure_settings,
        trend_params,
        params,
    ],
    ids=DECLARE[1:],
)
def test_values_are_those_of_the_file_and_no_others(module):
    """No default but none, no other name, no factory: read off the classes as pydantic has made them."""
    fields = 0
    for group in vars(module).values():
        if isinstance(group, type) and issubclass(group, parts.Group):
            assert {key: group.model_config[key] for key in ("frozen", "strict", "extra")} == {
                "frozen": True,
                "strict": True,
                "extra": "forbid",
            }
            assert not group.model_computed_fields
            for name, field in group.model_fields.items():
                fields += 1
                assert field.is_required() or (field.default is None and field.default_factory is None), (group, name)
                assert (field.alias, field.validation_alias, field.serialization_alias) == (None, None, None)
    assert fields >= 5


def test_a_group_that_does_more_would_be_seen():
    for source in (
        "@property\ndef twice(self): return 2 * self.size",
        "def twice(self): return 2 * self.size",
        '@model_validator(mode="after")\ndef _check(self): return self.model_copy()',
        '@model_validator(mode="before")\ndef _check(self): return self',
        '@model_validator(mode="after")\ndef _check(self):\n    self.size = 1\n    return self',
        '@model_validator(mode="after")\ndef _check(self):\n    object.__setattr__(self, "size", 1)\n    return self',
        '@field_validator("size")\ndef _check(cls, size): return 2 * size',
    ):
        assert judged(ast.parse(source).body[0]) == "other", source
    assert judged(ast.parse('@model_validator(mode="after")\ndef _check(self): return self').body[0]) == "check"


def test_nothing_but_declarations_and_reading_is_taken_from_observers(tmp_path, monkeypatch):
    """What code that counts imports from one: groups of params, and how they are read."""
    modules = {"duo.groups": parts, "duo.settings": settings, "duo.trend_settings": trend_settings}
    modules |= {"duo.adapted_settings": adapted_settings, "duo.data.sources": sources}
    allowed = {
        **{
            at: {name for name, value in vars(module).items() if isinstance(value, type)}
            for at, module in modules.items()
        },
        "duo.progress": {"progress"},
        "workflow.params": READ | {"Params"},
        "duo.commands": set(),
        "workflow.stage": set(),
        "workflow.track": set(),
    }
    monkeypatch.chdir(REPOSITORY)
    monkeypatch.setattr(code, "CACHE", tmp_path / "syntax.cache")
    definitions, values = params.read_yaml(Path("dvc.yaml"))["stages"], params.read_yaml(Path("params.yaml"))
    digests = code.digests(definitions, values)
    for file in {file for digest in digests.values() for file in digest if file.endswith(".py")}:
        for node in ast.walk(tree(file)):
            if isinstance(node, ast.ImportFrom) and node.module in allowed:
                assert {alias.name for alias in node.names} <= allowed[node.module], f"{file}:{node.lineno}"
            elif isinstance(node, ast.Import):
                assert not {alias.name for alias in node.names} & set(allowed), f"{file}:{node.lineno}"
