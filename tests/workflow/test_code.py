"""What a stage's digest of code says: which files are in it, and what of a file it is a hash of."""

import ast
import shutil
from pathlib import Path

import pytest
import source
from project import REPOSITORY

from duo.errors import InputError
from workflow import code
from workflow.params import read_yaml

DEFINITIONS = read_yaml(REPOSITORY / "dvc.yaml")["stages"]
STAGES = [name for name in DEFINITIONS if name != "code"]


def tree(path: str) -> ast.Module:
    return ast.parse((REPOSITORY / path).read_text(encoding="utf-8"))


def template(name: str) -> dict:
    return DEFINITIONS[name].get("do", DEFINITIONS[name])


def imported(path: str) -> set[str]:
    """Files of duo/ and workflow/ that this file imports, wherever in it."""
    names = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    files = {name.replace(".", "/") + ".py" for name in names if name.split(".")[0] in ("duo", "workflow")}
    return {file for file in files if (REPOSITORY / file).exists()}


def reached(path: str) -> set[str]:
    """The file and all that it imports, directly or not."""
    files, ahead = set(), {path}
    while ahead:
        file = ahead.pop()
        files.add(file)
        ahead |= imported(file) - files - code.OBSERVERS
    return files


@pytest.fixture(scope="module")
def digests(tmp_path_factory: pytest.TempPathFactory) -> dict[str, code.Digest]:
    root = tmp_path_factory.mktemp("sources")
    for name in ("duo", "workflow", "examples"):
        shutil.copytree(REPOSITORY / name, root / name)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        return code.digests(DEFINITIONS, read_yaml(REPOSITORY / "params.yaml"))


@pytest.mark.parametrize("name", STAGES)
def test_digest_holds_what_the_script_imports(name, digests):
    modules = {file for file in digests[name] if file.endswith(".py") and not file.endswith("__init__.py")}
    assert modules == reached(f"workflow/stages/{name}.py")
    assert list(digests[name]) == sorted(digests[name])


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_runs_its_script_and_depends_on_its_code_by_its_digest_alone(name):
    assert template(name)["cmd"].split()[:3] == ["python", "-m", f"workflow.stages.{name}"]
    deps = template(name)["deps"]
    theirs = ["${own_text}"] if name == "corpus" else []
    assert [dep for dep in deps if not dep.startswith("artifacts/")] == theirs
    own = {"policies": ["policies.routers.${key}"], "baselines": ["policies.baselines.${key}"]}.get(name, [])
    digests = [f"artifacts/code/{name}.json", *(f"artifacts/code/own/{entry}.json" for entry in own)]
    assert [dep for dep in deps if dep.startswith("artifacts/code")] == digests


def test_code_makes_every_digest_and_depends_on_all_sources():
    assert DEFINITIONS["code"]["deps"] == list(code.FOLDERS)
    assert DEFINITIONS["code"]["outs"] == [*(code.path(name) for name in STAGES), "artifacts/code/own"]


def test_dvc_yaml_is_short_and_lists_no_modules():
    text = (REPOSITORY / "dvc.yaml").read_text(encoding="utf-8")
    assert len(text.splitlines()) < 1100 and "duo/" not in text and text.count(".py") == text.count("/code.py") + 2


def test_data_that_code_names_is_in_the_digest(digests):
    templates = {str(path.relative_to(REPOSITORY)) for path in REPOSITORY.glob("duo/report/templates/*")}
    assert len(templates) > 5 and templates <= set(digests["report"])
    assert not [file for file in digests["report"] if file.startswith("duo/report/docs/")]
    assert not templates & set(digests["claims"])


def test_packages_hold_no_code_that_a_digest_could_miss():
    """What is imported runs its packages' __init__.py first. All are empty (tests/test_layers.py) but that of the
    stages, which only listens to signals, and duo's own, which gives users its names, computes nothing, and is what no
    other module takes anything from.
    """
    modules = source.modules("duo", "workflow")
    assert [name for name, path in modules.items() if "duo" in source.imports(name, path)] == []
    calls = [node for statement in tree("duo/__init__.py").body for node in executed(statement)]
    assert {ast.unparse(call) for call in calls} <= {"import_module('duo.oracle')"}


def executed(statement: ast.stmt) -> list[ast.Call]:
    """Calls that a statement at the top of a module makes when it is imported."""
    if isinstance(statement, ast.FunctionDef):
        return []
    if isinstance(statement, ast.ClassDef):
        return [call for inner in statement.body for call in executed(inner)]
    return [node for node in ast.walk(statement) if isinstance(node, ast.Call)]


SOURCE = '''
"""About the module."""

from pathlib import Path


class Thing:
    """About the thing."""

    size: int = 3


def first(a, b=2, *, c=None):  # why
    """About the function."""
    return [a, b, "text", f"{c:>3}"]


def second():
    """Nothing but this."""
'''
PROSE = {
    "a comment": ("    size: int = 3", "    # how large\n    size: int = 3  # of it"),
    "the module's docstring": ('"""About the module."""', '"""About\n\nthe module, at length."""'),
    "a docstring less": ('    """About the function."""\n', ""),
    "a docstring more": ("def second():\n", 'def second():\n    """First."""\n'),
    "the class's docstring": ("About the thing", "About"),
    "blank lines and breaks": ('[a, b, "text"', '[\n\n        a,\n        b, "text"'),
    "quotes": ('"text"', "'text'"),
}
CODE = {
    "a default": ("b=2", "b=3"),
    "a default's type": ("b=2", "b=2.0"),
    "none for a default": ("c=None", "c=0"),
    "no default": ("b=2", "b"),
    "keywords alone": ("*, c", "c"),
    "a text": ('"text"', '"texts"'),
    "bytes": ('"text"', 'b"text"'),
    "a name": ("size", "width"),
    "an order": ("[a, b", "[b, a"),
    "an import": ("import Path", "import PurePath"),
    "an annotation": ("size: int", "size: float"),
    "a format": (":>3", ":>4"),
    "a return": ('f"{c:>3}"]', 'f"{c:>3}"]\n    return 1'),
}


def hashed(source: str) -> str:
    return code.syntax_hash(source.encode(), "module.py")[0]


@pytest.mark.parametrize("change", PROSE)
def test_prose_does_not_change_the_hash(change):
    old, new = PROSE[change]
    assert old in SOURCE and hashed(SOURCE.replace(old, new)) == hashed(SOURCE)


@pytest.mark.parametrize("change", CODE)
def test_code_changes_the_hash(change):
    old, new = CODE[change]
    assert old in SOURCE and hashed(SOURCE.replace(old, new)) != hashed(SOURCE)


def test_docstrings_count_where_the_file_reads_them():
    source = SOURCE + "\nWORDS = __doc__\n"
    assert hashed(source) != hashed(source.replace("About the module", "Of the module"))


def test_hash_does_not_know_the_version_of_python(monkeypatch):
    """Newer versions have fields that older ones lack, which are empty where nothing new is written, and orders of
    their own.
    """
    before, parse = hashed(SOURCE), ast.parse

    def newer(source: bytes) -> ast.Module:
        parsed = parse(source)
        for node in ast.walk(parsed):
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                node._fields = ("type_params", *reversed(node._fields), "later")
                node.type_params, node.later = [], None
        return parsed

    monkeypatch.setattr(ast, "parse", newer)
    assert hashed(SOURCE) == before


def test_what_is_not_python_is_one_error(tmp_path, monkeypatch):
    with pytest.raises(InputError, match=r"^module.py:3: not valid Python: "):
        hashed("a = 1\n\ndef :\n")
    with pytest.raises(InputError, match=r"^module.py:\d+: not valid Python: "):
        hashed("a = '\0'")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"^workflow/stages/lost.py: can't be read: No such file"):
        code.digests({"lost": {}}, {})


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Sources of one stage, as the working directory."""
    files = {
        "workflow/stages/one.py": "from duo import plugins\nfrom duo.a import x\n\ndef late():\n    import duo.b\n",
        "workflow/stages/two.py": "",
        "duo/plugins.py": "",
        "duo/a.py": 'import workflow.track\nWORDS, NAME = "words/list.txt", "duo.c"\n',
        "duo/b.py": 'from duo import pack\nFOLDER = "pictures"\n',
        "duo/c.py": "",
        "duo/lone.py": "",
        "duo/words/list.txt": "a b",
        "duo/pictures/small/a.svg": "<svg/>",
        "duo/pack/__init__.py": "from .inner import deep\n",
        "duo/pack/inner/deep.py": "from ...lone import *\n",
        "duo/settings.py": "",
        "workflow/track.py": "import duo.lone\n",
        "examples/mine/__init__.py": "",
        "examples/mine/file.py": "import duo.lone\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def digest(definition: dict | None = None, values: dict | None = None, params: tuple = ()) -> code.Digest:
    return code.digests({"code": {"params": list(params)}, "one": definition or {}}, values or {})["one"]


REACHED = [
    "duo/a.py",
    "duo/b.py",
    "duo/c.py",
    "duo/lone.py",
    "duo/pack/__init__.py",
    "duo/pack/inner/deep.py",
    "duo/pictures/small/a.svg",
    "duo/plugins.py",
    "duo/words/list.txt",
    "workflow/stages/one.py",
]


def test_reached_is_what_is_imported_or_named(small):
    assert list(digest()) == REACHED
    Path("duo/pack/inner/deep.py").write_text("")
    assert list(digest()) == [file for file in REACHED if file != "duo/lone.py"]  # which only an observer imports now


@pytest.mark.parametrize("file", REACHED)
def test_a_change_shows_in_the_file_that_it_is_in_alone(small, file):
    before = digest()
    Path(file).write_text(Path(file).read_text() + "\nmore = 1\n")
    now = digest()
    assert list(code.differences(before, now)) == [f"{file}: changed"]


def test_users_classes_that_params_name_belong_to_the_stages_that_declare_them(small):
    values = {"routers": {"a": {"kind": "examples.mine.file:Router"}}, "other": ["examples:no", "mine.file:Router"]}
    mine = ["examples/mine/__init__.py", "examples/mine/file.py"]
    declared = {"foreach": "${routers}", "do": {"params": ["routers.${key}"]}}
    assert list(digest(declared, values, ("routers",))) == sorted([*REACHED, *mine])
    assert list(digest({"params": ["routers.a.kind"]}, values, ("routers.a",))) == sorted([*REACHED, *mine])
    assert list(digest({"params": ["other"]}, values, ("routers",))) == REACHED
    two = code.digests({"code": {"params": ["routers"]}, "two": declared}, values)["two"]
    assert list(two) == ["workflow/stages/two.py"]  # which doesn't load classes, and only knows their names
    with pytest.raises(InputError, match=r"^dvc.yaml: .* code lack routers, which names 'examples.mine.file:Router'"):
        digest(declared, values, ("other",))


def test_users_files_reach_what_they_name_from_the_root(small):
    for name in ("table.yaml", "lists/a.txt", "lists/b.txt", "rest.txt"):
        Path("examples/mine", name).parent.mkdir(exist_ok=True)
        Path("examples/mine", name).write_text("a")
    Path("examples/file.py").write_text('TABLE, LISTS = "examples/mine/table.yaml", "examples/mine/lists"\n')
    found = digest({"params": ["router"]}, {"router": "examples.file:Router"}, ("router",))
    data = {"examples/mine/table.yaml", "examples/mine/lists/a.txt", "examples/mine/lists/b.txt"}
    assert set(found) - set(REACHED) == {"examples/file.py"} | data


@pytest.mark.parametrize("place", ["other/helper.py", "other.py"])
def test_users_files_import_nothing_of_the_project_that_no_digest_holds(small, place):
    Path(place).parent.mkdir(exist_ok=True)
    Path(place).write_text("VALUE = 1\n")
    module = place.removesuffix(".py").replace("/", ".")
    Path("examples/file.py").write_text(f"import torch\nfrom {module} import VALUE\n")
    with pytest.raises(InputError) as caught:
        digest({"params": ["router"]}, {"router": "examples.file:Router"}, ("router",))
    told = f"examples/file.py: imports {module}, which is of this project: should lie in examples/, or no stage would"
    assert str(caught.value) == f"{told} notice its changes"


def test_scripts_alone_load_classes():
    """So that a script's own imports tell whether it does."""
    for path in [*REPOSITORY.glob("duo/**/*.py"), *REPOSITORY.glob("workflow/*.py")]:
        for node in ast.walk(tree(str(path.relative_to(REPOSITORY)))):
            assert not (isinstance(node, ast.Call) and ast.unparse(node.func) == "plugins.load"), path


def test_where_entries_have_instances_each_has_a_digest_of_its_own_class_alone(small):
    deps = [code.path("one"), code.path(code.own("kinds.${key}"))]
    definition = {"foreach": "${kinds}", "do": {"params": ["kinds.${key}", "more"], "deps": deps}}
    Path("examples/other.py").write_text("class Other: ...\n")
    values = {"kinds": {"a": "examples.mine.file:Router", "b": "built_in"}, "more": {"c": "examples.other:Other"}}
    definitions = {"code": {"params": ["kinds", "more"]}, "one": definition}
    made = code.digests(definitions, values)
    assert list(made) == ["one", "own/kinds.a", "own/kinds.b"]
    assert list(made["one"]) == sorted([*REACHED, "examples/other.py"])  # classes that all instances may load
    assert list(made["own/kinds.a"]) == ["duo/lone.py", "examples/mine/__init__.py", "examples/mine/file.py"]
    assert made["own/kinds.b"] == {}
    Path("examples/mine/file.py").write_text("import duo.lone\n\nROUTER = 1\n")
    now = code.digests(definitions, values)
    assert [name for name in made if made[name] != now[name]] == ["own/kinds.a"]
    assert list(code.differences(made["own/kinds.a"], now["own/kinds.a"])) == ["examples/mine/file.py: changed"]
    with pytest.raises(InputError, match="kinds: is missing, or neither a list nor a mapping"):
        code.digests(definitions, {})


def test_differences_name_what_is_reached_now_and_no_more(small):
    before = digest()
    Path("workflow/stages/one.py").write_text("import examples.mine.file\n")
    lines = list(code.differences(before, digest()))
    assert "examples/mine/file.py: is reached now" in lines and "duo/a.py: is reached no more" in lines


def test_what_is_known_of_a_content_is_kept(small, monkeypatch):
    before = digest()
    assert code.CACHE.exists()
    with monkeypatch.context() as patch:
        patch.setattr(code, "syntax_hash", lambda *_: pytest.fail("parsed again"))
        assert digest() == before
    for damaged in ("", "[]", '{"version": 1}', '{"version": "older", "files": {}}'):
        code.CACHE.write_text(damaged)
        assert digest() == before
    Path("duo/c.py").write_text("more = 1\n")
    assert list(code.differences(before, digest())) == ["duo/c.py: changed"]
