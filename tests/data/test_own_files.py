"""The user's own files, in the shapes that people really have them in: what can be used is read, all else is named."""

import gzip
import json
import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from duo.data import corpus, documents, own_files
from duo.data.sources import FilesDomain
from duo.errors import InputError

LEGAL = {"licence": "MIT", "attribution": "its author"}
SHARES = {"validation": 0.1, "test": 0.2, "routing": 0.1}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def files(glob, **settings):
    return FilesDomain.model_validate({"source": "files", "glob": glob, **LEGAL, **SHARES, **settings})


def put(name, content):
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Path(name).write_bytes(content.encode() if isinstance(content, str) else content)


def read(*words, **settings):
    """{id: text} of what is read, and {id: reason} of what is left out, whatever its share."""
    found, left_out = corpus.read(files(*words, **{"most_left_out": 1.0} | settings), "notes", Path())
    return {each.id: each.text for each in found}, {each.id: each.reason for each in left_out}


def table(name, columns):
    pq.write_table(pa.table(columns), name)


ROWS = ["one two", "three\u2028four", "ä sea"]
EXPECTED = {"#1": "one two", "#2": "three\u2028four", "#3": "ä sea"}


def _jsonl(rows):
    return "".join(json.dumps({"body": row}, ensure_ascii=False) + "\n" for row in rows).encode()


def _arrow(kind, rows):
    sink, data = pa.BufferOutputStream(), pa.table({"n": range(len(rows)), "body": rows})
    with kind(sink, data.schema) as writer:
        writer.write_table(data, max_chunksize=2)
    return sink.getvalue().to_pybytes()


def _zst(content):
    return pa.Codec("zstd").compress(content, asbytes=True)


FORMATS = {
    "a.jsonl": _jsonl(ROWS),
    "bom.jsonl": b"\xef\xbb\xbf" + _jsonl(ROWS),
    "cr.jsonl": _jsonl(ROWS).replace(b"\n", b"\r\n"),
    "a.jsonl.gz": gzip.compress(_jsonl(ROWS)),
    "a.jsonl.zst": _zst(_jsonl(ROWS)),
    "a.csv": "n,body\n1,one two\n2,three\u2028four\n3,ä sea\n".encode(),
    "bom.csv": b"\xef\xbb\xbf" + "body\r\none two\r\nthree\u2028four\r\nä sea\r\n".encode(),
    "a.csv.gz": gzip.compress('body,n\none two,1\n"three\u2028four",2\nä sea,3'.encode()),
    "a.tsv": "body\tn\none two\t1\nthree\u2028four\t2\nä sea\t3\n".encode(),
    "stream.arrow": _arrow(pa.ipc.new_stream, ROWS),
    "file.arrow": _arrow(pa.ipc.new_file, ROWS),
}


@pytest.mark.parametrize("name", FORMATS)
def test_rows_of_every_format(name):
    put(name, FORMATS[name])
    assert read(name, field="body") == ({f"{name}{key}": text for key, text in EXPECTED.items()}, {})


@pytest.mark.parametrize(
    "kind", [pa.string(), pa.large_string(), pa.binary(), pa.dictionary(pa.int8(), pa.string())], ids=str
)
def test_parquet_of_every_kind_of_text(kind):
    table("a.parquet", {"n": [1, 2, 3], "body": pa.array(ROWS).cast(kind)})
    assert read("a.parquet", field="body") == ({f"a.parquet{key}": text for key, text in EXPECTED.items()}, {})


@pytest.mark.parametrize(
    "value", [[{"body": "one"}, {"body": "two"}], {"0": {"body": "one"}, "1": {"body": "two"}}], ids=["list", "object"]
)
def test_json_in_one_piece(value):
    put("a.json", json.dumps(value, indent=1))
    assert read("a.json", field="body")[0] == {"a.json/0": "one", "a.json/1": "two"}


def test_text_is_a_document_a_file_or_stands_between_separators():
    put("b.md", "# bee\n\nbuzz\n")
    put("deep/er/a.txt", b"\xef\xbb\xbf\xc3\xa4 sea\r\n")
    put("deep/big.txt.gz", gzip.compress(b"one\n\ntwo\n\n\n\nthree"))
    assert read(["**/*.txt", "*.md"])[0] == {"b.md": "# bee\n\nbuzz\n", "deep/er/a.txt": "ä sea\r\n"}
    both = {"deep/big.txt.gz#1": "one", "deep/big.txt.gz#2": "two", "deep/big.txt.gz#4": "three"}
    assert read("deep/*.gz".replace("*", "*.txt"), separator="\n\n")[0] == both


def test_separators_across_pieces_of_reading(monkeypatch):
    monkeypatch.setattr(own_files, "CHUNK", 3)
    put("a.txt", "one<|end|>two<|end|>three<|end|>")
    assert list(read("a.txt", separator="<|end|>")[0].values()) == ["one", "two", "three"]


def test_what_is_no_document_is_left_out_with_its_reason(monkeypatch):
    monkeypatch.setattr(documents, "LONGEST", 200)
    monkeypatch.setattr(own_files, "LONGEST", 200)
    rows = {
        "good": b'{"body": "a b"}',
        "blank": b'{"body": " \\n"}',
        "repeated": b'{"body": "a b", "n": 2}',
        "no text": b'{"body": null}',
        "no text ": b'{"text": "other key"}',
        "no text  ": b'["no object"]',
        "no text   ": b'{"body": 3}',
        "not UTF-8": b'{"body": "caf\xe9"}',
        "not UTF-8 ": b'{"body": "\\ud800"}',
        "not JSON": b'{"body": "cut sho',
        "not JSON ": b"[" * 190,
        "too long": b'{"body": "' + b"a " * 200 + b'"}',
        "last": b'{"body": "c d"}',
    }
    put("a.jsonl", b"\n\n".join(rows.values()))  # lines between rows are no rows
    found, left_out = read("a.jsonl", field="body")
    places = {f"a.jsonl#{2 * index + 1}": reason.strip() for index, reason in enumerate(rows)}
    assert left_out == {place: reason for place, reason in places.items() if reason not in ("good", "last")}
    assert list(found.values()) == ["a b", "c d"]


def test_the_same_for_files_of_text(monkeypatch):
    monkeypatch.setattr(documents, "LONGEST", 200)
    monkeypatch.setattr(own_files, "LONGEST", 200)
    contents = {"blank": b" \n\t", "not UTF-8": "utf-16".encode("utf-16"), "too long": b"a " * 200, "empty": b""}
    for name, content in {"good": b"a b", **contents}.items():
        put(f"{name}.txt", content)
    found, left_out = read("*.txt")
    assert found == {"good.txt": "a b"}
    assert left_out == {f"{name}.txt": "blank" if name == "empty" else name for name in contents}


def test_the_same_for_columns():
    table("a.parquet", {"body": pa.array([b"a b", None, b"caf\xe9", b""]).cast(pa.binary())})
    assert read("a.parquet", field="body") == (
        {"a.parquet#1": "a b"},
        {"a.parquet#2": "no text", "a.parquet#3": "not UTF-8", "a.parquet#4": "blank"},
    )
    put("a.csv", b'body,n\na b,1\n,2\n"caf\xe9",3\n')
    put("b.csv", b"n,body\n1\n2,c d\n")
    assert read("*.csv", field="body") == (
        {"a.csv#1": "a b", "b.csv#2": "c d"},
        {"a.csv#2": "blank", "a.csv#3": "not UTF-8", "b.csv#1": "no text"},
    )


def test_text_marked_as_utf8_that_is_none():
    """Spark, DuckDB and others write such columns."""
    bad = pa.Array.from_buffers(pa.string(), 2, pa.array([b"a b", b"caf\xe9"]).buffers())
    table("a.parquet", {"body": bad})
    assert read("a.parquet", field="body") == ({"a.parquet#1": "a b"}, {"a.parquet#2": "not UTF-8"})


def test_losing_more_than_the_share_is_an_error_with_an_example():
    put("a.jsonl", b'{"body": "a b"}\n' + b'{"text": "c"}\n' * 2)
    message = (
        "domain 'notes': 2 of 3 documents would be left out (2 no text; the first: a.jsonl#2, has no key 'body'; it "
        "has text); mend them, or raise most_left_out (now 0.1)"
    )
    with pytest.raises(InputError) as caught:
        read("a.jsonl", field="body", most_left_out=0.1)
    assert str(caught.value) == message
    assert len(read("a.jsonl", field="body", most_left_out=0.67)[0]) == 1


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", b"", "domain 'notes': its source holds no text"),
        ("a.json", b'{"body', "a.json: not valid JSON"),
        ("a.json", b"3", "a.json: should hold a JSON object or list of objects, not int"),
        ("a.json", b"[" * 100_000, "a.json: not valid JSON"),
        ("a.csv", b"text,n\na,1\n", "a.csv: has no column 'body'; it has text, n"),
        ("a.csv", b"", "a.csv: has no column 'body'; it has none"),
        ("a.parquet", b"PAR1 cut short", "a.parquet: can't be read: "),
        ("a.arrow", b"nothing of the kind", "a.arrow: can't be read: "),
        ("a.jsonl.gz", b"no gzip", "a.jsonl.gz: can't be read: "),
        ("a.jsonl.gz", gzip.compress(_jsonl(["word " * 1000]), mtime=0)[:-20], "a.jsonl.gz: can't be read: "),
        ("a.jsonl.zst", b"no zstd", "a.jsonl.zst: can't be read: "),
    ],
)
def test_bad_file_is_named(name, content, message):
    put(name, content)
    with pytest.raises(InputError, match=message):
        read(name, field="body")


def test_column_of_numbers_is_no_text():
    table("a.parquet", {"body": [1, 2]})
    with pytest.raises(InputError, match=r"a.parquet: column 'body' holds int64; should be text"):
        read("a.parquet", field="body")
    with pytest.raises(InputError, match=r"a.parquet: has no column 'text'; it has body"):
        read("a.parquet", field="text")


def test_what_unpacks_to_too_much_is_left_out_in_little_memory(monkeypatch):
    """A few kilobytes of gzip are a gigabyte of zeros; here 20 MB stand for them, against a limit of 1 MB."""
    for module in (documents, own_files):
        monkeypatch.setattr(module, "LONGEST", 2**20)
    monkeypatch.setattr(own_files, "LONGEST_JSON", 2**20)
    bomb = gzip.compress(b"0" * 20_000_000)
    for name in ("a.txt.gz", "a.jsonl.gz", "a.csv.gz", "a.json.gz"):
        put(name, bomb)
    put("good.txt", "a b")
    assert read(["*.txt", "a.txt.gz"])[1] == {"a.txt.gz": "too long"}
    assert read(["*.txt", "a.txt.gz"], separator="\n\n")[1] == {"a.txt.gz#1": "too long"}
    put("b.jsonl", _jsonl(ROWS))
    assert read(["*.jsonl", "a.jsonl.gz"], field="body")[1] == {"a.jsonl.gz#1": "too long"}
    with pytest.raises(InputError, match=r"a.csv.gz, line 1: over 1,048,576 bytes"):
        read("a.csv.gz", field="body")
    with pytest.raises(InputError, match=r"a.json.gz: over 1,048,576 bytes of JSON in one piece"):
        read("a.json.gz", field="body")


# Which files


def test_links_to_folders_are_not_followed_nor_hidden_names_read():
    """Two links to where they stand would make 2^40 paths."""
    put("a.txt", "a b")
    put(".hidden.txt", "c d")
    put(".git/e.txt", "e f")
    put("._a.txt", "g h")
    for name in ("x", "y"):
        os.symlink(".", name)
    os.symlink("a.txt", "link.txt")
    assert read("**/*.txt") == ({"a.txt": "a b"}, {"link.txt": "repeated"})


def test_names_that_are_no_unicode():
    for name in FORMATS:
        Path(os.fsdecode(b"caf\xe9-") + name).write_bytes(FORMATS[name])
        assert read(f"*{name}", field="body")[0] == {f"caf\\xe9-{name}{key}": text for key, text in EXPECTED.items()}


@pytest.mark.parametrize(
    ("glob", "message"),
    [
        ("none/*.txt", r"domain 'notes': no file in \. matches 'none/\*\.txt'$"),
        (["a.txt", "*.md"], r"no file in \. matches '\*\.md'"),
    ],
)
def test_glob_that_matches_nothing(glob, message):
    put("a.txt", "a b")
    with pytest.raises(InputError, match=message):
        read(glob)


def test_globs_are_of_the_folder():
    put("a.txt", "a b")
    Path("own").mkdir()
    with pytest.raises(
        InputError, match=r"no file in own matches 'a\.txt'; globs are relative to own \(params own_text\)"
    ):
        corpus.read(files("a.txt"), "notes", Path("own"))
    with pytest.raises(InputError, match=r"own/none: can't be read: No such file or directory"):
        corpus.read(files("a.txt"), "notes", Path("own/none"))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"glob": "notes/*.doc"},
            "glob: 'notes/\\*.doc' must end in .txt, .md, .jsonl, .json, .csv, .tsv, .parquet, .arrow, be",
        ),
        ({"glob": "../a.txt"}, "glob: '../a.txt' must be relative to the folder of own_text, and stay in it"),
        ({"glob": "/etc/a.txt"}, "glob: '/etc/a.txt' must be relative"),
        ({"glob": "a.parquet.gz", "field": "body"}, "glob: 'a.parquet.gz' must end in"),
        ({"glob": "a.txt", "field": "body"}, "field: 'body' has no effect on text files"),
        ({"glob": "a.jsonl"}, "field: is missing; it names the text in each row"),
        ({"glob": "a.jsonl", "field": "body", "separator": "x"}, "separator: 'x' has no effect on files with rows"),
        ({"glob": ["a.txt", "a.csv"], "field": "b", "split_field": "s"}, "split_field: 's' can't be had of text files"),
        ({"glob": {"train": "a.txt", "test": "b.txt"}}, "test: 0.2 has no effect, as the source gives this split"),
        ({"glob": {"test": "b.txt"}, "test": None}, r"glob: \['test'\] needs train, of which shares are taken, or all"),
        ({"glob": "a.txt", "test": None}, "test: must be given"),
        ({"glob": []}, "glob: \\[\\] should be a glob, a list of globs, or either by split"),
        ({"glob": {"dev": "a.txt"}}, "glob: {'dev': 'a.txt'} should be a glob, a list of globs, or"),
    ],
)
def test_settings_that_make_no_sense(settings, message):
    with pytest.raises(ValidationError, match=message):
        files(**settings)


# Splits that the files give


def test_globs_by_split_and_shares_of_training_for_the_others():
    for number in range(20):
        put(f"train/{number}.txt", f"train {number}")
    for number in range(3):
        put(f"dev/{number}.txt", f"dev {number}")
    domain = files({"train": "train/*.txt", "validation": ["dev/*.txt"]}, validation=None)
    columns = corpus.split(corpus.read(domain, "notes", Path())[0], domain, "notes", seed=1)
    assert {name: columns["split"].count(name) for name in set(columns["split"])} == {
        "train": 14,
        "validation": 3,
        "test": 4,
        "routing": 2,
    }
    splits = dict(zip(columns["id"], columns["split"], strict=True))
    assert {split for name, split in splits.items() if name.startswith("dev/")} == {"validation"}


def test_a_file_of_two_splits_is_refused():
    put("a.txt", "a b")
    with pytest.raises(InputError, match=r"domain 'notes': globs of train and of test match a\.txt"):
        read({"train": "*.txt", "test": "a.txt"}, test=None)


def test_column_that_names_the_split():
    names = ["train"] * 8 + ["test"] * 2
    put("a.jsonl", "".join(json.dumps({"body": f"t {n}", "part": part}) + "\n" for n, part in enumerate(names)))
    settings = {"field": "body", "split_field": "part", "test": None}
    domain = files("a.jsonl", **settings)
    columns = corpus.split(corpus.read(domain, "notes", Path())[0], domain, "notes", seed=1)
    assert columns["split"][-2:] == ["test", "test"] and set(columns["split"][:8]) == {"train", "validation", "routing"}
    put("a.jsonl", '{"body": "a", "part": "dev"}\n')
    with pytest.raises(InputError, match=r"a.jsonl, #1: 'part' is 'dev'; should be one of train, test$"):
        read("a.jsonl", **settings)
    table("a.parquet", {"body": ["a"], "part": ["test"]})
    with pytest.raises(InputError, match=r"none of its 1 documents falls to the train split"):
        domain = files("a.parquet", **settings)
        corpus.split(corpus.read(domain, "notes", Path())[0], domain, "notes", seed=1)


def test_one_large_file_is_one_document_and_the_error_says_what_to_do():
    put("input.txt", "a b")
    domain = files("input.txt")
    with pytest.raises(InputError, match="; a text file is one document, unless `separator` says what stands between"):
        corpus.split(corpus.read(domain, "notes", Path())[0], domain, "notes", seed=1)
