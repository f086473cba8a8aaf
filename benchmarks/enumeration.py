"""Speed of the prefix tree, in losses (token x route) a second: python -m benchmarks.enumeration

Against three baselines in one process, all of params.yaml's shape and precision:
- plain loop: one forward pass of the same model a route, eager, as one would write it first;
- tuned loop: the same, computing only the FFNs that the route names, compiled;
- products alone: every matrix product that the tree needs, in its sizes and numbers, with nothing between them.
The loops run a sample of the routes on a batch large enough that more would not make them faster.
"""

import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from duo import config, enumerate, runtime
from duo.model import Duo, Layer, Positions, Shape
from duo.routes import BIG, SMALL, RouteSpace

SAMPLE = 6  # routes that the loops run
DOCUMENTS = 32  # documents in the loops' batch
ROUNDS = 3


def main() -> None:
    params = config.load()
    runtime.prepare(params.runtime.device, params.runtime.threads)
    settings, shape = params.enumerate, Shape(**params.tokens.model_dump(), **params.model.model_dump())
    duo = Duo(shape).initialise(torch.Generator().manual_seed(0)).eval().requires_grad_(False)
    space = RouteSpace(shape.layers)
    generator = torch.Generator().manual_seed(1)
    tokens, labels = torch.randint(0, shape.vocabulary, (2, DOCUMENTS, settings.tokens), generator=generator)
    digits = torch.from_numpy(space.digits)[torch.randint(0, len(space), (SAMPLE,), generator=generator)]
    some, wanted = tokens[: enumerate.BATCH], labels[: enumerate.BATCH]
    enumerator = enumerate.Enumerator(duo, space, params.runtime, settings.precision, settings.rows)
    tuned = tuned_pass(duo, params.runtime)

    def autocast(run: Callable[[Tensor], Tensor]) -> Callable[[], None]:
        @torch.no_grad()
        def passes() -> None:
            with runtime.autocast(params.runtime.device, settings.precision):
                for route in digits:
                    F.cross_entropy(run(route).float().flatten(0, 1), labels.flatten(), reduction="none")

        return passes

    losses = {
        "prefix tree": (lambda: enumerator.losses(some, wanted[None]), some.numel() * len(space)),
        "plain loop": (autocast(lambda route: duo(tokens, route == 1)), tokens.numel() * SAMPLE),
        "tuned loop": (autocast(lambda route: tuned(tokens, route)), tokens.numel() * SAMPLE),
        "products alone": (lambda: tree_products(shape, some.numel(), settings.rows, settings.precision), some.numel() * len(space)),
    }
    speeds = {name: count / seconds(run) for name, (run, count) in losses.items()}
    for name, speed in speeds.items():
        print(f"{name:15} {speed / 1e3:9,.1f} k losses/s   tree is {speeds['prefix tree'] / speed:6.2f} x as fast")


def tuned_pass(duo: Duo, machine: config.Runtime) -> Callable[[Tensor, Tensor], Tensor]:
    """Logits of tokens under one route [layers], each layer and its one FFN compiled."""

    def layer_pass(layer: Layer, x: Tensor, positions: Positions, choice: str) -> Tensor:
        x = layer.attend(x, positions)
        return x + layer.ffns[choice](layer.ffn_norm(x))

    step = runtime.compiled(layer_pass, machine.compile)

    def run(tokens: Tensor, route: Tensor) -> Tensor:
        x = duo.embedding(tokens)
        for layer, big in zip(duo.layers, route.tolist(), strict=True):
            x = step(layer, x, duo.positions(tokens.shape[1]), BIG if big else SMALL)
        return duo.logits(x)

    return run


def tree_products(shape: Shape, tokens: int, rows: int, precision: str) -> None:
    """Every matrix product of the tree over `tokens` tokens, on made-up operands, in chunks of at most `rows` rows."""
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    width, size = shape.width, shape.width // shape.heads

    def product(total: int, inputs: int, outputs: int, chunk: int) -> None:
        x, weight = torch.ones(min(chunk, total), inputs, dtype=dtype), torch.ones(outputs, inputs, dtype=dtype)
        for _ in range(max(1, total // chunk)):
            F.linear(x, weight)

    for depth in range(shape.layers):
        nodes = tokens * 2**depth
        product(nodes, width, 3 * width, rows)
        product(nodes, width, width, rows)
        for inner in (shape.big, shape.small):
            product(nodes, width, 2 * inner, rows)
            product(nodes, inner, width, rows)
        batch = min(nodes, rows) // shape.sequence * shape.heads
        scores, values = (
            torch.ones(batch, shape.sequence, shape.sequence, dtype=dtype),
            torch.ones(batch, shape.sequence, size, dtype=dtype),
        )
        for _ in range(max(1, nodes // rows)):
            torch.bmm(values, values.transpose(1, 2))
            torch.bmm(scores, values)
    product(tokens * 2**shape.layers, width, shape.vocabulary, enumerate.LEAF_ROWS)


def seconds(run: Callable[[], object]) -> float:
    """Time of a run, the best of some rounds after one that warms up."""
    run()
    times = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return min(times)


if __name__ == "__main__":
    main()
