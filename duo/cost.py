"""What an experiment costs, on paper: operations and memory of its large stages, from params alone, and what these take
at best on a machine whose ceilings are known.

Counted are matrix products, of attention the whole square of scores; what stands between them (norms, softmax,
activations) is left out, and so is the optimizer: of a small model Muon's own products take a fifth of a step. Divided
by the rate at which a machine multiplies, the operations give about the hours that an implementation takes at best; how
far ours is above, benchmarks/ measures. Searches, joint choices, the harness, the synthetic domain's walk, the trend
and pretrained models are left out too.
"""

import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from tqdm import tqdm

from duo.model.device import Device
from duo.model.transformer import Duo, Shape, forward_flops
from duo.oracle.tree import BATCH, LOGITS, ROWS, STREAMS
from duo.routes import MOST, STREAMED, RouteSpace
from duo.settings import Groups, Pretrain, RouterTraining
from duo.terms import BIG, SKIP, SMALL
from duo.training import variants

BACKWARD = 2  # times the operations of the forward pass, for gradients of inputs and of weights
KEPT = 16  # bytes a weight in training: the weight, its gradient and at most two moments, 4 bytes each
# Numbers of 2 bytes that training keeps of a token and layer for its backward pass, in widths of the stream: what norms
# and attention read and leave; and of every inner width, gate, up and their product.
STREAMS_KEPT, INNER_KEPT = 11, 3


@dataclass(frozen=True)
class Cost:
    """Of all instances of a stage: floating-point operations; of one of them: bytes of memory, about."""

    stage: str
    instances: int
    flops: float
    bytes: float


@dataclass(frozen=True)
class Machine:
    """Ceilings of one machine: operations per second of large products in bf16, bytes per second and bytes of memory.

    number: how many of them share the work without loss, as instances of stages or data in parallel may.
    """

    name: str
    flops: float
    bandwidth: float
    bytes: float
    number: int = 1

    def hours(self, flops: float) -> float:
        """That so many operations take at best."""
        return flops / self.flops / self.number / 3600


# Dense bf16 without sparsity, of NVIDIA's data sheet of the H100 SXM.
H100 = Machine("one H100", 989e12, 3.35e12, 80e9)
H100S = replace(H100, name="eight H100", number=8)


def token_flops(shape: Shape) -> dict[str, float]:
    """Operations of one token's forward pass in a sequence of full length, all layers big, by part."""
    none = forward_flops(replace(shape, big=0, small=0, vocabulary=0), 0, shape.layers)
    scores = forward_flops(replace(shape, big=0, small=0, vocabulary=0), shape.sequence, shape.layers) - none
    output = 2 * shape.width * shape.vocabulary
    return {
        "projections of attention": none,
        "scores of attention": scores,
        "big FFNs": forward_flops(shape, shape.sequence, shape.layers) - none - scores - output,
        "output": output,
    }


def training_flops(shape: Shape, settings: Pretrain) -> float:
    """Operations of a training under random routes, whatever its batches."""
    layers = shape.layers
    forward = forward_flops(shape, shape.sequence, settings.p_big * layers, settings.p_skip * layers)
    return settings.tokens * (1 + BACKWARD) * forward


def training_bytes(shape: Shape, weights: int, batch: int, p_big: float) -> float:
    """Memory of a training: of its weights, and of what a batch of so many sequences keeps for the backward pass."""
    inner = p_big * shape.big + (1 - p_big) * shape.small
    scores = shape.heads * shape.sequence  # of one token, which training on a CPU keeps
    layer = 2 * (STREAMS_KEPT * shape.width + INNER_KEPT * inner + scores)
    token = shape.layers * layer + 6 * shape.vocabulary  # logits in bf16 and in fp32
    return KEPT * weights + batch * shape.sequence * token


def walk_flops(shape: Shape, space: RouteSpace, tokens: int, scope: str = "ffn", budget: int | None = None) -> float:
    """Operations per token of a walk of the tree over sequences of so many tokens.

    A prefix's attention is computed once, unless no choice behind it has any; then one FFN for every choice that has
    one; at a route's end, the logits. scope, budget: as of duo.oracle.tree.
    """
    attention = forward_flops(replace(shape, layers=1, big=0, small=0, vocabulary=0), tokens, 1)
    ffns = {
        choice: forward_flops(replace(shape, layers=1, vocabulary=0), tokens, big) - attention
        for choice, big in ((BIG, 1), (SMALL, 0))
    } | {SKIP: 0.0}
    leaves = len(space) if budget is None else len(space.with_budget(budget))
    total = leaves * 2 * shape.width * shape.vocabulary
    for depth in range(space.places):
        attending, taken = _nodes(space, depth, scope, budget)
        total += attending * attention + sum(count * ffns[choice] for choice, count in taken.items())
    return total


def _nodes(space: RouteSpace, depth: int, scope: str, budget: int | None) -> tuple[int, dict[str, int]]:
    """Of the prefixes of so many places: how many need attention, and how many go on with each choice."""
    if budget is None and space.departures is None:  # all of them; there may be too many to list
        count = len(space.choices) ** depth
        return count * (scope == "ffn" or set(space.choices) != {SKIP}), dict.fromkeys(space.choices, count)
    codes = space.codes if budget is None else space.with_budget(budget)
    children = np.unique(codes // len(space.choices) ** (space.places - depth - 1))
    parents, digits = np.divmod(children, len(space.choices))
    taken = {choice: int((digits == digit).sum()) for digit, choice in enumerate(space.choices)}
    attends = np.array([scope == "ffn" or choice != SKIP for choice in space.choices])
    return len(np.unique(parents[attends[digits]])), taken


def walk_bytes(shape: Shape, chunk: int, space: RouteSpace, tokens: int) -> float:
    """Memory of such a walk of a batch of documents: streams that wait at every layer, logits, and the losses."""
    rows = max(min(chunk, STREAMS // shape.width), BATCH * tokens)
    streams = space.places * (len(space.choices) + 1) * rows * shape.width
    return 4 * (streams + 3 * max(LOGITS, ROWS * shape.vocabulary) + BATCH * tokens * len(space))


def costs(params: Groups, domains: int) -> Iterator[Cost]:
    """Of the large stages of the experiment; domains: how many have an evaluation set.

    Of pretrained models params do not know the shapes; `duo audit` says what a walk of one takes. Stages whose routes
    are too many to be tried are left out.
    """
    shape, layers = Shape.of(params.tokens, params.model), params.model.layers
    yield _trainings(params, shape)
    synthetic = params.pretrain.model_copy(update={"tokens": params.synthetic.tokens})
    yield Cost("synthetic_model", 1, training_flops(shape, synthetic), _bytes(shape, synthetic, params.synthetic.batch))
    yield _routers(params, shape)
    if 2**layers <= MOST:
        yield from _walks(params, shape, domains)
    if 3**layers <= STREAMED:
        yield _three_way(params, shape, domains)


def _walks(params: Groups, shape: Shape, domains: int) -> Iterator[Cost]:
    """Of the stages that try all routes of two choices."""
    space, tokens, choosers = RouteSpace(shape.layers), params.evaluation_set.tokens, params.sampled_labels
    walk = walk_flops(shape, space, tokens)
    memory = walk_bytes(shape, params.route_losses.chunk, space, tokens)
    scored = params.evaluation_set.documents * tokens * domains
    models, instances = (
        len(params.route_losses.models),
        len(params.route_losses.models) * len(params.route_losses.shards),
    )
    yield Cost("route_losses", instances, models * scored * walk, memory)
    judged = BATCH * tokens * shape.vocabulary * (len(params.oracle.budgets) + len(choosers.teachers) + 2)
    yield Cost("sampled_labels", instances, models * scored * walk, memory + 4 * judged)
    learned = (params.policies.train_documents + params.policies.validation_documents) * tokens * domains
    yield Cost("train_losses", domains, learned * walk, memory)
    tried = len([context for context in params.joint.contexts if context != "shared"])
    yield Cost("joint", tried, tried * params.joint.documents * tokens * domains * walk, memory)
    skipping, number = RouteSpace(shape.layers, (SKIP, BIG)), len(params.skips.models)
    of_one = walk_flops(shape, skipping, tokens, params.skips.scope, params.skips.big)
    yield Cost("skips", number, number * scored * of_one, memory)


def _three_way(params: Groups, shape: Shape, domains: int) -> Cost:
    space, tokens = RouteSpace(shape.layers, (SMALL, BIG, SKIP)), params.three_way.tokens
    scored = params.three_way.documents * tokens * domains
    memory = walk_bytes(shape, params.route_losses.chunk, space, tokens)
    return Cost("three_way", domains, scored * walk_flops(shape, space, tokens, params.skips.scope), memory)


def _trainings(params: Groups, shape: Shape) -> Cost:
    """Of all models."""
    flops, memory = 0.0, 0.0
    for variant in params.models.values():
        settings = variants.pretraining(variant, params.pretrain)
        of_one = replace(shape, big=variant.big or shape.big)
        flops += training_flops(of_one, settings)
        memory = max(memory, _bytes(of_one, settings, settings.batch))
    return Cost("pretrain", len(params.models), flops, memory)


def _routers(params: Groups, shape: Shape) -> Cost:
    """Of all routers, which mix what both FFNs say, and leave the backbone's weights alone or train them too."""
    settings: RouterTraining = params.router
    both = forward_flops(replace(shape, big=shape.big + shape.small, small=0), shape.sequence, shape.layers)
    backward = BACKWARD if settings.backbone == "trained" else 1
    memory = _bytes(
        replace(shape, big=shape.big + shape.small), params.pretrain.model_copy(update={"p_big": 1.0}), settings.batch
    )
    number = len(params.routers)
    return Cost("router", number, number * settings.tokens * (1 + backward) * both, memory)


def _bytes(shape: Shape, settings: Pretrain, batch: int) -> float:
    return training_bytes(shape, weights(shape), batch, settings.p_big)


def weights(shape: Shape) -> int:
    """How many numbers a model of this shape learns."""
    with torch.device("meta"):
        return sum(weight.numel() for weight in Duo(shape).parameters())


def grown(shape: Shape, settings: Pretrain) -> Iterator[tuple[str, float, float]]:
    """By what factor a training, and a walk of all routes of small and big, grow with a part of the shape."""
    larger = {
        "one layer more": replace(shape, layers=shape.layers + 1),
        "twice the width": replace(shape, width=2 * shape.width, big=2 * shape.big, small=2 * shape.small),
        "twice the vocabulary": replace(shape, vocabulary=2 * shape.vocabulary),
        "twice the sequence": replace(shape, sequence=2 * shape.sequence),
    }

    def walk(of: Shape) -> float:
        return walk_flops(of, RouteSpace(of.layers), of.sequence)

    for name, of in larger.items():
        training = training_flops(of, settings) / training_flops(shape, settings)
        yield name, training, walk(of) / walk(shape)


def this_machine(device: Device, shape: Shape, seconds: float = 0.2) -> tuple[Machine, dict[str, float]]:
    """Ceilings of the machine that this runs on, measured; and the rates of the model's own products, by their shape.

    Each product is repeated for so many seconds. The best of the rates is taken for the machine's.
    """
    kind = torch.bfloat16 if device.precision == "bf16" else torch.float32
    sizes = {
        "into queries, keys, values": (shape.width, 3 * shape.width),
        "into a big FFN": (shape.width, 2 * shape.big),
        "out of a big FFN": (shape.big, shape.width),
        "into logits": (shape.width, shape.vocabulary),
    }
    rates = {}
    for name, (inputs, outputs) in sizes.items():
        rows = max(ROWS, LOGITS // outputs)
        x, weight = (torch.ones(size, inputs, dtype=kind, device=device.name) for size in (rows, outputs))
        calls = _calls_a_second(partial(F.linear, x, weight), device, seconds)
        rates[f"{name}, {rows} x {inputs} x {outputs}"] = 2 * rows * inputs * outputs * calls
    block = torch.ones(2**26, device=device.name)
    bandwidth = 2 * block.nbytes * _calls_a_second(block.clone, device, seconds)
    if torch.device(device.name).type == "cuda":
        memory = torch.cuda.get_device_properties(device.name).total_memory
    else:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return Machine("this machine", max(rates.values()), bandwidth, memory), rates


def _calls_a_second(call: Callable[[], object], device: Device, seconds: float) -> float:
    def wait() -> None:
        if torch.device(device.name).type == "cuda":
            torch.cuda.synchronize(device.name)

    call()
    wait()
    calls, start = 0, time.perf_counter()
    while (passed := time.perf_counter() - start) < seconds:
        call()
        wait()
        calls += 1
    return calls / passed


def lines(params: Groups, domains: int, machine: Machine, rates: Mapping[str, float]) -> Iterator[str]:
    """What `costs` finds, as text: of one token, of the machine, by stage on three machines, and how it grows.

    machine, rates: as of this_machine.
    """
    shape, precision = Shape.of(params.tokens, params.model), params.route_losses.precision
    parts = token_flops(shape)
    yield f"A model of {_short(weights(shape))} weights. Operations of one token's forward pass, all layers big: "
    yield ", ".join(f"{_short(flops)} for {part}" for part, flops in parts.items()) + "."
    yield f"It reads {_short(4 * weights(shape))}B of weights, in fp32."
    yield ""
    yield f"This machine, with precision {precision} and {params.runtime.threads} threads:"
    yield from (f"  {_short(rate)}FLOP/s, product {name}" for name, rate in rates.items())
    for each in (machine, H100):
        memory = f"{_short(each.bandwidth)}B/s of memory, {_short(each.bytes)}B of it"
        yield f"{each.name}: {_short(each.flops)}FLOP/s, {memory}"
    yield ""
    machines = (machine, H100, H100S)
    yield "At best, in matrix products alone; memory is of one instance:"
    yield _row("stage", "instances", "FLOP", "memory", *(each.name for each in machines))
    for cost in costs(params, domains):
        hours = [_time(each.hours(cost.flops)) for each in machines]
        yield _row(cost.stage, str(cost.instances), _short(cost.flops), f"{_short(cost.bytes)}B", *hours)
    yield ""
    yield "How it grows:"
    yield _row("", "training", "all routes")
    for name, training, walk in grown(shape, params.pretrain):
        yield _row(name, f"x {training:.2f}", f"x {walk:.2f}")


def _row(name: str, *cells: str) -> str:
    return "  ".join([f"{name:22}", *(f"{cell:>13}" for cell in cells)]).rstrip()


def _short(number: float) -> str:
    """In three digits, with a prefix: 12.3M."""
    return tqdm.format_sizeof(number)


def _time(hours: float) -> str:
    return f"{hours:.1f} h" if hours >= 1 else f"{60 * hours:.1f} min"
