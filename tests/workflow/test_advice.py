"""What the user sees of an error: the science's words, and which param asks for what can't be had."""

import numpy as np
import pytest
import torch
from made_up import word_tokenizer
from project import REPOSITORY, Project
from ruamel.yaml import YAML

from duo.data import tokenizer
from duo.errors import InputError
from duo.settings import Runtime
from duo.tables.data import HELD_OUT, PACKED
from duo.tables.files import fixed_lists
from workflow import compute
from workflow.stages import evaluation_set


def test_a_device_that_is_not_there(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    message = r"^device 'cuda': torch sees no CUDA device here; use cpu; runtime.device in params.yaml asks for it$"
    with pytest.raises(InputError, match=message):
        compute.prepare(Runtime(device="cuda", threads=1, compile=False))


def test_a_device_that_is_there_is_set_up(monkeypatch):
    threads = torch.get_num_threads()
    compute.prepare(Runtime(device="cpu", threads=3, compile=False))
    assert torch.get_num_threads() == 3 and torch.are_deterministic_algorithms_enabled()
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(False)


def test_a_split_that_holds_less_than_is_asked_for(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("params.yaml", "params"):
        (tmp_path / name).symlink_to(REPOSITORY / name)
    ids = [np.arange(1, 9, dtype=np.uint16)] * 3
    rows = {"domain": ["text"] * 3, "document": ["a", "b", "c"], "cluster": ["a", "b", "c"], "split": ["test"] * 3}
    HELD_OUT.write(rows | {"tokens": ids})
    PACKED.write({"domain": ["text"], "split": ["train"], "tokens": fixed_lists(np.zeros((1, 9), np.uint16))})
    tokenizer.save(word_tokenizer())
    with pytest.raises(
        InputError, match=r"^domain 'text': 32 windows .*; evaluation_set in params.yaml asks for them$"
    ):
        evaluation_set.main()


def test_a_corpus_that_is_not_there(real: Project):
    yaml = YAML()
    params = yaml.load(real.root / "params.yaml")
    params["corpus"]["text"] = {"source": "files", "glob": "mine/*.txt", "licence": "MIT", "attribution": "me"}
    params["corpus"]["text"] |= {"validation": 0.1, "test": 0.1, "routing": 0.1}
    yaml.dump(params, real.root / "params.yaml")
    failed = real.run("python -m workflow.stages.corpus text", check=False)
    told = (
        "error: domain 'text': no file in own-text matches 'mine/*.txt'; corpus.text in params.yaml says what is read\n"
    )
    assert failed.returncode == 1 and failed.stderr.endswith(told) and "Traceback" not in failed.stderr


def test_a_damaged_and_a_missing_file_of_another_stage(real: Project):
    """The made-up outs of this fixture are all damaged, for whoever reads them."""
    failed = real.run("python -m workflow.stages.schedules", check=False)
    assert failed.returncode == 1 and failed.stderr.startswith("error: artifacts/oracle/")
    assert failed.stderr.endswith("; delete it, then `dvc repro oracle@1` makes it again\n")
    (real.root / "artifacts/oracle/1/tokens.parquet").unlink()
    failed = real.run("python -m workflow.stages.schedules", check=False)
    assert failed.stderr == "error: artifacts/oracle/1/tokens.parquet: is missing; `dvc repro oracle@1` makes it\n"
