"""Text from every kind of source, split without leaks; bad sources end in one error that names them."""

import gzip
import hashlib
import json
import re
import subprocess
import sys
import zipfile
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from project import REPOSITORY
from ruamel.yaml import YAML

from duo.data import corpus
from duo.data.sources import FilesDomain, HuggingFaceDomain, WheelDomain
from duo.errors import InputError
from duo.tables.data import CACHE, DOCUMENTS, SPLITS
from workflow.params import Params, read_yaml

LEGAL = {"licence": "MIT", "attribution": "its author"}
SHARES = {"validation": 0.1, "test": 0.2, "routing": 0.1}


@pytest.fixture(autouse=True)
def own_artifacts(tmp_path, monkeypatch):
    monkeypatch.setattr("duo.tables.files.ROOT", tmp_path / "artifacts")


@pytest.fixture
def index(tmp_path, monkeypatch):
    """An empty folder that is all pip knows."""
    folder = tmp_path / "index"
    folder.mkdir()
    for name, value in {"PIP_CONFIG_FILE": "/dev/null", "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(folder)}.items():
        monkeypatch.setenv(name, value)
    return folder


def wheel(index, name, contents, **settings):
    """Put a wheel with the given members in the index; its entry in params.yaml."""
    path = index / f"{name}-1.0-py3-none-any.whl"
    info = f"{name}-1.0.dist-info"
    about = {
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\n",
    }
    with zipfile.ZipFile(path, "w") as archive:
        for member, content in (contents | about).items():
            archive.writestr(member, content)
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    return {"name": name, "version": "1.0", "sha256": sha256, "members": f"{name}/*.py", **LEGAL, **settings}


def cached(index, *args, **settings):
    """Like `wheel`, as if fetched before: pip takes a second."""
    entry = wheel(index, *args, **settings)
    path = CACHE.path(name="wheels/box-1.0.whl")
    path.parent.mkdir(parents=True)
    (index / "box-1.0-py3-none-any.whl").rename(path)
    return entry


def wheels(*entries, **settings):
    return WheelDomain.model_validate({"source": "wheel", "wheels": list(entries), **(settings or SHARES)})


def files(glob, **settings):
    return FilesDomain.model_validate({"source": "files", "glob": glob, **LEGAL, **SHARES, **settings})


def read(domain, name="notes", own_text="."):
    return corpus.read(domain, name, Path(own_text))[0]


def ids(found):
    return [document.id for document in found]


# Wheels


def test_wheel_gives_its_matching_files_in_order_without_blanks_and_repeats(index):
    members = {
        "box/b.py": "b = 1\n",
        "box/a.py": "a = 1\n",
        "box/__init__.py": "\n",
        "box/sub/copy.py": "a = 1\n",
        "box/data.bin": b"\xff",
    }
    domain = wheels(wheel(index, "box", members), most_left_out=0.5, **SHARES)
    documents, left_out = corpus.read(domain, "code", Path())
    assert ids(documents) == ["box/box/a.py", "box/box/b.py"]
    assert {each.id: each.reason for each in left_out} == {
        "box/box/__init__.py": "blank",
        "box/box/sub/copy.py": "repeated",
    }
    assert [document.text for document in documents] == ["a = 1\n", "b = 1\n"]
    assert {(document.source, document.licence) for document in documents} == {("box 1.0: its author", "MIT")}


@pytest.mark.parametrize(
    ("objects", "keys"),
    [({"Bee": {"extract": "a bee"}}, ["Bee"]), ([{"extract": "x"}, {"extract": "y"}], ["0", "1"])],
    ids=["dict", "list"],
)
def test_json_in_a_wheel_gives_a_document_an_object(index, objects, keys):
    entry = cached(index, "box", {"box/all.json": json.dumps(objects)}, members="*.json", field="extract")
    assert ids(read(wheels(entry), "text")) == [f"box/box/all.json/{key}" for key in keys]


def test_wheel_is_fetched_once_and_mended_when_its_cached_file_is_damaged(index):
    domain = wheels(wheel(index, "box", {"box/a.py": "a = 1"}))
    first = read(domain, "code")
    cached = CACHE.path(name="wheels/box-1.0.whl")
    cached.write_bytes(cached.read_bytes()[:100])
    assert read(domain, "code") == first
    for path in index.iterdir():
        path.unlink()
    assert read(domain, "code") == first


def test_wheels_that_are_missing_are_fetched_by_one_call_of_pip(index, monkeypatch):
    entries = [wheel(index, name, {f"{name}/a.py": f"{name} = 1"}) for name in ("box", "bag", "bin")]
    called, run = [], subprocess.run
    monkeypatch.setattr(subprocess, "run", lambda command, **options: called.append(command) or run(command, **options))
    found = read(wheels(*entries), "code")
    assert [document.text for document in found] == ["box = 1", "bag = 1", "bin = 1"] and len(called) == 1


def test_one_bad_wheel_among_several_is_the_one_that_is_named(index):
    entries = [wheel(index, name, {f"{name}/a.py": f"{name} = 1"}) for name in ("box", "bag")]
    with pytest.raises(InputError, match=r"wheel bax==1\.0: pip could not download it"):
        read(wheels(*entries, entries[0] | {"name": "bax"}), "code")
    with pytest.raises(InputError, match=r"wheel bag 1\.0: sha256 should be"):
        read(wheels(entries[0], entries[1] | {"sha256": "0" * 64}), "code")


def test_wheel_with_another_hash_is_refused_and_not_kept(index, tmp_path):
    entry = wheel(index, "box", {"box/a.py": "a = 1"})
    found, entry["sha256"] = entry["sha256"], "0" * 64
    with pytest.raises(InputError, match=f"wheel box 1.0: sha256 should be {'0' * 64}, but pip delivered {found}"):
        read(wheels(entry), "code")
    assert not list((tmp_path / "artifacts").rglob("*.whl*"))


def test_unknown_wheel_is_one_error(index):
    entry = wheel(index, "box", {"box/a.py": "a = 1"}) | {"name": "bax"}
    with pytest.raises(InputError, match=r"wheel bax==1\.0: pip could not download it \(.*bax==1\.0\); check its name"):
        read(wheels(entry), "code")


def test_an_environment_without_pip_says_what_to_do(index, monkeypatch):
    without = subprocess.CompletedProcess([], 1, "", "python: No module named pip\n")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: without)
    with pytest.raises(InputError) as caught:
        read(wheels(wheel(index, "box", {"box/a.py": "a = 1"})), "code")
    told = (
        "(python: No module named pip); `python -m ensurepip` puts pip into this environment; or put the file there by "
    )
    assert f"{told}hand, as {CACHE.path(name='wheels/box-1.0.whl')}" in str(caught.value)


def test_a_file_that_was_put_into_the_cache_by_hand_needs_no_pip(index, monkeypatch):
    monkeypatch.setattr(subprocess, "run", None)
    assert ids(read(wheels(cached(index, "box", {"box/a.py": "a = 1"})), "code")) == ["box/box/a.py"]


def test_a_pinned_file_that_is_no_wheel(index):
    entry = cached(index, "box", {"box/a.py": "a = 1"})
    path = CACHE.path(name="wheels/box-1.0.whl")
    path.write_bytes(b"no zip")
    entry["sha256"] = hashlib.sha256(b"no zip").hexdigest()
    with pytest.raises(InputError, match=r"wheel box 1\.0: no wheel \(File is not a zip file\); check its sha256"):
        read(wheels(entry), "code")


def test_no_network_is_one_error(index, monkeypatch):
    for name, value in {"PIP_NO_INDEX": "0", "PIP_INDEX_URL": "http://127.0.0.1:9/simple", "PIP_RETRIES": "0"}.items():
        monkeypatch.setenv(name, value)
    entry = wheel(index, "box", {"box/a.py": "a = 1"}) | {"name": "bax"}
    with pytest.raises(InputError, match=r"wheel bax==1\.0: pip could not download it") as caught:
        read(wheels(entry), "code")
    assert len(str(caught.value).splitlines()) == 1


def test_pip_takes_no_wheel_of_a_platform(index, monkeypatch):
    """Else params.yaml's sha256 would hold on one kind of machine only."""
    seen = []

    def run(command, **_):
        seen.extend(command)
        return subprocess.CompletedProcess(command, 1, "", "")

    monkeypatch.setattr(subprocess, "run", run)
    with pytest.raises(InputError, match="no reason given"):
        read(wheels(wheel(index, "box", {"box/a.py": "a = 1"})), "code")
    assert seen[seen.index("--platform") + 1] == "any" and seen[seen.index("--abi") + 1] == "none"


@pytest.mark.parametrize(
    ("members", "settings", "message"),
    [
        ({"box/a.txt": "a"}, {}, "wheel box 1.0: no file matches 'box/\\*.py'"),
        ({"box/a.py": b"a = '\xff'"}, {}, r"left out \(1 not UTF-8; the first: box/box/a.py, byte 5 is 0xff\)"),
        ({"box/a.py": "{"}, {"field": "extract"}, "wheel box 1.0, box/a.py: not valid JSON"),
        ({"box/a.py": "3"}, {"field": "extract"}, "box/a.py: should hold a JSON object or list of objects, not int"),
        ({"box/a.py": '{"Bee": {"text": "a"}}'}, {"field": "extract"}, "/Bee, has no key 'extract'; it has text"),
        ({"box/a.py": '{"Bee": {"extract": 3}}'}, {"field": "extract"}, "/Bee, 'extract' should be text, not int"),
        (
            {"box/a.py": '{"Bee": {"extract": "\\ud800"}}'},
            {"field": "extract"},
            "1 not UTF-8; the first: .*/Bee, 'extr",
        ),
        (
            {"box/a.py": " \n"},
            {},
            r"domain 'code': 1 of 1 documents would be left out \(1 blank; the first: box/box/a.py",
        ),
    ],
)
def test_bad_wheel_names_what_is_wrong(index, members, settings, message):
    with pytest.raises(InputError, match=message):
        read(wheels(cached(index, "box", members, **settings)), "code")


# Hugging Face


def test_hugging_face_data_set_is_read_up_to_its_limit(tmp_path, monkeypatch):
    pytest.importorskip("datasets", reason="the huggingface extra is not installed")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    (tmp_path / "set/data").mkdir(parents=True)
    for shard, texts in enumerate([["a", "a", " ", "b"], ["c", "d"]]):
        pq.write_table(pa.table({"body": texts}), tmp_path / f"set/data/train-0000{shard}-of-00002.parquet")
    settings = {"source": "huggingface", "path": str(tmp_path / "set"), "field": "body", "limit": 3, **LEGAL, **SHARES}
    settings["most_left_out"] = 0.5
    documents = read(HuggingFaceDomain.model_validate(settings), "web")
    assert [(document.id, document.text) for document in documents] == [
        ("train/0", "a"),
        ("train/3", "b"),
        ("train/4", "c"),
    ]
    for wrong, message in [
        ({"field": "text"}, r"set: has no key 'text'; it has body"),
        ({"subset": "dev"}, "could not be read"),
        ({"path": "no/such"}, "could not"),
    ]:
        with pytest.raises(InputError, match=message):
            read(HuggingFaceDomain.model_validate(settings | wrong), "web")


def test_missing_library_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    domain = HuggingFaceDomain.model_validate(
        {"source": "huggingface", "path": "x/y", "field": "text", "limit": 3, **LEGAL, **SHARES}
    )
    with pytest.raises(InputError, match=r'pip install "\.\[huggingface\]" in the checkout'):
        read(domain, "web")


# Split


def documents(count, split=None):
    return [corpus.Document(f"{split}{index}", f"text {index}", "", "MIT", split) for index in range(count)]


def test_shares_by_document_are_exact_and_drawn_by_seed():
    columns = corpus.split(documents(50), files("a.txt"), "notes", seed=1)
    assert Counter(columns["split"]) == {"train": 30, "validation": 5, "test": 10, "routing": 5}
    assert columns["id"] == ids(documents(50))
    assert corpus.split(documents(50), files("a.txt"), "notes", seed=1) == columns
    assert corpus.split(documents(50), files("a.txt"), "notes", seed=2)["split"] != columns["split"]


def test_limit_draws_by_seed_and_keeps_the_order():
    kept = corpus.split(documents(50), files("a.txt", limit=20), "notes", seed=1)
    numbers = [int(text.split()[1]) for text in kept["text"]]
    assert len(numbers) == 20 and numbers == sorted(numbers) and numbers != list(range(20))
    assert Counter(kept["split"]) == {"train": 12, "validation": 2, "test": 4, "routing": 2}


def test_split_by_package_is_the_wheels_own(index):
    entries = [
        wheel(index, name, {f"{name}/a.py": name}, split=part) for name, part in zip("xyzr", SPLITS, strict=True)
    ]
    domain = wheels(*entries, split_by="package")
    columns = corpus.split(read(domain, "code"), domain, "code", seed=1)
    DOCUMENTS.write(columns, domain="code")
    written = DOCUMENTS.read(domain="code").to_pydict()
    assert dict(zip(written["id"], written["split"], strict=True)) == {
        "x/x/a.py": "train",
        "y/y/a.py": "validation",
        "z/z/a.py": "test",
        "r/r/a.py": "routing",
    }
    assert written["cluster"] == ["x", "y", "z", "r"]


def packaged(**splits):
    """Ten documents of each package, and the packages' entries in params.yaml."""
    found = [
        corpus.Document(f"{name}/{index}", f"{name} {index}", "", "MIT", split, name)
        for name, split in splits.items()
        for index in range(10)
    ]
    about = {"version": "1.0", "sha256": "0" * 64, "members": "*.py", **LEGAL}
    return found, [about | {"name": name, "split": split} for name, split in splits.items()]


def test_several_packages_are_the_clusters_however_they_are_split():
    """Of a single one, such as a wheel of many articles, the documents are."""
    for names, expected in (("xy", ["x"] * 10 + ["y"] * 10), ("x", [f"x/{index}" for index in range(10)])):
        found, entries = packaged(**dict.fromkeys(names))
        assert corpus.split(found, wheels(*entries), "code", seed=1)["cluster"] == expected


def test_packages_may_be_without_training_but_what_is_named_must_be_there():
    found, entries = packaged(y="validation", z="test", r="routing")
    columns = corpus.split(found, wheels(*entries, split_by="package"), "code", seed=1)
    assert list(dict.fromkeys(columns["split"])) == ["validation", "test", "routing"]
    _, entries = packaged(x="train", y="validation", z="test", r="routing")
    with pytest.raises(InputError, match="none of its 30 documents falls to the train split"):
        corpus.split(found, wheels(*entries, split_by="package"), "code", seed=1)


def test_too_few_documents_for_a_split():
    with pytest.raises(InputError, match="none of its 4 documents falls to the validation split"):
        corpus.split(documents(4), files("a.txt"), "notes", seed=1)


# Documentation


def documented() -> dict[str, dict]:
    """The domains in docs/data.md's examples, and in the file that it says to copy."""
    text = (REPOSITORY / "docs/data.md").read_text(encoding="utf-8")
    examples = [YAML(typ="safe").load(block) for block in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)]
    examples.append(read_yaml(REPOSITORY / "params/mine.yaml"))
    return {name: domain for example in examples for name, domain in example["corpus"].items() if domain}


def test_examples_in_the_docs_work(tmp_path):
    values = read_yaml(REPOSITORY / "params.yaml")
    domains = Params.model_validate(values | {"corpus": documented()}).corpus
    assert {type(domain) for domain in domains.values()} == {FilesDomain, HuggingFaceDomain}
    for number in range(10):
        for name in (f"notes/deep/{number}.txt", f"letters/{number}.jsonl.gz", f"reviews/train-{number}.parquet"):
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / f"notes/deep/{number}.txt").write_text(f"note {number}")
        (tmp_path / f"letters/{number}.jsonl.gz").write_bytes(gzip.compress(b'{"body": "letter %d"}' % number))
        pq.write_table(pa.table({"text": [f"review {number}"]}), tmp_path / f"reviews/train-{number}.parquet")
    (tmp_path / "notes/list.md").write_text("- one more note")
    (tmp_path / "stories.txt").write_text("<|endoftext|>".join(f"story {number}" for number in range(10)))
    for name in ("dev", "test"):
        pq.write_table(pa.table({"text": [f"review of {name}"]}), tmp_path / f"reviews/{name}.parquet")
    parts = ["train"] * 8 + ["validation", "test"]
    rows = [f"question {number},{part}" for number, part in enumerate(parts)]
    (tmp_path / "questions.csv").write_text("\n".join(["text,part", *rows]))
    found = {}
    for name, domain in domains.items():
        if isinstance(domain, FilesDomain):
            columns = corpus.split(read(domain, name, tmp_path), domain, name, seed=1)
            found[name] = [columns["split"].count(split) for split in ("train", "validation", "test", "routing")]
    assert found == {
        "notes": [8, 1, 1, 1],
        "letters": [7, 1, 1, 1],
        "stories": [7, 1, 1, 1],
        "reviews": [9, 1, 1, 1],
        "questions": [7, 1, 1, 1],
        "mine": [6, 1, 2, 2],
    }
