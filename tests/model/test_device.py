"""Where tensors are computed, and how."""

import os
import subprocess
import sys

import pytest
import torch
from project import REPOSITORY

from duo.errors import InputError
from duo.model import device
from duo.model.device import Device, prepare
from duo.settings import Runtime


@pytest.mark.parametrize(("precision", "expected"), [("fp32", torch.float32), ("bf16", torch.bfloat16)])
def test_products_are_of_the_precision_and_sums_are_not(precision, expected):
    x = torch.ones(2, 2)
    with Device(precision=precision).autocast():
        assert (x @ x).dtype == expected
        assert (x + x).dtype == torch.float32


@pytest.mark.parametrize(
    ("has", "expected"), [({"amx_bf16": True}, "bf16"), ({"avx512_bf16": False, "avx2": True}, "fp32")]
)
def test_auto_is_bf16_where_the_processor_multiplies_in_it(monkeypatch, has, expected):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: has)
    assert Device(precision="auto") == Device(precision=expected)


def test_only_what_is_to_be_compiled_is(monkeypatch):
    def double(x):
        return 2 * x

    monkeypatch.setattr(device, "compiles", lambda name: name == "cpu")
    assert Device().compiled(double) is double
    assert Device(compile=True).compiled(double) is not double


def test_where_nothing_compiles_code_runs_as_it_is_and_the_log_says_why_once(monkeypatch, caplog):
    def refuse(_):
        raise RuntimeError("\n  main.so: failed to map segment. Mount it otherwise.\nmore lines")

    monkeypatch.setattr(torch, "compile", lambda function, **_: refuse)
    device.compiles.cache_clear()
    assert Device(compile=True).compiled(abs) is abs and Device(compile=True).compiled(len) is len
    assert [record.message for record in caplog.records] == [
        "torch.compile doesn't work here (main.so: failed to map segment): running eager, some five times slower"
    ]
    device.compiles.cache_clear()


@pytest.mark.slow
@pytest.mark.parametrize("compiler", ["/bin/false", "no-cache g++", "true"])
def test_a_compiler_that_is_there_and_of_no_use(compiler, tmp_path):
    """As ccache in front of g++, which torch takes for one name, or one that writes nothing."""
    script = "from duo.model.device import Device; print(Device(compile=True).compiled(abs) is abs)"
    environment = os.environ | {"CXX": compiler, "TORCHINDUCTOR_CACHE_DIR": str(tmp_path)}
    ran = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=environment, cwd=REPOSITORY
    )
    assert (
        ran.stdout == "True\n" and "torch.compile doesn't work here (" in ran.stderr and "Traceback" not in ran.stderr
    )


def test_a_device_is_that_of_the_settings():
    assert Device.of(Runtime(device="cpu", threads=1, compile=True), "bf16") == Device("cpu", "bf16", True)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"precision": "fp16"}, "precision 'fp16': should be auto, fp32 or bf16"),
        ({"name": "gpu"}, "device 'gpu': should be cpu, cuda"),
    ],
)
def test_what_torch_does_not_know_is_one_error(wrong, message):
    with pytest.raises(InputError, match=message):
        Device(**wrong)


def test_a_device_that_is_not_there_is_one_error(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for place in (Device, lambda name: prepare(name, 1)):
        with pytest.raises(InputError, match="device 'cuda': torch sees no CUDA device here; use cpu"):
            place("cuda")


def test_freed_memory_is_kept_for_the_next_tensor():
    """By a process of its own, as the setting stays."""
    code = (
        "import resource, torch; from duo.model.device import prepare; prepare('cpu', 1)\n"
        "def faults(): return resource.getrusage(resource.RUSAGE_SELF).ru_minflt\n"
        "torch.zeros(2**24); before = faults()\n"
        "for _ in range(20): torch.zeros(2**24)\n"
        "print(faults() - before)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=REPOSITORY)
    assert int(done.stdout) < 100  # 64 MB have 16,384 pages, or 32 huge ones, each time
