"""What the benchmarks share: their sizes, their command line, contestants that take turns, the lines that they print.

No benchmark itself, as the underscore says; a test runs every other module here at its tiny size.
"""

import argparse
import logging
import math
import sys
import time
from collections.abc import Callable
from typing import NamedTuple

import torch

from duo.errors import InputError
from duo.model import device
from duo.model.transformer import Duo, Shape
from duo.progress import progress
from workflow.params import Params, load_params

# Changes to params.yaml that make a model just large enough to reach every line of a benchmark.
TINY = {
    "runtime": {"threads": 1, "compile": False},
    "tokens": {"vocabulary": 300, "sequence": 16, "pretrained": None},
    "model": {"layers": 3, "width": 32, "heads": 2, "big": 64, "small": 8, "pretrained": None},
    "pretrain": {"batch": 4},
    "evaluation_set": {"documents": 4, "tokens": 16},
    "route_losses": {"chunk": 512},
}


class Contestant(NamedTuple):
    """One of several ways to compute the same thing."""

    run: Callable[[], object]
    amount: int  # of tokens or losses that a call of `run` computes


def command_line(module: str, description: str) -> argparse.ArgumentParser:
    """A parser of `python -m MODULE`, with --size, whose --help begins with the description."""
    parser = argparse.ArgumentParser(
        prog=f"python -m {module}", description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--size",
        choices=["tiny", "params"],
        default="params",
        help="params: the model of params.yaml (default); tiny: a model of 3 layers, to see in seconds that all works",
    )
    return parser


def load(size: str) -> Params:
    """Params of this size, after torch is prepared for them."""
    params = tiny(load_params()) if size == "tiny" else load_params()
    device.prepare(params.runtime.device, params.runtime.threads)
    return params


def tiny(params: Params) -> Params:
    """The same with the changes of TINY."""
    groups = {group: getattr(params, group).model_copy(update=changes) for group, changes in TINY.items()}
    return params.model_copy(update=groups)


def random_model(params: Params) -> Duo:
    """A model of the params' shape with random weights: how fast it is does not depend on them."""
    model = Duo(Shape.of(params.tokens, params.model)).initialise(torch.Generator().manual_seed(0))
    return model.to(params.runtime.device)


def race(contestants: dict[str, Contestant], rounds: int, calls: int = 1) -> dict[str, float]:
    """Amount per second of every contestant, by name: the best of several rounds.

    In a round they take turns, so that all see the same load; a turn is so many calls, one after the
    other. A round that goes before is not counted: it compiles and fills caches. Shows its progress.
    """
    best = dict.fromkeys(contestants, math.inf)
    turns = [(number, name) for number in range(rounds + 1) for name in contestants]
    with progress("benchmark", "turns", turns) as shown:
        for number, name in shown:
            shown.set_postfix_str(name, refresh=False)
            start = time.perf_counter()
            for _ in range(calls):
                contestants[name].run()
            if torch.cuda.is_initialized():
                torch.cuda.synchronize()
            if number:
                best[name] = min(best[name], (time.perf_counter() - start) / calls)
    return {name: contestants[name].amount / seconds for name, seconds in best.items()}


def show(speeds: dict[str, float], unit: str) -> None:
    """Print a line per contestant: its speed, and how many times as fast the first of them is, which is ours."""
    ours, width = next(iter(speeds)), max(map(len, speeds))
    for name, speed in speeds.items():
        ratio = "" if name == ours else f"   {ours} is {speeds[ours] / speed:.2f} x as fast"
        print(f"{name:{width}}  {speed:11,.0f} {unit}/s{ratio}")


def run(main: Callable[[], None]) -> None:
    """Call main; bad input ends in one message and exit status 1."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    try:
        main()
    except InputError as error:
        sys.exit(f"error: {error}")
