"""`python -m duo audit` on a tiny pretrained model, from a folder where there is nothing else."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from project import REPOSITORY
from saved_model import save

import duo
from duo.auditing import command, texts
from duo.figures import base
from duo.model import pretrained

FILES = [
    "audit.json",
    "by_departures.parquet",
    "choices.parquet",
    "gain.png",
    "gain.svg",
    "index.html",
    "losses.parquet",
    "routes.parquet",
]
SMALL = "--documents 4 --tokens 12 --precision fp32"


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A folder with a model and 18 texts, of which two begin alike and one is short."""
    root = tmp_path_factory.mktemp("a {fresh} folder")
    save(root / "my-model", layers=4, scale=6.0)
    rng = np.random.default_rng(0)
    for index in range(18):
        path = root / f"texts/{'ab'[index % 2]}/{index}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(map(chr, rng.integers(32, 127, 150))) if index < 17 else "short")
    (root / "texts/a/0.txt").write_text((root / "texts/b/1.txt").read_text())
    return root


@pytest.fixture(autouse=True)
def in_place(place, monkeypatch):
    monkeypatch.chdir(place)
    yield
    torch.use_deterministic_algorithms(False)


def environment(path: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(path), "HF_HUB_OFFLINE": "1"}


def audit(words: str) -> None:
    command.main(shlex.split(words))


@pytest.fixture(scope="module")
def finished(place, tmp_path_factory) -> subprocess.CompletedProcess:
    """The command where neither the workflow nor a checkout is: beside the package alone."""
    site = tmp_path_factory.mktemp("site")
    (site / "duo").symlink_to(REPOSITORY / "duo")
    return subprocess.run(
        [sys.executable, *shlex.split(f"-m duo audit my-model --text 'texts/**/*.txt' {SMALL} --out found")],
        cwd=place,
        env=environment(site),
        capture_output=True,
        text=True,
    )


def test_it_runs_in_a_fresh_folder_and_leaves_one(place, finished):
    assert finished.returncode == 0, finished.stderr
    assert sorted(path.name for path in (place / "found").iterdir()) == FILES
    assert sorted(path.name for path in place.iterdir() if path.name != "my-losses.parquet")[:1] == ["found"]
    said = r"11 routes, 4 documents of 12 tokens: 528 losses; about [\d.]+ MFLOP; at most about [\d.]+ MB of memory, "
    assert re.search(said, finished.stderr) and "departures: 528 of 528 losses" in finished.stderr


def test_it_says_what_the_function_says(place, finished):
    model, tokenizer = pretrained.load("my-model")
    names, ids = texts.windows(texts.find("texts/**/*.txt", 1), tokenizer, 4, 12)
    rows, calibration = duo.audit(model, ids, context=1, seed=1)
    found = json.loads((place / "found/audit.json").read_text())
    table = duo.load(place / "found").table("by_departures").to_pylist()
    assert found["rows"] == table and len(table) == len(rows) == 2
    assert found["calibration"]["temperatures"] == pytest.approx(list(calibration.temperatures))
    for row, shown in zip(rows, table, strict=True):
        for name in row._fields[2:]:
            ends = [shown[name], shown[f"{name}_low"], shown[f"{name}_high"]]
            assert ends == pytest.approx([*getattr(row, name)], rel=1e-4, abs=1e-6), name
        assert f"{row.unexplained.value:+.3f}" in finished.stdout
    page = (place / "found/index.html").read_text()
    assert all(f"{row.gain.value:+.3f}" in page and f"{row.foreseen.value:+.3f}" in page for row in rows)
    assert set(duo.load(place / "found").table("losses")["document"].to_pylist()) == set(names)


def test_choices_are_those_of_the_losses(place, finished):
    run = duo.load(place / "found")
    losses, routes, choices = (run.table(name) for name in ("losses", "routes", "choices"))
    true = np.stack(losses.filter(pa.compute.equal(losses["labels"], "true"))["losses"].to_pylist())
    away = routes["departures"].to_numpy()
    assert [len(layers) for layers in routes["left_out"].to_pylist()] == away.tolist()
    rows = {row["departures"]: row for row in run.table("by_departures").to_pylist()}
    for most in (1, 2):
        part = choices.filter(pa.compute.equal(choices["departures"], most))
        for who in ("oracle", "foreseen"):
            route, loss = part[f"{who}_route"].to_numpy(), part[f"{who}_loss"].to_numpy()
            assert (away[route] <= most).all()
            np.testing.assert_array_equal(true[np.arange(len(true)), route], loss)
        np.testing.assert_array_equal(part["oracle_loss"].to_numpy(), true[:, away <= most].min(axis=1))
        gain = (part["reference_loss"].to_numpy() - part["oracle_loss"].to_numpy()).mean()
        assert rows[most]["gain"] == pytest.approx(gain, rel=1e-5)
        assert rows[most]["null_gain"] == pytest.approx(part["null_gain"].to_numpy().mean(), rel=1e-5)


def test_its_losses_can_be_audited_by_themselves(place, finished, tmp_path):
    audit(f"--losses found/losses.parquet --out '{tmp_path}/again'")
    again = json.loads((tmp_path / "again/audit.json").read_text())["rows"]
    rows = duo.load(place / "found").table("by_departures").to_pylist()
    for one, other in zip(again, rows, strict=True):
        for name in ("gain", "gain_low", "fixed", "routes", "departures"):
            assert one[name] == pytest.approx(other[name], rel=1e-5)
        assert one["null_gain_low"] < other["null_gain"] < one["null_gain_high"]


def test_the_same_command_leaves_the_same_bytes_and_no_path(place, finished, tmp_path):
    audit(f"my-model --text 'texts/**/*.txt' {SMALL} --out '{tmp_path}/other'")
    for name in FILES:
        content = (place / "found" / name).read_bytes()
        assert content == (tmp_path / "other" / name).read_bytes(), name
        assert os.fsencode(place.name) not in content


def test_blocks_alone_try_all_routes(tmp_path):
    audit(f"my-model --text 'texts/**/*.txt' {SMALL} --blocks 2 --skip layer --out '{tmp_path}/blocks'")
    run = duo.load(tmp_path / "blocks")
    assert [(row["departures"], row["routes"]) for row in run.table("by_departures").to_pylist()] == [(1, 3), (2, 4)]
    left_out = run.table("routes")["left_out"].to_pylist()
    assert sorted(left_out) == [[], [0, 1], [0, 1, 2, 3], [2, 3]]
    audit(f"my-model --text 'texts/**/*.txt' {SMALL} --blocks 4 --departures 1 --out '{tmp_path}/few'")
    assert len(duo.load(tmp_path / "few").table("routes")) == 5


def test_texts_are_drawn_by_the_seed_and_repeats_are_passed_over(place):
    _, tokenizer = pretrained.load("my-model")
    orders = [texts.find("texts/**/*.txt", seed) for seed in (1, 1, 2)]
    assert orders[0] == orders[1] != orders[2] and sorted(orders[0]) == sorted(orders[2])
    names, ids = texts.windows(orders[0], tokenizer, 16, 12)
    assert len({*map(tuple, ids.tolist())}) == 16 and not {"a/0.txt", "b/1.txt"} <= {*names}
    for name, row in zip(names, ids, strict=True):
        assert "".join(map(chr, row[1:])) == (place / "texts" / name).read_text()[:13] and row[0] == 128


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("", "nothing given; should be MODEL and --text GLOB, or --losses FILE"),
        ("my-model", "MODEL given; should be MODEL and --text"),
        ("my-model --text t --losses x", "MODEL and --text and --losses given"),
        ("my-model --text 'nothing/*'", r"--text: no file matches 'nothing/\*'"),
        ("nowhere --text 'texts/*/*'", "MODEL: 'nowhere' can't be read"),
        ("gone.gguf --text 'texts/*/*'", "MODEL: 'gone.gguf' is no file"),
        (
            "my-model --text 'texts/*/*' --documents 17 --tokens 12",
            "16 of 18 texts have 13 tokens or more and begin unl",
        ),
        ("my-model --text 'texts/*/*' --documents 2 --tokens 151", "0 of 18 texts have 152 tokens or more"),
        ("my-model --text 'latin.txt'", "0 of 1 texts have .*, 1 can't be read as text; should be"),
        ("my-model --text 'texts/*/*' --documents 1", "--documents 1: should be 2 or more"),
        ("my-model --text 'texts/*/*' --tokens 0", "--tokens 0: should be 1 or more"),
        ("my-model --text 'texts/*/*' --tokens 100000", "--tokens 100000: the model can score at most 2047"),
        ("my-model --text 'texts/*/*' --departures 0", "--departures 0: leaves one route; should be 1 or more"),
        ("my-model --text 'texts/*/*' --blocks 3", "blocks 3: should divide the 4 layers"),
        ("deep --text 'texts/*/*' --blocks 22", "make 4194304 routes; at most 1048576 can be tried"),
        (
            "misfit --text 'texts/*/*' --documents 2 --tokens 9",
            "its tokenizer has the id .*, but the model knows 100 alo",
        ),
        ("my-model --text 'texts/*/*' --documents 1000000000", "of memory, .* are free: that does not fit; fewer"),
        ("my-model --text 'texts/*/*' --device nonsense", "device 'nonsense': should be cpu, cuda"),
        ("my-model --text 'texts/*/*' --out my-model", "--out: my-model exists already; give another, or remove it"),
        ("my-model --text 'texts/*/*' --documents 2 --tokens 2 --out latin.txt/x", "latin.txt/x: could not be written"),
        ("my-model --text 'texts/*/*' --reference 1", "MODEL and --text and --reference given"),
        ("--losses none.parquet", "none.parquet: is missing"),
    ],
)
def test_what_does_not_fit_is_one_clear_error_and_leaves_nothing(place, words, message, monkeypatch, capsys):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    (place / "latin.txt").write_bytes("año".encode("latin-1")[:1] + b"bc" + "ñ".encode("latin-1"))
    if words.startswith("deep"):
        save(place / "deep", layers=22)
    if words.startswith("misfit"):
        save(place / "misfit", words=100)
    before = {*place.iterdir()}
    with pytest.raises(SystemExit, match=r"^1$"):
        audit(words)
    assert re.search(f"^error: .*{message}", capsys.readouterr().err, re.M)
    assert {*place.iterdir()} == before


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_write_that_fails_leaves_nothing(place, error, monkeypatch):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr(base, "write", fail)
    before = {*place.iterdir()}
    with pytest.raises(SystemExit):
        audit(f"my-model --text 'texts/*/*' {SMALL} --out failed")
    assert {*place.iterdir()} == before


def test_who_is_told_to_terminate_leaves_nothing(place):
    before = {*place.iterdir()}
    words = "-m duo audit my-model --text texts/*/* --blocks 4 --documents 16 --tokens 128 --out stopped"
    process = subprocess.Popen(
        [sys.executable, *shlex.split(words)], cwd=place, env=environment(REPOSITORY), stderr=subprocess.PIPE, text=True
    )
    while "departures: 0 of" not in process.stderr.readline():
        assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 143 and {*place.iterdir()} == before
    assert process.stderr.read().endswith("interrupted\n")


def shown() -> tuple[list[str], list[str]]:
    """The commands that docs/pretrained.md shows, and its Python."""
    page = (REPOSITORY / "docs/pretrained.md").read_text(encoding="utf-8").partition("## An audit of your own model")[2]
    section = re.split(r"\n## ", page)[0]
    return re.findall(r"^    python -m duo audit (.*)$", section, re.M), re.findall(
        r"```python\n(.*?)```", section, re.S
    )


def test_the_commands_that_are_shown_run(place, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("my-model", "texts"):
        (tmp_path / name).symlink_to(place / name)
    commands, (lines,) = shown()
    losses, sampled = np.random.default_rng(0).random((2, 3, 5, 4), np.float32)
    exec(lines, {"losses": losses, "sampled": sampled})
    assert len(commands) == 4
    for words in commands:
        audit(words)
    gain = (losses[..., 0] - losses.min(axis=-1)).mean()
    null = (sampled[..., 0] - sampled.min(axis=-1)).mean()
    (row,) = duo.load(tmp_path / "sampled").table("by_sampled").to_pylist()
    assert (row["gain"], row["null_gain"]) == pytest.approx((gain, null), rel=1e-5)
    assert {path.name for path in tmp_path.iterdir()} >= {"audit", "layers", "blocks", "sampled"}


def test_the_files_that_are_named_are_those_that_are_there():
    page = (REPOSITORY / "docs/pretrained.md").read_text(encoding="utf-8")
    part = page.partition("### What is in the folder")[2].partition("###")[0]
    named = {name for line in part.splitlines() if line.startswith("|") for name in re.findall(r"`(\w+\.\w+)`", line)}
    assert named >= set(FILES)


def test_a_placebo_is_luck(place):
    """Texts that the model itself wrote, from all that it knows."""
    model, _ = pretrained.load("my-model")
    ids = torch.full((40, 1), 128)
    rng = torch.Generator().manual_seed(1)
    for _ in range(30):
        chances = model(ids).logits[:, -1].softmax(-1)
        ids = torch.cat([ids, torch.multinomial(chances, 1, generator=rng)], dim=1)
    rows, calibration = duo.audit(model, ids, departures=2, scope="layer")
    assert calibration.temperatures == pytest.approx((1, 1), abs=0.1)
    for row in rows:
        assert row.gain.low > 0.1, "or there is nothing to explain"
        assert row.unexplained.low < 0 < row.unexplained.high and row.share.low < 1 < row.share.high
    assert all(one.gain.value < other.gain.value for one, other in pairwise(rows))


def test_losses_that_are_written_are_those_of_the_layout(place, finished):
    metadata = pq.read_schema(place / "found/losses.parquet").metadata
    away = json.loads(metadata[b"departures"])
    assert len(away) == 11 and away[int(metadata[b"reference"])] == 0 and sorted(away)[:2] == [0, 1]
