"""Speed of the prefix tree, in losses (token x route) a second: python -m benchmarks.enumeration

Against four baselines in one process, all of params.yaml's shape and precision:
- plain loop: a forward pass of the same model for each document and route, eager, as one would write it first;
- batched loop: the same, with a pass for many documents at once;
- tuned loop: batched, compiled, and computing only the FFNs that the route names;
- products alone: every matrix product that the tree needs, in its sizes and numbers, with nothing between them.
The loops run a sample of the routes. Beside them stand the tree in the context `reference` and the one walk that
gives null, ceiling
and normalised oracle too, each against the plain tree in turns, so that all see the same load.
"""

import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from duo.model import device
from duo.model.transformer import Duo, Layer, Positions, Shape
from duo.oracle import tree
from duo.routes import BIG, SMALL, RouteSpace
from workflow.params import Runtime, load_params

SAMPLE = 6  # routes that the loops run
DOCUMENTS = 32  # in a pass of the batched loops
ROUNDS = 3
SETS, TEACHERS = 3, 2  # label sets and teachers of the one walk


def main() -> None:
    params = load_params()
    device.prepare(params.runtime.device, params.runtime.threads)
    settings, shape = params.enumerate, Shape.of(params.tokens, params.model)
    duo = Duo(shape).initialise(torch.Generator().manual_seed(0)).eval().requires_grad_(False)
    space = RouteSpace(shape.layers)
    generator = torch.Generator().manual_seed(1)
    tokens, labels = torch.randint(0, shape.vocabulary, (2, DOCUMENTS, settings.tokens), generator=generator)
    digits = torch.from_numpy(space.digits)[torch.randint(0, len(space), (SAMPLE,), generator=generator)]
    some, wanted = tokens[: tree.BATCH], labels[: tree.BATCH]
    enumerator = tree.Enumerator(duo, space, params.runtime, settings.precision, settings.rows)

    def loop(forward: Callable[[Tensor, Tensor], Tensor], documents: int) -> Callable[[], None]:
        @torch.no_grad()
        def passes() -> None:
            with device.autocast(params.runtime.device, settings.precision):
                for route in digits:
                    F.cross_entropy(
                        forward(tokens[:documents], route).float().flatten(0, 1),
                        labels[:documents].flatten(),
                        reduction="none",
                    )

        return passes

    def plain(some_tokens: Tensor, route: Tensor) -> Tensor:
        return duo(some_tokens, route == 1)

    losses = {
        "prefix tree": (lambda: enumerator.losses(some, wanted[None]), some.numel() * len(space)),
        "plain loop": (loop(plain, 1), settings.tokens * SAMPLE),
        "batched loop": (loop(plain, DOCUMENTS), tokens.numel() * SAMPLE),
        "tuned loop": (loop(tuned_pass(duo, params.runtime), DOCUMENTS), tokens.numel() * SAMPLE),
        "products alone": (
            lambda: tree_products(shape, some.numel(), settings.rows, settings.precision),
            some.numel() * len(space),
        ),
    }
    every = some.numel() * len(space)
    null = labels[tree.BATCH :][: (SETS - 1) * tree.BATCH].view(SETS - 1, *some.shape)
    teachers = torch.randn(TEACHERS, *some.shape, shape.vocabulary, generator=generator).log_softmax(-1)
    budgets = range(shape.layers + 1)
    all_big = torch.full_like(some, len(space) - 1)
    trees = {
        "plain": lambda: enumerator.losses(some, wanted[None]),
        "reference": lambda: enumerator.losses(some, wanted[None], reference=all_big),
        "one walk": lambda: enumerator.everything(some, torch.cat([wanted[None], null]), teachers, budgets),
    }
    times = in_turns(trees)
    for name, taken in times.items():
        print(
            f"tree, {name:9} {every / taken / 1e3:9,.1f} k losses/s   takes {taken / times['plain']:6.2f} x as long as the plain one"
        )
    speeds = {name: count / seconds(run) for name, (run, count) in losses.items()}
    for name, speed in speeds.items():
        print(f"{name:15} {speed / 1e3:9,.1f} k losses/s   tree is {speeds['prefix tree'] / speed:6.2f} x as fast")


def tuned_pass(duo: Duo, machine: Runtime) -> Callable[[Tensor, Tensor], Tensor]:
    """Logits of tokens under one route [layers], each layer and its one FFN compiled."""

    def layer_pass(layer: Layer, x: Tensor, positions: Positions, choice: str) -> Tensor:
        x = layer.attend(x, positions)
        return x + layer.ffns[choice](layer.ffn_norm(x))

    step = device.compiled(layer_pass, machine.compile)

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
    product(tokens * 2**shape.layers, width, shape.vocabulary, tree.LEAF_ROWS)


def seconds(run: Callable[[], object]) -> float:
    """Time of a run, the best of some rounds after one that warms up."""
    return in_turns({"": run})[""]


def in_turns(runs: dict[str, Callable[[], object]]) -> dict[str, float]:
    """The same of several, by name; in each round they take turns."""
    times = {name: [] for name in runs}
    for round in range(1 + ROUNDS):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            if round:
                times[name].append(time.perf_counter() - start)
    return {name: min(taken) for name, taken in times.items()}


if __name__ == "__main__":
    main()
