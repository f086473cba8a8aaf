"""duo from a notebook: what `import duo` gives and costs, the functions on plain arrays, and what a run wrote."""

import subprocess
import sys
import tomllib
from dataclasses import replace
from pathlib import Path

import made_up_run
import numpy as np
import pyarrow as pa
import pytest
import torch
from foreign import CONTEXT, DEPTH, VOCABULARY, RoutedDecoder, decoder
from made_up_run import LENGTH, WORDS
from models import TINY, brute_force, make, random_tokens
from project import REPOSITORY

import duo
from duo import stats
from duo.model.device import Device
from duo.oracle.branch import log_probabilities
from duo.tables.oracle import SELECTIONS

SPACE = duo.RouteSpace(TINY.layers)
MODEL_UNDER_TEST = make(scale=1.0)
TOKENS, LABELS = random_tokens(5, 9), random_tokens(5, 9, seed=1)


def python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_importing_duo_imports_nothing_heavy():
    heavy = "{'torch', 'numpy', 'pyarrow', 'scipy', 'pydantic', 'tqdm', 'safetensors', 'tokenizers', 'matplotlib'}"
    assert python(f"import sys, duo; print({heavy} & set(sys.modules), hasattr(duo, 'nothing'))") == "set() False"


def test_arrays_and_tables_need_no_torch():
    assert python("import sys, duo; duo.RouteSpace(3).big; duo.load; print('torch' in sys.modules)") == "False"


def test_all_that_one_needs_is_shown_and_there():
    names = ["RouteSpace", "Routable", "InputError", "losses", "oracle", "null", "bootstrap", "load", "Duo"]
    assert set(names) <= set(dir(duo)) == {*duo.__all__, "__version__"}
    assert all(getattr(duo, name).__doc__ for name in duo.__all__)
    assert python("from duo import *; print(RouteSpace(2).layers)") == "2"


@pytest.mark.parametrize("first", ["import duo.oracle.tree", "from duo.oracle import select", "pass"])
def test_oracle_is_a_function_and_a_package(first):
    code = f"{first}\nimport duo, numpy\nfrom duo.oracle import joint\nimport duo.oracle.null as null\n"
    code += "print(duo.oracle(numpy.array([3.0, 1.0, 2.0, 0.0]), duo.RouteSpace(2), 1).losses, duo.oracle.null is null)"
    assert python(code) == "1.0 True"


def test_what_is_not_there_is_an_error_as_ever():
    with pytest.raises(AttributeError, match="module 'duo' has no attribute 'routes_of_all'"):
        duo.routes_of_all  # noqa: B018


def test_every_package_is_installed():
    listed = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    there = [path.parent.relative_to(REPOSITORY) for path in (REPOSITORY / "duo").rglob("__init__.py")]
    assert sorted(listed) == sorted(str(path).replace("/", ".") for path in there)


@pytest.mark.parametrize("kind", [torch.Tensor, np.ndarray])
def test_losses_equal_brute_force(kind):
    expected = brute_force(MODEL_UNDER_TEST, SPACE, TOKENS, LABELS[None])[0]
    tokens, labels = (TOKENS, LABELS) if kind is torch.Tensor else (TOKENS.int().numpy(), LABELS.numpy())
    losses = duo.losses(MODEL_UNDER_TEST, tokens, labels)
    assert isinstance(losses, kind)
    torch.testing.assert_close(torch.as_tensor(losses), expected, rtol=1e-4, atol=1e-4)
    bounded = duo.losses(MODEL_UNDER_TEST, tokens, labels, SPACE, budget=2, chunk=50)
    torch.testing.assert_close(torch.as_tensor(bounded), expected[..., SPACE.with_budget(2)], rtol=1e-4, atol=1e-4)


def test_losses_of_a_skip_say_what_it_leaves_out():
    space = duo.RouteSpace(TINY.layers, ("skip", "big"))
    for scope in ("ffn", "layer"):
        expected = brute_force(MODEL_UNDER_TEST, space, TOKENS, LABELS[None], scope)[0]
        losses = duo.losses(MODEL_UNDER_TEST, TOKENS, LABELS, space, scope=scope)
        torch.testing.assert_close(losses, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", [torch.Tensor, np.ndarray])
@pytest.mark.parametrize("budget", range(TINY.layers + 1))
def test_oracle_is_the_lowest_of_its_budget(kind, budget):
    losses = np.random.default_rng(0).random((3, 4, len(SPACE)), np.float32)
    given = losses if kind is np.ndarray else torch.from_numpy(losses)
    best = duo.oracle(given, SPACE, budget)
    assert isinstance(best.routes, kind) and isinstance(best.losses, kind)
    assert (SPACE.big(np.asarray(best.routes)).sum(-1) == budget).all()
    np.testing.assert_array_equal(best.losses, losses[..., SPACE.with_budget(budget)].min(-1))
    chosen = np.take_along_axis(losses, np.asarray(best.routes)[..., None], -1)[..., 0]
    np.testing.assert_array_equal(best.losses, chosen)


def test_equal_routes_are_chosen_alike_and_reproducibly():
    even = np.zeros((1000, len(SPACE)))
    routes, again, other = (duo.oracle(even, SPACE, 1, seed).routes for seed in (1, 1, 2))
    assert (routes == again).all() and (routes != other).any()
    np.testing.assert_allclose(np.bincount(routes)[SPACE.with_budget(1)] / 1000, 1 / 3, atol=0.05)


def expected_null(budget: int, reference: int, temperature: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Gain and bias by the definitions, from the probabilities of all words under all routes."""
    predicted = np.stack(
        [
            np.stack([log_probabilities(MODEL_UNDER_TEST, SPACE, row.numpy(), code, Device()) for row in TOKENS])
            for code in range(len(SPACE))
        ],
        axis=2,
    ).astype(np.float64)
    chances = np.exp(predicted[:, :, reference] / temperature)
    chances /= chances.sum(-1, keepdims=True)
    expected = -(chances[:, :, None] * predicted).sum(-1)
    routes = SPACE.with_budget(budget)
    oracle = -(chances * predicted[:, :, routes].max(axis=2)).sum(-1)
    return expected[..., reference] - oracle, expected[..., routes].min(-1) - oracle


@pytest.mark.parametrize("reference", ["all_big", "all_small", 5])
@pytest.mark.parametrize("temperature", [1.0, 1.7])
def test_null_is_what_an_oracle_gains_on_labels_of_the_model_itself(reference, temperature):
    given = {"reference": reference, "temperature": temperature}
    null = duo.null(MODEL_UNDER_TEST, TOKENS, SPACE, [1, 2], **given)
    assert null.gain.shape == null.bias.shape == (5, 9, 2)
    for column, budget in enumerate((1, 2)):
        gain, bias = expected_null(budget, SPACE.named(reference), temperature)
        np.testing.assert_allclose(null.gain[..., column], gain, rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(null.bias[..., column], bias, rtol=1e-4, atol=1e-4)
    single = duo.null(MODEL_UNDER_TEST, TOKENS.numpy(), SPACE, 2, **given)
    assert isinstance(single.gain, np.ndarray) and single.gain.shape == (5, 9)
    np.testing.assert_allclose(single.bias, null.bias[..., 1], rtol=1e-5, atol=1e-5)


def test_where_nothing_is_to_be_chosen_there_is_no_bias():
    null = duo.null(MODEL_UNDER_TEST, TOKENS, SPACE, [0, TINY.layers])
    assert null.bias.abs().max() < 1e-5 and null.gain[..., 1].abs().max() < 1e-5


def test_a_prediction_that_is_certain_leaves_nothing_to_luck():
    cold = duo.null(MODEL_UNDER_TEST, TOKENS, SPACE, 1, temperature=1e-4)
    assert cold.bias.abs().max() < 1e-3 < duo.null(MODEL_UNDER_TEST, TOKENS, SPACE, 1).bias.min()


def test_a_foreign_decoder_goes_all_the_way():
    model, space = RoutedDecoder(decoder()), duo.RouteSpace(DEPTH, ("skip", "big"))
    ids = np.random.default_rng(0).integers(0, VOCABULARY, (6, CONTEXT + 1))
    losses = duo.losses(model, ids[:, :-1], ids[:, 1:], space)
    best, null = duo.oracle(losses, space, 2), duo.null(model, ids[:, :-1], space, 2)
    all_big = losses[..., space.named("all_big")]
    gain = duo.bootstrap(all_big - best.losses)
    assert gain.low < gain.value < gain.high
    assert duo.bootstrap(null.bias).value > 0 and (null.bias >= 0).mean() > 0.5


def test_intervals_are_of_documents():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(30, 1)) + 0.01 * rng.normal(size=(30, 50))  # tokens of a document are alike
    interval = duo.bootstrap(values)
    assert interval.value == pytest.approx(values.mean())
    assert interval.high - interval.low == pytest.approx(2 * 1.96 * values.mean(1).std() / 30**0.5, rel=0.15)
    assert duo.bootstrap(torch.from_numpy(values)) == duo.bootstrap(list(values)) == interval
    documents = np.repeat([f"d{row}" for row in range(30)], 50)
    assert duo.bootstrap(values.ravel(), documents) == interval
    shuffled = rng.permutation(1500)
    assert duo.bootstrap(values.ravel()[shuffled], documents[shuffled]) == pytest.approx(interval, rel=0.1)


def test_any_statistic_has_an_interval_and_the_mean_is_one_of_them():
    groups = [np.random.default_rng(row).random(row + 2) for row in range(8)]
    assert duo.bootstrap(groups, statistic=np.mean, resamples=300) == pytest.approx(
        duo.bootstrap(groups, resamples=300)
    )
    median = duo.bootstrap(groups, statistic=np.median, resamples=300)
    assert median.value == np.median(np.concatenate(groups)) and median.low < median.value < median.high


def test_intervals_are_those_of_the_studies():
    values = np.random.default_rng(0).random((10, 4))
    found = stats.intervals(
        lambda weights: {"mean": stats.weighted_sums(weights, values.mean(1)) / weights.sum(1)},
        10,
        500,
        0.9,
        duo.api.seeds.stream(3, "bootstrap"),
    )["mean"]
    assert duo.bootstrap(values, resamples=500, confidence=0.9, seed=3) == pytest.approx(found)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: duo.losses(MODEL_UNDER_TEST, TOKENS, LABELS[:, 1:]), r"labels: of shape \(5, 8\), should be of the"),
        (lambda: duo.losses(MODEL_UNDER_TEST, TOKENS[0], LABELS[0]), r"tokens: int64 of shape \(9,\), should be whole"),
        (lambda: duo.losses(MODEL_UNDER_TEST, TOKENS + 0.5, LABELS), r"tokens: float32 of shape"),
        (lambda: duo.losses(MODEL_UNDER_TEST, TOKENS, LABELS + 50), "labels: 50 to .*, should be from 0 to 49"),
        (
            lambda: duo.losses(MODEL_UNDER_TEST, TOKENS, LABELS, budget=4),
            "budget 4: should be a whole number from 0 to .*3",
        ),
        (lambda: duo.losses(MODEL_UNDER_TEST, TOKENS, LABELS, duo.RouteSpace(2)), "space: routes over 2 layers, but"),
        (
            lambda: duo.losses(MODEL_UNDER_TEST, TOKENS, LABELS, precision="fp8"),
            "precision 'fp8': should be auto, fp32",
        ),
        (lambda: duo.oracle(np.zeros((2, 4)), SPACE, 1), r"losses: \(4,\) routes, should be 8"),
        (lambda: duo.oracle(np.zeros((2, 8)), SPACE, -1), "budget -1: should be a whole number from 0 to .*3"),
        (lambda: duo.null(MODEL_UNDER_TEST, TOKENS, SPACE, []), "budget: none is given"),
        (
            lambda: duo.null(MODEL_UNDER_TEST, TOKENS, SPACE, 1, reference="best"),
            "route 'best': no route over 3 layers",
        ),
        (lambda: duo.bootstrap(np.zeros((1, 5))), "at least 2"),
        (lambda: duo.bootstrap(np.array([[1.0, 2.0], [3.0, np.nan]])), "values: 1 of 4 are not finite"),
        (lambda: duo.bootstrap(np.zeros(4), np.zeros(3)), r"documents: of shape \(3,\), should be a document's id"),
        (lambda: duo.bootstrap([[1.0], []]), r"values: should be \[documents, length\]"),
        (lambda: duo.bootstrap(np.zeros(4)), "or .tokens. with `documents`"),
        (lambda: duo.bootstrap(np.zeros((2, 3, 2))), r"values: should be \[documents, length\]"),
        (lambda: duo.bootstrap(np.zeros((2, 3)), confidence=95), "confidence 95: should be above 0 and below 1"),
        (lambda: duo.bootstrap(np.zeros((2, 3)), resamples=0), "resamples 0: should be 1 or more"),
        (lambda: duo.oracle(np.where(np.arange(8) == 3, np.nan, 1.0)[None], SPACE, 1), "losses: 1 of 8 are not finite"),
        (lambda: duo.oracle(np.zeros((2, 8)), duo.RouteSpace(3, ("small", "skip")), 1), "small, skip have no budget"),
        (lambda: duo.losses(MODEL_UNDER_TEST, TOKENS, LABELS, scope="FFN"), "scope 'FFN': should be ffn or layer"),
        (lambda: duo.losses(TOKENS, MODEL_UNDER_TEST, LABELS), "model Tensor can't be routed: it lacks"),
        (lambda: duo.null(MODEL_UNDER_TEST, TOKENS, SPACE, 1, temperature=0), "temperature 0: should be above 0"),
        (lambda: duo.null(MODEL_UNDER_TEST, TOKENS, SPACE, 1.5), "budget 1.5: should be a whole number"),
        (lambda: duo.RouteSpace(4, ("small", "huge")), "choices .*huge.*: should be a tuple of some of small, big"),
        (lambda: duo.RouteSpace(4, ("big", "big")), "should be one or more, each once"),
        (lambda: duo.RouteSpace(-1), "layers -1: should be a whole number from 1"),
    ],
)
def test_what_does_not_fit_is_one_clear_error(call, message):
    with pytest.raises(duo.InputError, match=message):
        call()


# What a run wrote.


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose artifacts are those of made_up_run."""
    root = tmp_path_factory.mktemp("a {run}")
    made_up_run.write(root)
    return root


def test_a_run_is_loaded_from_anywhere(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for path in (run, run / "artifacts", str(run)):
        loaded = duo.load(path)
        assert loaded.tables == ["oracle/1/tokens", "route_losses/duo-0", "route_losses/duo-1"]
        assert loaded.models == ["duo", "second"] and loaded.space == SPACE
    assert loaded.table("oracle/1/tokens")["oracle_route"].to_pylist() == [1]
    assert torch.equal(loaded.model("second").outputs, make().outputs)


def shown_code(where: str) -> str:
    """The lines of Python in README, or in the docstring of duo."""
    if where == "README":
        return (REPOSITORY / "README.md").read_text(encoding="utf-8").split("```python\n")[1].split("```")[0]
    return "\n".join(line.strip() for line in duo.__doc__.splitlines() if line.startswith("    "))


@pytest.mark.parametrize("where", ["README", "docstring"])
def test_the_lines_that_are_shown_run(where, run, monkeypatch, capsys):
    monkeypatch.chdir(run)
    names = {"model": make(replace(TINY, layers=4), scale=1.0), "tokens": TOKENS, "labels": LABELS}
    exec(shown_code(where), names)
    assert capsys.readouterr().out.count("Interval(value=") == shown_code(where).count("print(") > 0
    if where == "README":
        assert len(names["table"]) > 0 and set(names["table"]["domain"]) == {"text"}


def test_the_audit_that_is_shown_runs(capsys):
    lines = (REPOSITORY / "README.md").read_text(encoding="utf-8").split("```python\n")[2].split("```")[0]
    exec(lines, {"duo": duo, "model": make(replace(TINY, layers=4)), "ids": TOKENS})
    assert capsys.readouterr().out.count("Interval(value=") == 2 * 4


def test_files_of_a_run_are_loaded_alone(run):
    table = duo.load(run / "artifacts/oracle/1/tokens.parquet")
    assert table.column_names == SELECTIONS.schema.names
    assert isinstance(duo.load(run / "artifacts/pretrain/duo/model.safetensors"), duo.Duo)


def test_losses_of_a_run_are_one_table(run):
    table = duo.load(run).losses()
    assert table.column_names == ["domain", "document", "position", "token", "label", *map(SPACE.word, range(8))]
    rows = table.to_pylist()
    assert [(row["domain"], row["document"], row["position"]) for row in rows] == [
        (domain, document, position)
        for domain, documents in {"code": "cd", "text": "ab"}.items()
        for document in documents
        for position in range(LENGTH)
    ]
    shards = [duo.load(run).table(f"route_losses/duo-{shard}").to_pylist() for shard in range(2)]
    by_key = {(row["document"], row["position"]): row for shard in shards for row in shard}
    for row in rows:
        kept = by_key[row["document"], row["position"]]
        assert (row["token"], row["label"]) == (WORDS[kept["token"]], WORDS[kept["label"]])
        assert [row[SPACE.word(code)] for code in range(8)] == kept["losses"]
    assert table.to_pandas()["011"].dtype == np.float32


def test_losses_of_a_run_can_be_narrowed_down(run):
    whole, part = duo.load(run).losses("duo"), duo.load(run).losses("duo", domain="code", budget=2)
    assert part.column_names[5:] == ["011", "101", "110"]
    assert part.equals(whole.filter(pa.compute.equal(whole["domain"], "code")).select(part.column_names))


def test_losses_of_ones_own_are_a_table_too():
    losses = np.random.default_rng(0).random((2, 3, 8), np.float32)
    words = list("abcdef")
    table = duo.loss_table(losses, SPACE, words, words[::-1])
    assert table["document"].to_pylist() == ["0"] * 3 + ["1"] * 3
    assert table["position"].to_pylist() == [0, 1, 2] * 2
    np.testing.assert_array_equal(table["101"].to_numpy(), losses[..., 0b101].ravel())
    assert duo.loss_table(losses[..., [1, 2, 4]], SPACE, words, words, budget=1).column_names[5:] == [
        "001",
        "010",
        "100",
    ]


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("nothing", "nothing: is missing; should be a run's folder of artifacts, or a"),
        ("empty", "empty: holds nothing that a run wrote"),
        ("notes.txt", "notes.txt: holds nothing that a run wrote"),
        ("other.parquet", r"other.parquet: is no table of a run; should be named as one, such as route_losses/"),
        ("oracle/2/tokens.parquet", "oracle/2/tokens.parquet: damaged or not Parquet"),
        ("oracle/4/tokens.parquet", "oracle/4/tokens.parquet: is missing"),
        ("model.safetensors", "model.safetensors: not a Duo model"),
        ("none.safetensors", "none.safetensors: is missing"),
    ],
)
def test_what_no_run_wrote_is_one_clear_error(tmp_path, path, message):
    (tmp_path / "empty").mkdir()
    for name in ("notes.txt", "other.parquet", "oracle/2/tokens.parquet", "model.safetensors"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    with pytest.raises(duo.InputError, match=message):
        duo.load(tmp_path / path)


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (
            lambda run: run.table("oracle/1/token"),
            "oracle/1/token.parquet: is missing; the tables that are there: oracle/1",
        ),
        (lambda run: run.model("third"), "model 'third': .* is missing; the models that are there: duo, second"),
        (lambda run: run.losses("second"), "model: 'second', should be one of duo"),
        (lambda run: run.losses(domain="poems"), "domain: 'poems', should be one of text, code"),
    ],
)
def test_what_a_run_does_not_have_is_named(run, ask, message):
    with pytest.raises(duo.InputError, match=message):
        ask(duo.load(run))
