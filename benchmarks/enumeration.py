"""Speed of the prefix tree, which computes the loss of every token under every route.

Measures: losses, one per token and route, per second, the best of 3 rounds in which all take turns. `prefix tree` is
    the tree as the stage route_losses walks it, all tokens of a sequence on the same route.
Baseline: the same model, run route by route:
    plain loop      one document per forward pass, eager, both FFNs of a layer computed: as one writes it first;
    batched loop    32 documents per forward pass;
    tuned loop      batched, compiled, and of the FFNs only the one that the route names.
    They run 6 random routes, since all would take hours. Beside them stand
    products alone  every matrix product of the tree, in its sizes and numbers, and nothing between them: what the tree
                    could reach at best;
    reference       the tree in the context of a reference run, where the other tokens keep a route of their own;
    one walk        the tree with 3 sets of labels, the expected losses under 2 teachers and the normalisers of all
                    budgets beside the losses.
Input: a model of params.yaml's shape with random weights, and random tokens; needs nothing of a run.
Takes: 6 minutes with the default params.yaml on two cores; 5 seconds at --size tiny, whose ratios mean nothing.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks import _shared as shared
from benchmarks._shared import Contestant
from duo.model.device import Device
from duo.model.switched import Positions
from duo.model.transformer import FAMILIES, Duo, Layer, Shape
from duo.oracle import tree
from duo.routes import RouteSpace
from duo.terms import BIG, SMALL
from workflow.params import Params

ROUNDS = 3
ROUTES = 6  # that the loops run
DOCUMENTS = 32  # of a pass of the batched loops
SETS, TEACHERS = 3, 2  # label sets and teachers of the one walk


def main() -> None:
    arguments = shared.command_line(__spec__.name, __doc__).parse_args()
    params = shared.load(arguments.size)
    model = shared.random_model(params).eval().requires_grad_(False)
    generator = torch.Generator().manual_seed(1)
    size = (2, DOCUMENTS, params.evaluation_set.tokens)
    tokens, labels = torch.randint(0, params.tokens.vocabulary, size, generator=generator)
    walks = trees(params, model, tokens, labels, generator)
    contestants = {"prefix tree": walks.pop("prefix tree")} | loops(params, model, tokens, labels, generator)
    contestants["products alone"] = products(params, model.shape, walks["one walk"].amount)
    shared.show(shared.race(contestants | walks, ROUNDS), "losses")


def trees(
    params: Params, model: Duo, tokens: Tensor, labels: Tensor, generator: torch.Generator
) -> dict[str, Contestant]:
    """The tree's walks over as many documents as it takes at once; tokens, labels [documents, time]."""
    settings, space = params.route_losses, RouteSpace(model.shape.layers)
    enumerator = tree.Enumerator(model, space, Device.of(params.runtime, settings.precision), settings.chunk)
    batch, true = tokens[: tree.BATCH], labels[: tree.BATCH]
    sets = labels[: SETS * tree.BATCH].view(SETS, *batch.shape)
    teachers = torch.randn(TEACHERS, *batch.shape, model.shape.vocabulary, generator=generator).log_softmax(-1)
    all_big = torch.full_like(batch, len(space) - 1)
    budgets = range(space.layers + 1)
    walks = {
        "prefix tree": lambda: enumerator.losses(batch, true[None]),
        "reference": lambda: enumerator.losses(batch, true[None], reference=all_big),
        "one walk": lambda: enumerator.everything(batch, sets, teachers, budgets),
    }
    return {name: Contestant(walk, batch.numel() * len(space)) for name, walk in walks.items()}


def loops(
    params: Params, model: Duo, tokens: Tensor, labels: Tensor, generator: torch.Generator
) -> dict[str, Contestant]:
    """The same losses by a forward pass per route; tokens, labels [documents, time]."""
    space, device = RouteSpace(model.shape.layers), Device.of(params.runtime, params.route_losses.precision)
    codes = torch.randint(0, len(space), (ROUTES,), generator=generator)
    routes = torch.from_numpy(space.big(codes.numpy())).to(params.runtime.device)

    def loop(forward: Callable[[Tensor, Tensor], Tensor], documents: int) -> Contestant:
        batch, true = (part[:documents].to(params.runtime.device) for part in (tokens, labels))

        @torch.no_grad()
        def passes() -> None:
            with device.autocast():
                for route in routes:
                    logits = forward(batch, route).float()
                    F.cross_entropy(logits.flatten(0, 1), true.flatten(), reduction="none")

        return Contestant(passes, batch.numel() * ROUTES)

    return {
        "plain loop": loop(model, 1),
        "batched loop": loop(model, DOCUMENTS),
        "tuned loop": loop(tuned_forward(model, device), DOCUMENTS),
    }


def tuned_forward(model: Duo, device: Device) -> Callable[[Tensor, Tensor], Tensor]:
    """What the model gives for tokens [batch, time] under one route [layers] bool, computing no FFN but the route's."""

    def layer_step(layer: Layer, x: Tensor, positions: Positions, choice: str) -> Tensor:
        x = layer.attend(x, positions)
        return x + layer.ffns[choice](layer.ffn_norm(x))

    step = device.compiled(layer_step)

    def forward(tokens: Tensor, route: Tensor) -> Tensor:
        x, positions = model.embed(tokens), model.positions(tokens.shape[1])
        for layer, big in zip(model.layers, route.tolist(), strict=True):
            x = step(layer, x, positions, BIG if big else SMALL)
        return model.logits(x)

    return forward


def products(params: Params, shape: Shape, losses: int) -> Contestant:
    """Every matrix product of the tree with so many losses, on made-up numbers, in chunks as the tree has them."""
    length, head = params.evaluation_set.tokens, shape.width // shape.heads
    tokens = losses // 2**shape.layers
    chunk = max(1, params.route_losses.chunk // tokens) * tokens
    where = Device.of(params.runtime, params.route_losses.precision)
    made_up = {
        "dtype": torch.bfloat16 if where.precision == "bf16" else torch.float32,
        "device": where.name,
    }

    def linear(rows: int, inputs: int, outputs: int, most: int = chunk) -> None:
        x, weight = torch.ones(min(most, rows), inputs, **made_up), torch.ones(outputs, inputs, **made_up)
        for _ in range(rows // len(x)):
            F.linear(x, weight)

    def attention(rows: int) -> None:
        sequences = min(chunk, rows) // length
        values = torch.ones(sequences * shape.heads, length, head, **made_up)
        scores = torch.ones(sequences * shape.heads, length, length, **made_up)
        for _ in range(rows // (sequences * length)):
            torch.bmm(values, values.mT)
            torch.bmm(scores, values)

    def tree_products() -> None:
        matrices = FAMILIES[shape.family].matrices
        for depth in range(shape.layers):
            rows = tokens * 2**depth
            linear(rows, shape.width, 3 * shape.width)
            attention(rows)
            linear(rows, shape.width, shape.width)
            for inner in (shape.big, shape.small):
                linear(rows, shape.width, (matrices - 1) * inner)
                linear(rows, inner, shape.width)
        linear(losses, shape.width, shape.vocabulary, tree.LOGITS // shape.vocabulary)

    return Contestant(tree_products, losses)


if __name__ == "__main__":
    shared.run(main)
