"""The examples run, from any directory, and say what the functions that they show give."""

import importlib.util
import json
import re

import made_up_run
import matplotlib
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from models import TINY, make
from project import REPOSITORY

import duo
from duo.data.evaluation_set import EvaluationSet
from duo.routers.dataset import RouterDataset

EXAMPLES = REPOSITORY / "examples"


def module(name: str):
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


@pytest.fixture(scope="module")
def own_model():
    return module("own_model")


def test_ones_own_model_is_asked_in_a_page_of_output(own_model, capsys):
    own_model.main(steps=3, documents=4)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 6
    all_ffns, fixed, oracle = (float(number) for number in re.findall(r"\d\.\d{3}", " ".join(lines[:2])))
    assert oracle < fixed and all_ffns > 1
    gain, null, bias = (float(re.search(r"[+-]\d\.\d{3}", line)[0]) for line in lines[2:5])
    assert gain == pytest.approx(all_ffns - oracle, abs=2e-3) and bias > 0 and abs(null) < 1
    assert sum(map(float, re.findall(r"\d\.\d\d", lines[5]))) == pytest.approx(3, abs=0.03)


def test_ones_own_model_is_routed_as_it_runs_by_itself(own_model):
    decoder = own_model.trained(steps=1)
    ids = own_model.sums(3, torch.Generator().manual_seed(2))
    space = duo.RouteSpace(own_model.DEPTH, ("skip", "big"))
    losses = duo.losses(own_model.RoutedDecoder(decoder), ids[:, :-1], ids[:, 1:], space)
    for code in (0, 5, 18, 31):
        logits = decoder(ids[:, :-1], torch.from_numpy(space.big(np.array(code))).float())
        expected = F.cross_entropy(logits.transpose(1, 2), ids[:, 1:], reduction="none")
        torch.testing.assert_close(losses[..., code], expected, rtol=1e-4, atol=1e-4)


def test_ones_own_router_reads_the_entropies_of_the_logit_lens():
    router, model = module("own_router").EntropyRouter(), make()
    rng = np.random.default_rng(0)
    inputs = torch.tensor(rng.normal(size=(12, TINY.layers, TINY.width)), dtype=torch.float32)
    losses = torch.tensor(rng.random((12, 2**TINY.layers)), dtype=torch.float32)
    sample = EvaluationSet(["text"], ["d"], ["d"], np.zeros((1, 12), np.int64), np.zeros((1, 12), np.int64))
    data = RouterDataset(sample, ["text"], inputs, losses)
    router.fit(data, data, model, seed=1)
    entropies = router.entropies(data)
    for token, layer in ((0, 0), (5, 2), (11, 1)):
        chances = F.linear(model.norm(inputs[token, layer]), model.embedding.weight).softmax(-1)
        assert entropies[token, layer].item() == pytest.approx(-(chances * chances.log()).sum().item(), abs=1e-4)
    help_of_layers = module("own_router").help_of_layers(data)
    for code_bit, layer in ((4, 0), (2, 1), (1, 2)):
        big = [code for code in range(8) if code & code_bit]
        small = [code for code in range(8) if not code & code_bit]
        expected = losses[:, small].mean(1) - losses[:, big].mean(1)
        torch.testing.assert_close(help_of_layers[:, layer], expected, rtol=1e-4, atol=1e-5)
    # No other weights of these features have a lower squared error.
    features, scores = router.features(entropies), router.scores(data)
    torch.testing.assert_close(features.T @ (scores - help_of_layers), torch.zeros(4, 3), rtol=0, atol=1e-3)


def cells(kind: str) -> list[dict]:
    notebook = json.loads((EXAMPLES / "ask_the_losses.ipynb").read_text())
    return [cell for cell in notebook["cells"] if cell["cell_type"] == kind]


def execute() -> dict:
    """The notebook's names after all its cells, run in order."""
    names: dict = {}
    for cell in cells("code"):
        exec("".join(cell["source"]), names)
    return names


@pytest.fixture
def pictures(tmp_path, monkeypatch):
    """Somewhere else, without a display: gives the axes of the pictures that have been drawn."""
    monkeypatch.chdir(tmp_path)
    backend = matplotlib.get_backend()
    matplotlib.use("Agg")
    from matplotlib import pyplot

    pyplot.close("all")
    yield lambda: [pyplot.figure(number).axes[0] for number in pyplot.get_fignums()]
    pyplot.close("all")
    matplotlib.use(backend)


def test_the_notebook_is_kept_without_outputs():
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in cells("code"))
    assert (
        sum(
            cell["source"][0].startswith("## ") and cell["source"][0].strip().endswith("?")
            for cell in cells("markdown")
        )
        == 3
    )


def test_the_notebook_makes_a_small_run_where_there_is_none(pictures, monkeypatch, tmp_path):
    monkeypatch.delenv("DUO_RUN", raising=False)
    names = execute()
    assert names["losses"].shape == (960, 16) and set(names["predicted"]) == set("0123456789+=;")
    layers, _, repeats = pictures()
    assert len(layers.lines) == 2 * 3 + 1  # digits and others, each a line with two ends, and zero
    assert 0 < names["beat"].mean() < 1 and len(repeats.patches) == len(names["repeats"]) > 5
    assert names["alike"](names["best"]) > 1 / 6
    assert not list(tmp_path.iterdir())


def test_the_notebook_asks_the_run_that_is_there(pictures, monkeypatch, tmp_path):
    made_up_run.write(tmp_path)
    (tmp_path / "examples").mkdir()
    monkeypatch.chdir(tmp_path / "examples")
    monkeypatch.delenv("DUO_RUN", raising=False)
    names = execute()
    assert names["table"].equals(duo.load(tmp_path).losses("duo"))
    digits = np.array(names["table"]["label"].to_pylist()) == "7"
    big, losses = names["big"], names["losses"][digits]
    np.testing.assert_allclose(
        names["worth"][digits][:, 1], losses[:, ~big[:, 1]].mean(1) - losses[:, big[:, 1]].mean(1), rtol=1e-6
    )
    np.testing.assert_allclose(names["beat"] * 7, (names["losses"][:, :7] < names["losses"][:, 7:]).sum(1))
    assert len(pictures()) == 3
    best = names["losses"][:, [1, 2, 4]].argmin(1)
    of_word = best[np.array(names["table"]["token"].to_pylist()) == next(iter(names["repeats"]))]
    pairs = [of_word[one] == of_word[other] for one in range(len(of_word)) for other in range(one)]
    assert next(iter(names["repeats"].values())) == pytest.approx(np.mean(pairs))


@pytest.mark.slow
def test_the_notebook_asks_a_finished_run(pictures, monkeypatch, finished_smoke):
    monkeypatch.setenv("DUO_RUN", str(finished_smoke.root / "artifacts"))
    names = execute()
    assert names["table"].equals(duo.load(finished_smoke.root).losses("duo")) and len(pictures()) == 3
