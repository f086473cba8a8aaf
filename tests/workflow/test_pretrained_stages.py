"""The stages of a pretrained model, on a tiny one in a directory: from its files to the figures and the page's part."""

import json
from itertools import product

import numpy as np
import pyarrow as pa
import pytest
import saved_model
from made_up import WORDS
from project import REPOSITORY

from duo.data import tokenizer
from duo.errors import InputError
from duo.figures.pretrained import Tried
from duo.pretrained_settings import PretrainedDirectory, PretrainedRoutes, PretrainedWindows
from duo.report import publish
from duo.tables import pretrained as tables
from duo.tables.answers import TASK_ACCURACY
from duo.tables.data import DOCUMENTS, EVALUATION_SET, OWN_WINDOWS
from duo.tables.pretrained_claims import JUDGED
from duo.tables.report import FIGURE
from workflow import instance, pretrained_part
from workflow import params as checked
from workflow.stages import (
    figures_pretrained,
    pretrained,
    pretrained_claims,
    pretrained_gain,
    pretrained_losses,
    pretrained_windows,
)

STAGES = (pretrained, pretrained_windows, pretrained_losses, pretrained_gain, pretrained_claims, figures_pretrained)
TINY = {"of": "pretrained", "model": "tiny"}
ROUTES = {
    "tiny-layers": PretrainedRoutes(
        of="pretrained", model="tiny", scope="layer", choices=["skip", "big"], departures=2
    ),
    "tiny-exact": PretrainedRoutes(**TINY, scope="ffn", choices=["skip", "big"], blocks=4),
    "tiny-blocks": PretrainedRoutes(
        of="pretrained", model="tiny", scope="ffn", choices=["skip", "big", "repeat"], blocks=2
    ),
}


@pytest.fixture
def experiment(tmp_path, monkeypatch):
    """Text of two domains, windows of it in our own tokens, and a model of others in a directory."""
    monkeypatch.chdir(tmp_path)
    whole = checked.load_params(REPOSITORY / "params.yaml")
    saved_model.save(tmp_path / "theirs", layers=4, scale=2.0)
    source = PretrainedDirectory(source="directory", path="theirs", licence="", attribution="")
    changed = {
        "pretrained": {"tiny": source},
        "pretrained_windows": PretrainedWindows(documents=3, validation_documents=2, tokens=12),
        "pretrained_routes": ROUTES,
        "runtime": whole.runtime.model_copy(update={"threads": 1, "compile": False}),
        "route_losses": whole.route_losses.model_copy(update={"precision": "fp32", "chunk": 64}),
        "bootstrap": whole.bootstrap.model_copy(update={"resamples": 100}),
    }
    known = whole.model_copy(update=changed)
    for stage in STAGES:
        monkeypatch.setattr(stage, "load_params", lambda: known)
    monkeypatch.setattr(instance, "domains", lambda template: list(whole.corpus))
    rng = np.random.default_rng(0)
    texts = {
        (domain, f"{domain}{row}"): " ".join(rng.choice(WORDS, 40)) for domain, row in product(whole.corpus, range(5))
    }
    ours = tokenizer.train(list(texts.values()), 300)
    tokenizer.save(ours)
    for domain in whole.corpus:
        names = [name for of, name in texts if of == domain]
        columns = {name: [""] * len(names) for name in ("source", "licence")}
        columns |= {"id": names, "cluster": names, "split": ["test"] * len(names), "domain": [domain] * len(names)}
        DOCUMENTS.write(columns | {"text": [texts[domain, name] for name in names]}, domain=domain)
    for split in ("test", "validation"):
        rows = [
            {"domain": domain, "document": name, "cluster": name, "start": 3 * (row % 2), "bytes": 1, "tokens": [1, 2]}
            for row, (domain, name) in enumerate(texts)
        ]
        EVALUATION_SET.write(pa.Table.from_pylist(rows, EVALUATION_SET.schema), split=split)
    return known, texts


def every(known: checked.Params) -> list[Tried]:
    return pretrained_part.every(known.pretrained_routes, known.pretrained_windows, 0.95)


def run_stages() -> None:
    pretrained.main("tiny")
    pretrained_windows.main("tiny")
    for name in ROUTES:
        for stage in (pretrained_losses, pretrained_gain, pretrained_claims, figures_pretrained):
            stage.main(name)


def test_from_the_files_of_a_model_to_what_the_page_says(experiment):
    known, texts = experiment
    run_stages()
    for row in OWN_WINDOWS.read(model="tiny", split="test").to_pylist():
        text = texts[row["domain"], row["document"]]
        assert row["tokens"][0] == 128, "the token that begins a text"
        assert "".join(map(chr, row["tokens"][1:])) == text[row["start"] : row["start"] + 13]
        assert row["bytes"] == 12, "of what is scored"
        assert row["start"] == 0 or text[row["start"]] == " ", "from a whole word on"
    for name, (routes, budgets) in {
        "tiny-layers": (11, [2, 3, 4]),
        "tiny-exact": (16, [0, 1, 2, 3, 4]),
        "tiny-blocks": (9, [0, 1, 2]),
    }.items():
        metrics = tables.STUDIED_METRICS.read(routes=name)
        assert (metrics["layers"], metrics["routes"]) == (4, routes)
        statistics = tables.GAIN_STATISTICS.read(routes=name).to_pandas()
        gains = statistics[(statistics.family == "gain") & (statistics.labels == "true")]
        assert sorted({int(k) for k in gains.budget}) == [k for k in budgets if 0 < k < budgets[-1]]
        joint = tables.JOINT_STATISTICS.read(routes=name).to_pandas()
        isolated = joint[(joint.family == "isolated_gain") & (joint.subject == "oracle")].set_index(
            ["domain", "budget"]
        )
        for row in gains.itertuples():
            assert isolated.value[row.domain, row.budget] == pytest.approx(row.value, abs=1e-5)
            at = metrics[row.domain][f"departures_{budgets[-1] - int(row.budget)}"]
            assert at["gain"] == pytest.approx(row.value) and len(at) == 5
        assert (
            FIGURE.path(name=name, format="png").exists() and FIGURE.path(name=f"{name}-places", format="svg").exists()
        )
        (subject,) = (each for each in every(known) if each.routes == name)
        claims = JUDGED.read(routes=name).to_pandas()
        judged = claims[claims.role == "claimed"]
        concerned = name == "tiny-exact"
        asked = [] if not concerned else list(product(("C1", "C2", "C4", "C7", "C8", "C9"), known.corpus))
        assert sorted(zip(judged.claim, judged.domain, strict=True)) == sorted(asked)
        part = pretrained_part.part(subject)
        assert len(part.sentences) == 2 and all(
            "+" in " ".join(each) or "-" in " ".join(each) for each in part.sentences
        )


def test_its_part_is_published_beside_what_was(experiment, monkeypatch):
    """The pages follow from the numbers, as JSON has them, and hold every gain and luck's share of it."""
    known, _ = experiment
    run_stages()
    values = known.model_dump(mode="json", exclude_none=True) | {"answers": {}}
    TASK_ACCURACY.write(TASK_ACCURACY.schema.empty_table(), model="tiny")
    figures = [name for routes in ROUTES for name in (routes, f"{routes}-places")]
    assert pretrained_part.figures(known)[: len(figures)] == figures
    block = publish.collect_pretrained(values, every(known), figures)
    results = json.loads((REPOSITORY / "docs/results.json").read_text(encoding="utf-8"))
    results |= {"pretrained": json.loads(json.dumps(block))}
    page, readme = publish.page(results), publish.readme((REPOSITORY / "README.md").read_text("utf-8"), results)
    for name in ROUTES:
        statistics = tables.GAIN_STATISTICS.read(routes=name).to_pandas()
        share = statistics[(statistics.family == "luck_share") & (statistics.budget == statistics.budget.max())]
        for value in share.value:
            assert f"{100 * value:.0f} % (" in page
    assert (
        "| tiny-layers | at most 2 of 4 layers left out | text |" in page
        and "| tiny-blocks | 1 of 2 blocks left out or repeated | code |" in page
    )
    assert "- **Text**, at most 2 of 4 layers left out: the oracle gains" in readme and " % (" in readme
    block["statistics"]["rows"][0][7] += 1
    assert publish.page(results | {"pretrained": block}) != page


def test_entries_are_published_beside_the_others(experiment):
    """As a long experiment is run: entry by entry, in any place and order."""
    known, _ = experiment
    run_stages()
    values, tried = known.model_dump(mode="json", exclude_none=True) | {"answers": {}, "pretrained": {}}, every(known)
    figures = [pretrained_part.figures_of_routes([name]) for name in ROUTES]
    whole = publish.collect_pretrained(values, tried, [name for names in figures for name in names])
    some = publish.collect_pretrained(values, tried[:2], figures[0] + figures[1])
    assert publish.beside(some, publish.collect_routes(values, tried[2:], figures[2])) == whole
    again = publish.beside(whole, publish.collect_routes(values, tried[:1], figures[0]))
    assert sorted(map(str, again["statistics"]["rows"])) == sorted(map(str, whole["statistics"]["rows"]))
    assert {**again, "statistics": None} == {**whole, "statistics": None}
    other = values | {"bootstrap": {"confidence": 0.9, "resamples": 100}}
    with pytest.raises(InputError, match=r"^params.yaml: bootstrap: .*'confidence': 0.9.* were published with"):
        publish.beside(whole, publish.collect_routes(other, tried[:1], figures[0]))


def test_the_same_run_gives_the_same_bytes(experiment):
    made = []
    for _ in range(2):
        run_stages()
        paths = [
            path
            for name in ("pretrained_losses", "results")
            for path in sorted(checked.Path("artifacts", name).rglob("*.*"))
        ]
        made.append([path.read_bytes() for path in paths])
    assert len(made[0]) > 20 and made[0] == made[1]


def test_too_little_text_and_no_weights_are_one_error_each(experiment, tmp_path, monkeypatch):
    known, _ = experiment
    pretrained.main("tiny")
    longer = known.model_copy(
        update={"pretrained_windows": PretrainedWindows(documents=3, validation_documents=2, tokens=999)}
    )
    monkeypatch.setattr(pretrained_windows, "load_params", lambda: longer)
    message = r"domain 'text': 0 of 5 windows of the evaluation set are of documents with 1000 tokens .*; should be 3"
    with pytest.raises(InputError, match=message):
        pretrained_windows.main("tiny")
    for weights in (tmp_path / "theirs").glob("*.safetensors"):
        weights.unlink()
    with pytest.raises(InputError, match=r"'theirs' has no weights as safetensors or GGUF; pretrained.tiny in params"):
        pretrained.main("tiny")
