"""Where and how tensors are computed: device, precision, compilation, threads.

What a number depends on beside its inputs, kept in one object: the same model gives other last digits on a GPU, in bf16
or when compiled. So whoever computes losses is given a Device, and two results are compared only where it is the same.
"""

import contextlib
import ctypes
import functools
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass

import torch

from duo.errors import InputError
from duo.settings import Runtime

# Huge pages for torch's own memory on Linux: up to a fifth faster here. Read by torch when it first allocates.
os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # of malloc.h

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Device:
    """A torch device by name, the precision of its matrix products, and whether code is compiled.

    precision: fp32, bf16, or auto, which becomes bf16 where the device multiplies in it and fp32 elsewhere: a processor
    that doesn't is some five times slower in bf16. InputError where torch doesn't know the device or doesn't see it, or
    the precision is another.
    """

    name: str = "cpu"
    precision: str = "fp32"
    compile: bool = False

    def __post_init__(self):
        if self.precision not in ("auto", "fp32", "bf16"):
            raise InputError(f"precision {self.precision!r}: should be auto, fp32 or bf16")
        try:
            known = torch.device(self.name)
        except RuntimeError:
            raise InputError(f"device {self.name!r}: should be cpu, cuda, or another name of torch's") from None
        if known.type == "cuda" and not torch.cuda.is_available():
            raise InputError(f"device {self.name!r}: torch sees no CUDA device here; use cpu")
        if self.precision == "auto":
            object.__setattr__(self, "precision", "bf16" if multiplies_bf16(known.type) else "fp32")

    @classmethod
    def of(cls, runtime: Runtime, precision: str) -> "Device":
        """The device that settings ask for, at a precision."""
        return cls(runtime.device, precision, runtime.compile)

    def autocast(self) -> contextlib.AbstractContextManager:
        """Context in which matrix products are of this precision; with bf16, sums, norms and weights stay in fp32."""
        return torch.autocast(torch.device(self.name).type, dtype=torch.bfloat16, enabled=self.precision == "bf16")

    def rounded(self, weight: torch.Tensor) -> torch.Tensor:
        """A weight as matrix products of this precision take it: `autocast` would round it anew for each of them."""
        return weight.to(torch.bfloat16) if self.precision == "bf16" else weight

    def compiled(self, function: Callable) -> Callable:
        """The function by torch.compile where that is asked for and works here, else as it is."""
        return _compile(function) if self.compile and compiles(self.name) else function


@functools.cache
def compiles(device: str) -> bool:
    """Whether torch.compile works on this device, tried once with the smallest function; if not, the log says why.

    A compiler may be there and be of no use: its headers are missing, it isn't the one that torch asks for, or what it
    writes may not be run where it is written.
    """
    try:
        _compile(lambda values: values + 1)(torch.zeros(1, device=device))
    except Exception as error:  # torch's, the compiler's and the linker's have no common base
        reason = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
        words = "torch.compile doesn't work here (%s): running eager, some five times slower"
        log.warning(words, reason.split(". ")[0])
        return False
    return True


def _compile(function: Callable) -> Callable:
    # cpp_wrapper: calls between kernels in C++ too, 5 to 10 % faster.
    return torch.compile(function, dynamic=False, options={"cpp_wrapper": True})


def multiplies_bf16(kind: str) -> bool:
    """Whether a kind of device, as cpu or cuda, has instructions for products in bf16."""
    if kind == "cpu":
        return any(has for name, has in torch.cpu.get_capabilities().items() if name.endswith("bf16"))
    return kind == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)


def _keep_freed_memory() -> None:
    """Have glibc keep what a tensor leaves for the next one.

    By default it gives large pieces back to the system, which has to clear them again: products of some megabytes then
    run at a third to two thirds of their speed, trainings at seven eighths.
    """
    if mallopt := getattr(ctypes.CDLL(None), "mallopt", None):  # other C libraries have none
        mallopt(M_MMAP_MAX, 0)
        mallopt(M_TRIM_THRESHOLD, -1)


def prepare(device: str, threads: int) -> None:
    """Set torch's threads and determinism for the whole process. InputError where the device is not there."""
    Device(device)
    _keep_freed_memory()
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # what cuBLAS needs to be deterministic
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # a debugging aid that costs 5 % of a step
