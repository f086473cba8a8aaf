"""Speed of the prefix tree against a plain loop of forward passes, and against its matrix products alone: python -m benchmarks.enumeration

All on one batch of documents of params.yaml's shape, in one process. The loop runs a sample of the routes, one forward
pass each, computing at every layer only the FFN that the route names, in the same precision and compiled as well; its time
for all routes is the sample's scaled up. The products are the same tree's, alone: every product of the shapes and in the
numbers that one pass of the tree needs, without anything between them.
"""

import time
from collections.abc import Callable

import torch
import torch.nn.functional as F

from duo import config, enumerate, runtime
from duo.model import Duo, Shape
from duo.routes import BIG, SMALL, RouteSpace

SAMPLE = 24  # routes that the plain loop runs


def main() -> None:
    params = config.load()
    runtime.prepare(params.runtime.device, params.runtime.threads)
    settings, shape = params.enumerate, Shape(**params.tokens.model_dump(), **params.model.model_dump())
    duo = Duo(shape).initialise(torch.Generator().manual_seed(0)).eval().requires_grad_(False)
    space = RouteSpace(shape.layers)
    tokens, labels = torch.randint(0, shape.vocabulary, (2, enumerate.BATCH, settings.tokens), generator=torch.Generator().manual_seed(1))
    enumerator = enumerate.Enumerator(duo, space, params.runtime, settings.precision, settings.rows)
    loop = plain_loop(duo, params.runtime, settings.precision)
    tree = seconds(lambda: enumerator.losses(tokens, labels[None]))
    routes = torch.randint(0, len(space), (SAMPLE,), generator=torch.Generator().manual_seed(2)).tolist()
    plain = seconds(lambda: [loop(tokens, labels, space.digits[route]) for route in routes]) / SAMPLE * len(space)
    products = seconds(lambda: tree_products(shape, tokens.numel(), settings.rows, settings.precision))
    pairs = tokens.numel() * len(space)
    for name, time_taken in (("prefix tree", tree), ("plain loop", plain), ("products alone", products)):
        print(f"{name:15} {time_taken:8.2f} s   {pairs / time_taken / 1e6:6.3f} M losses/s   {time_taken / tree:6.2f} x the tree's time")


def plain_loop(duo: Duo, machine: config.Runtime, precision: str) -> Callable:
    """A forward pass of one route, digits [layers], and its losses."""

    def forward_layer(layer, x, positions, choice):
        x = layer.attend(x, positions)
        return x + layer.ffns[choice](layer.ffn_norm(x))

    step = runtime.compiled(forward_layer, machine.compile)
    loss = runtime.compiled(
        lambda x, labels: F.cross_entropy(duo.logits(x).float().flatten(0, 1), labels.flatten(), reduction="none"), machine.compile
    )

    @torch.no_grad()
    def run(tokens: torch.Tensor, labels: torch.Tensor, digits) -> torch.Tensor:
        with runtime.autocast("cpu", precision):
            x = duo.embedding(tokens)
            for layer, digit in zip(duo.layers, digits, strict=True):
                x = step(layer, x, duo.positions(tokens.shape[1]), (SMALL, BIG)[digit])
            return loss(x, labels)

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
    """Time of a run, the best of three after one that warms up."""
    run()
    times = []
    for _ in range(3):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return min(times)


if __name__ == "__main__":
    main()
