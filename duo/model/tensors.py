"""Tensors on disk, as safetensors, which hold no code."""

from collections.abc import Mapping
from pathlib import Path

import safetensors.torch
import torch
from safetensors import SafetensorError


def write_tensors(tensors: Mapping[str, torch.Tensor], path: Path, metadata: Mapping[str, str]) -> None:
    """Write them to a file; the same tensors give the same bytes. OSError where it can't be written."""
    try:
        safetensors.torch.save_file(dict(tensors), path, metadata=dict(metadata))
    except SafetensorError as error:  # as of a full disk
        raise OSError(str(error)) from error
