"""Tensors on disk."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from duo.errors import InputError
from duo.model.tensors import write_tensors
from duo.tables import files


def test_they_come_back(tmp_path):
    write_tensors({"a": torch.arange(3.0)}, tmp_path / "a", {"step": "1"})
    assert load_file(tmp_path / "a")["a"].tolist() == [0, 1, 2]


def test_a_place_that_takes_none_is_one_error(tmp_path):
    (tmp_path / "out.tmp").mkdir()
    with (
        pytest.raises(InputError, match=r"out: could not be written: ") as caught,
        files.atomic(tmp_path / "out") as temporary,
    ):
        write_tensors({"a": torch.zeros(3)}, temporary, {})
    assert isinstance(caught.value.__cause__, OSError) and not Path(tmp_path / "out").exists()
