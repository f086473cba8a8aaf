"""All benchmarks one after the other, each in a process of its own, as a page in Markdown. Behind them stands what the
experiment costs on paper.
"""

import platform
import shutil
import subprocess
import sys
import tempfile
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

import torch

from benchmarks import _shared as shared
from duo import cost
from duo.model.device import Device
from duo.model.transformer import Shape
from workflow.__main__ import change
from workflow.params import Params, load_params

NAMES = sorted(path.stem for path in Path(__file__).parent.glob("[!_]*.py"))
CPU_INFO = Path("/proc/cpuinfo")
ROOT, LARGER = Path(__file__).parents[1], ("params/full.yaml", "params/paper.yaml")


def main() -> None:
    arguments = shared.command_line("benchmarks", __doc__).parse_args()
    params = shared.load(arguments.size)
    print("# Performance\n")
    print(f"Written by `python -m benchmarks` on {machine(params)}.")
    print("Speeds are of that machine; what compares is a ratio.\n")
    for name in NAMES:
        print(f"## {name.capitalize()}\n")
        print(import_module(f"benchmarks.{name}").__doc__.strip() + "\n")
        print(block(output(name, arguments.size)), flush=True)
    print("## What the experiment costs on paper\n")
    print("`python -m duo cost` prints this for the params.yaml at hand.")
    device = Device.of(params.runtime, params.route_losses.precision)
    measured = cost.this_machine(device, Shape.of(params.tokens, params.model))
    for name, asked in {"params.yaml": params, **larger(params)}.items():
        print(f"\n### {name}\n")
        print(block("\n".join(cost.lines(asked, len(asked.corpus), *measured))), end="")


def larger(params: Params) -> dict[str, Params]:
    """Larger experiments, as if run here, by the file that makes them of params.yaml."""
    found = {}
    for name in LARGER:
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(shutil.copy("params.yaml", folder))
            change(copy, ROOT / name)
            found[name] = load_params(copy).model_copy(update={"runtime": params.runtime})
    return found


def machine(params: Params) -> str:
    """The processor as it names itself, what it multiplies in, and the versions that matter."""
    lines = CPU_INFO.read_text().splitlines() if CPU_INFO.exists() else []
    processor = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), "")
    kinds = [name for name, has in torch.cpu.get_capabilities().items() if has and name.endswith("bf16")]
    return (
        f"{processor or platform.processor() or platform.machine()} ({', '.join(kinds) or 'no bf16'}), "
        f"{params.runtime.threads} threads, torch {version('torch')}, transformers {version('transformers')}"
    )


def output(name: str, size: str) -> str:
    """What a benchmark prints; its progress goes where this one's does."""
    command = [sys.executable, "-m", f"benchmarks.{name}", "--size", size]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(done.returncode)  # it has said why
    return done.stdout


def block(text: str) -> str:
    return f"```text\n{text.rstrip()}\n```\n"


if __name__ == "__main__":
    shared.run(main)
