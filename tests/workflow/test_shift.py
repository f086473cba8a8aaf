"""Text of packages that models train on beside text of packages that they don't: from wheels to windows."""

import hashlib
import zipfile
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from made_up import WORDS

from duo.data import corpus, evaluation_set, tokenizer
from duo.data.sources import WheelDomain
from duo.settings import EvaluationSize
from duo.tables.data import CACHE, DOCUMENTS, EVALUATION_SET, EVALUATION_SET_METRICS, HELD_OUT_SPLITS, packed
from workflow.stages import evaluation_set as stage

FILES, TOKENS = 24, 16
COPIED = "from birch import amber\n" + " ".join(WORDS * 8)  # that a package that isn't trained on has from one that is


@pytest.fixture(autouse=True)
def own_artifacts(tmp_path, monkeypatch):
    monkeypatch.setattr("duo.tables.files.ROOT", tmp_path / "artifacts")


def letters(rng: np.random.Generator) -> str:
    """A text that has no eight tokens in common with another."""
    return " ".join("".join(rng.choice(list("abcdefghijklmnop"), 6)) for _ in range(60))


def wheel(name: str, rng: np.random.Generator, split: str | None = None, copies: int = 0) -> dict:
    """A fetched wheel of random letters, but for the first files, which are nearly the same in all wheels."""
    path = CACHE.path(name=f"wheels/{name}-1.0.whl")
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for index in range(FILES):
            text = f"{COPIED} {name} {index}" if index < copies else letters(rng)
            archive.writestr(f"{name}/{index:02}.py", text)
    entry = {"name": name, "version": "1.0", "sha256": hashlib.sha256(path.read_bytes()).hexdigest(), "members": "*.py"}
    return entry | {"licence": "MIT", "attribution": "its author"} | ({"split": split} if split else {})


def test_unseen_packages_are_held_against_all_that_is_trained_on(monkeypatch):
    rng = np.random.default_rng(1)
    # Of the seen packages' copies, most are trained on.
    seen = [wheel(name, rng, copies=4) for name in ("ash", "elm", "fir")]
    unseen = [wheel(f"{split}-{number}", rng, split, copies=4) for split in HELD_OUT_SPLITS for number in range(3)]
    domains = {
        "seen": {"wheels": seen, "split_by": "document", "validation": 0.2, "test": 0.2, "routing": 0.2},
        "unseen": {"wheels": unseen, "split_by": "package"},
    }
    domains = {name: WheelDomain.model_validate({"source": "wheel"} | each) for name, each in domains.items()}
    for name, domain in domains.items():
        DOCUMENTS.write(corpus.split(corpus.read(domain, name, Path())[0], domain, name, seed=1), domain=name)
    tables = {name: DOCUMENTS.read(domain=name) for name in domains}
    tokenizer.tokenize(tables, 300, TOKENS, seed=1)
    assert list(packed("train")) == list(packed("validation")) == ["seen"]

    params = SimpleNamespace(
        seed=1,
        evaluation_set=EvaluationSize(documents=6, tokens=TOKENS, inside=0.5, shared=0.2),
        policies=SimpleNamespace(train_documents=6, validation_documents=6),
    )
    monkeypatch.setattr(stage, "load_params", lambda: params)
    stage.main()
    split_of = {(name, row["id"]): row["split"] for name, table in tables.items() for row in table.to_pylist()}
    read = evaluation_set.grams_of_packed(packed("train")["seen"])
    for split in HELD_OUT_SPLITS:
        rows = EVALUATION_SET.read(split=split).to_pylist()
        clusters = {name: Counter(row["cluster"] for row in rows if row["domain"] == name) for name in domains}
        assert set(clusters["seen"]) == {"ash", "elm", "fir"}
        assert clusters["unseen"] == {f"{split}-{number}": 2 for number in range(3)}
        for row in rows:
            assert split_of[row["domain"], row["document"]] == split
            assert evaluation_set.share_in(evaluation_set.grams_of(np.array([row["tokens"]])), read) <= 0.2
    passed = {
        split: counts["unseen"]["passed_over_like_training"] for split, counts in EVALUATION_SET_METRICS.read().items()
    }
    assert sum(passed.values()) > 0, "no copy was met, so that nothing was tried"
