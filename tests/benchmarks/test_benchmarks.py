"""Every module of benchmarks/ works, says what it compares and prints what it measured; no test asserts a time."""

import importlib
import re
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from models import make, random_tokens
from project import REPOSITORY, Project
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import _shared as shared
from benchmarks import enumeration, routing, training
from duo.model import transformer
from duo.model.device import Device
from duo.model.transformer import Duo, Shape
from duo.oracle import tree
from duo.routers import gate
from duo.routes import RouteSpace
from duo.tables.data import EVALUATION_SET
from duo.tables.routers import ROUTER
from duo.tables.training import MODEL
from workflow.params import load_params

NAMES = sorted(path.stem for path in (REPOSITORY / "benchmarks").glob("[!_]*.py"))
# What `show` prints; the first line, which is ours, has no ratio.
LINE = re.compile(
    r"(?P<name>\S.*?) +(?P<speed>[\d,]+) (?P<unit>\w+)/s(?:   (?P<ours>.+) is (?P<ratio>[\d.]+) x as fast)?"
)
PARAMS = shared.tiny(load_params(REPOSITORY / "params.yaml"))


def number(text: str) -> float:
    return float(text.replace(",", ""))


def lines(output: str) -> list[re.Match]:
    """The lines of an output that say a speed."""
    return [line for line in map(LINE.fullmatch, output.splitlines()) if line]


@pytest.fixture
def bare(tmp_path: Path) -> Project:
    """A directory with params.yaml and nothing else: no artifacts, no text."""
    shutil.copy(REPOSITORY / "params.yaml", tmp_path)
    project = Project(tmp_path)
    project.environment["PYTHONPATH"] = str(REPOSITORY)
    return project


def test_all_are_seen():
    assert {"departures", "enumeration", "routing", "training"} <= set(NAMES)


def test_the_page_holds_the_output_of_each(bare):
    page = bare.run(f"{sys.executable} -m benchmarks --size tiny").stdout
    parts = re.split("^## ", page, flags=re.MULTILINE)[1:]
    assert [part.split("\n")[0].lower() for part in parts[:-1]] == NAMES
    assert all(lines(part) for part in parts[:-1])
    assert "torch " in page.split("## ")[0] and "route_losses" in parts[-1]


@pytest.mark.parametrize("name", NAMES)
def test_help_and_tiny_size(name, bare, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["", "--help"])
    with pytest.raises(SystemExit) as ended:
        importlib.import_module(f"benchmarks.{name}").main()
    words = capsys.readouterr().out
    assert not ended.value.code and words.startswith(f"usage: python -m benchmarks.{name} ")
    assert "--size {tiny,params}" in words
    for part in ("Measures", "Baseline", "Input", "Takes"):
        assert re.search(rf"^{part}: \S", words, re.MULTILINE), part

    done = bare.run(f"python -m benchmarks.{name} --size tiny")
    ours, *others = lines(done.stdout)
    assert ours["ratio"] is None and others
    baseline = re.search(r"^Baseline: (.*?)^Input:", words, re.MULTILINE | re.DOTALL)[1]
    for line in others:
        assert line["ours"] == ours["name"] and line["unit"] == ours["unit"]
        assert line["name"] in " ".join(baseline.split()), "a contestant of which --help says nothing"
        ratio = number(ours["speed"]) / number(line["speed"])
        assert number(line["ratio"]) == pytest.approx(ratio, rel=0.01, abs=0.006)
    assert not re.search(r"\b(nan|inf)\b", done.stdout)
    assert " turns" in done.stderr, "no progress"
    assert [path.name for path in bare.root.iterdir()] == ["params.yaml"], "left something behind"


def test_unknown_and_untrained_routers_end_in_one_line(bare, monkeypatch, capsys):
    for words, expected in {
        "--router nobody": r"error: --router: 'nobody' is none of routers in params.yaml: both-2, .+",
        "--router both-2": r"error: artifacts/pretrain/duo/model.safetensors: is missing.*",
    }.items():
        done = bare.run(f"python -m benchmarks.routing {words}", check=False)
        assert done.returncode == 1 and re.fullmatch(expected, done.stderr.strip()), done.stderr
    monkeypatch.setattr(sys, "argv", ["", "--size", "tiny", "--router", "both-2"])
    with pytest.raises(SystemExit):
        routing.main()
    assert "leave out --size tiny" in capsys.readouterr().err


def test_trained_router_on_the_evaluation_set(bare, monkeypatch):
    """On files as the stages write them, the operations are those of the routes that the router takes."""
    params = load_params(REPOSITORY / "params.yaml")
    settings = params.evaluation_set
    random = np.random.default_rng(0)
    rows = {
        (domain, f"{domain}-{index}"): random.integers(0, 50, settings.tokens + 1).astype(np.uint16)
        for domain in params.corpus
        for index in range(settings.documents)
    }
    shape = Shape(50, settings.tokens, layers=2, width=8, heads=2, big=16, small=4)
    model = Duo(shape).initialise(torch.Generator().manual_seed(0))
    routed = gate.Routed(model, gate.Router(shape.layers, shape.width, ("small", "big"), "ffn"))
    routed.router.gates[0].weight.data[1] = 1  # layer 0 is big for about half of the tokens, layer 1 for none
    monkeypatch.chdir(bare.root)
    for path in (MODEL.path(model="duo"), ROUTER.path(router="both-2")):
        path.parent.mkdir(parents=True)
    transformer.save(model, MODEL.path(model="duo"))
    gate.save(routed, ROUTER.path(router="both-2"), backbone=False)
    domains, documents = zip(*rows, strict=True)
    columns = {"domain": domains, "document": documents, "cluster": documents, "tokens": list(rows.values())}
    EVALUATION_SET.write(columns | {"start": [0] * len(rows), "bytes": [1] * len(rows)}, split="test")

    output = bare.run("python -m benchmarks.routing --router both-2").stdout
    assert [line["name"] for line in lines(output)] == ["hard", "all big", "all small"]
    said = {
        name: tuple(map(float, numbers))
        for name, *numbers in re.findall(
            r"^(.+): ([\d.]+) MFLOP per token, ([\d.]+) x those of all big; of 2 layers ([\d.]+) big, 0.00 skipped$",
            output,
            re.MULTILINE,
        )
    }
    assert said["all big"][2] == 2 and said["all small"][2] == 0 and 0.2 < said["hard"][2] < 0.8
    for operations, ratio, big in said.values():
        exact, whole = (gate.flops(routed, settings.tokens, layers, 0) for layers in (big, shape.layers))
        assert operations == pytest.approx(exact / 1e6, abs=0.001) and ratio == pytest.approx(exact / whole, abs=0.01)


def test_race_takes_turns_and_keeps_the_best_round_after_the_first(monkeypatch):
    """By a clock of our own: a turn's calls take what the script says."""
    clock, calls = [0.0], []
    script = {"first": iter([1.0, 1.0, 4.0, 4.0, 2.0, 2.0]), "second": iter([9.0, 9.0, 5.0, 7.0, 8.0, 8.0])}

    def call(name: str) -> None:
        calls.append(name)
        clock[0] += next(script[name])

    monkeypatch.setattr(shared, "time", SimpleNamespace(perf_counter=lambda: clock[0]))
    contestants = {
        "first": shared.Contestant(lambda: call("first"), 10),
        "second": shared.Contestant(lambda: call("second"), 30),
    }
    assert shared.race(contestants, rounds=2, calls=2) == {"first": 10 / 2.0, "second": 30 / 6.0}
    assert calls == ["first", "first", "second", "second"] * 3


def test_tuned_forward_is_the_model():
    model, tokens = make(), random_tokens(3, 16)
    forward = enumeration.tuned_forward(model, Device())
    for code in (0, 3, 5, 7):
        route = torch.from_numpy(RouteSpace(3).decode(np.array(code)) == 1)
        torch.testing.assert_close(forward(tokens, route), model(tokens, route))


@pytest.mark.parametrize("chunk", [1, 512, 100_000])
def test_products_alone_are_those_of_the_tree(chunk):
    """By torch's count, which leaves attention out where it is fused: there the tree's follows from its nodes."""
    settings = PARAMS.route_losses.model_copy(update={"chunk": chunk, "precision": "fp32"})
    params = PARAMS.model_copy(update={"route_losses": settings})
    model = shared.random_model(params).eval().requires_grad_(False)
    length = params.evaluation_set.tokens
    tokens, labels = torch.randint(0, params.tokens.vocabulary, (2, 32, length), generator=torch.Generator())
    walk = enumeration.trees(params, model, tokens, labels, torch.Generator())["prefix tree"]
    counts = []
    for contestant in (walk, enumeration.products(params, model.shape, walk.amount)):
        with FlopCounterMode(display=False) as counter:
            contestant.run()
        counts.append({str(operator): count for operator, count in counter.get_flop_counts()["Global"].items()})
    nodes = (2**model.shape.layers - 1) * tree.BATCH * length  # each attends to `length` tokens, by two products
    assert counts[1] == counts[0] | {"aten.bmm": nodes * 2 * (2 * length * model.shape.width)}


def test_baseline_of_training_is_a_duo_that_is_all_big():
    """Its parameters are those of our model without the small FFNs."""
    model = shared.random_model(PARAMS)
    ours = sum(weight.numel() for name, weight in model.named_parameters() if ".ffns.small." not in name)
    assert sum(weight.numel() for weight in training.llama(model.shape).parameters()) == ours


def test_documents_name_benchmarks_that_exist():
    for page in [*REPOSITORY.glob("*.md"), *REPOSITORY.glob("docs/*.md")]:
        text = page.read_text(encoding="utf-8")
        for name in re.findall(r"\bbenchmarks[./](\w+)", text):
            assert (REPOSITORY / f"benchmarks/{name}.py").is_file(), f"{page.name}: {name}"
    contributing = (REPOSITORY / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert all(f"`python -m benchmarks.{name}`" in contributing for name in NAMES)
