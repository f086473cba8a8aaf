"""What an audit takes, told before it begins: routes, products, memory; and whether the machine has that much."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from duo.errors import InputError
from duo.model.device import Device
from duo.model.pretrained import CONTEXT
from duo.model.routable import Routable
from duo.oracle.tree import LOGITS, ROWS, Enumerator
from duo.routes import RouteSpace
from duo.terms import BIG

PASSES = 6  # over each document to fit a temperature and to predict, about
GROUPS = Path("/sys/fs/cgroup")


@dataclass(frozen=True)
class Plan:
    """documents of `tokens` tokens each; flops: multiplications and additions in products with weights, about; bytes
    of memory at once, at most about so many.
    """

    routes: int
    documents: int
    tokens: int
    flops: float
    bytes: int

    def words(self, free: int | None) -> str:
        """All that, and how many bytes of memory are free."""
        losses = self.routes * self.documents * self.tokens
        memory = f"{_decimal(self.bytes, 'B')} of memory" + (f", {_decimal(free, 'B')} are free" if free else "")
        return (
            f"{self.routes:,} routes, {self.documents:,} documents of {self.tokens:,} tokens: {losses:,} losses; about "
            f"{_decimal(self.flops, 'FLOP')}; at most about {memory}"
        )

    def check(self, free: int | None) -> None:
        """InputError where that does not fit into the memory that is free, None being unknown."""
        if free is not None and self.bytes > free:
            raise InputError(
                f"{self.words(free)}: that does not fit; fewer documents, tokens or routes (--departures, --blocks) "
                "take less"
            )


def plan(model: Any, enumerator: Enumerator, documents: int, tokens: int) -> Plan:
    """What the walk of so many documents takes.

    model: of transformers, whose parts the enumerator has; its weights need not be there (pretrained.outline).
    """
    space, parts = enumerator.space, enumerator.model
    vocabulary, width = parts.outputs.shape
    weights = sum(each.numel() for each in model.parameters())
    read = CONTEXT + tokens  # by the layers; what is scored makes work at the leaves alone
    layer, ffn = _layer_flops(model, parts)
    skipped = layer - ffn if enumerator.scope == "ffn" else 0
    block = space.layers // space.places
    prefixes = [_routes(space, place) for place in range(space.places + 1)]
    flops = sum(
        whole * block * layer + leaving * (block - 1) * skipped
        for whole, leaving in zip(prefixes, (_routes(space, place, 1) for place in range(space.places)), strict=False)
    )
    leaf = 2 * vocabulary * width
    flops = documents * (read * (flops + PASSES * space.layers * layer) + tokens * (len(space) + PASSES) * leaf)
    size = max(1, enumerator.chunk // read)
    streams = sum(6 * min(size, count) for count in prefixes[1:]) * read * width  # that wait, and their children
    streams += 24 * size * read * width  # within one layer
    words = (space.departures + 8) * tokens * vocabulary
    kept = (5 * documents + 6) * tokens * len(space)
    numbers = max(2 * weights, weights + streams + words + kept + 6 * max(LOGITS, ROWS * vocabulary))
    return Plan(len(space), documents, tokens, float(flops), 4 * numbers)


def _routes(space: RouteSpace, places: int, fewer: int = 0) -> int:
    """How many prefixes of so many places there are, with `fewer` departures than the space allows."""
    return len(RouteSpace(places, space.choices, departures=space.departures - fewer)) if places else 1


def _layer_flops(model: Any, parts: Routable) -> tuple[float, float]:
    """Of one token in a layer, and in its FFN alone; layers are taken for alike."""
    embeddings = [each for each in model.modules() if isinstance(each, nn.Embedding)]
    aside = {id(each.weight) for each in (*embeddings, model.get_output_embeddings())}
    matrices = [each for each in model.parameters() if each.ndim == 2 and id(each) not in aside]
    stream = torch.zeros(1, 1, parts.outputs.shape[1], device=parts.outputs.device)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        parts.layers[0].feed_forward(stream, [BIG])
    return 2 * sum(each.numel() for each in matrices) / len(parts.layers), counter.get_total_flops()


def free_memory(device: Device) -> int | None:
    """Bytes that this process may still take; None where the system doesn't say."""
    if torch.device(device.name).type == "cuda":
        return torch.cuda.mem_get_info()[0]
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        known = [int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable")]
    except OSError:
        known = []
    try:  # a container's own bound
        bound, used = ((GROUPS / f"memory.{name}").read_text().strip() for name in ("max", "current"))
        known += [int(bound) - int(used)] if bound != "max" else []
    except OSError:
        pass
    return min(known, default=None)


def _decimal(value: float, unit: str) -> str:
    """A number with its unit and prefix, such as 1.9 GB."""
    for prefix, size in (("P", 1e15), ("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if value >= size:
            return f"{value / size:.1f} {prefix}{unit}"
    return f"{value:.0f} {unit}"
