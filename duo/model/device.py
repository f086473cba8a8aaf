"""Where and how tensors are computed: device, threads, precision, compilation."""

import contextlib
import logging
import os
import shutil
from collections.abc import Callable

import torch

from duo.errors import InputError

# Huge pages for torch's own memory on Linux: up to a fifth faster here. Read by torch when it first allocates.
os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")

log = logging.getLogger(__name__)


def prepare(device: str, threads: int) -> None:
    """Set torch's threads and determinism for the whole process. InputError where the device is not there."""
    if device == "cuda" and not torch.cuda.is_available():
        raise InputError("params.yaml: runtime.device: 'cuda', but torch sees no CUDA device; set it to cpu")
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # what cuBLAS needs to be deterministic
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # a debugging aid that costs 5 % of a step


def autocast(device: str, precision: str) -> contextlib.AbstractContextManager:
    """Matrix products in bf16 with sums, norms and weights in fp32; nothing for fp32."""
    return torch.autocast(device, dtype=torch.bfloat16, enabled=precision == "bf16")


def compiled(function: Callable, enabled: bool) -> Callable:
    """torch.compile where params ask for it and a C++ compiler is found, else the function itself."""
    if not enabled:
        return function
    if not (os.environ.get("CXX") or shutil.which("g++") or shutil.which("clang++")):
        log.warning("no C++ compiler (g++ or clang++) found: running eager, some five times slower")
        return function
    return torch.compile(
        function, dynamic=False, options={"cpp_wrapper": True}
    )  # calls between kernels in C++ too: 5 to 10 % faster
