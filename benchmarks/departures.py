"""Speed of the prefix tree on a pretrained model's routes of few departures.

Measures: losses, one per token and route, per second, the best of 2 rounds in which all take turns. `tree` walks the
    routes that leave out at most two whole layers of a model of SmolLM2-135M's shape, 4 documents of 64 tokens.
Baseline: the same model as transformers runs it, route by route, and what the tree could reach:
    transformers    a pass of LlamaForCausalLM through the layers that a route keeps, the same documents at once, its
                    weights in the precision of the products, its layers and its loss compiled; 4 random routes, since
                    all would take minutes;
    products alone  every matrix product of the tree, in its sizes and numbers, and nothing between them.
Input: random weights and tokens; needs nothing of a run.
Takes: 8 minutes with the default params.yaml on two cores; 10 seconds at --size tiny, whose ratios mean nothing.
"""

from math import comb

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM

from benchmarks import _shared as shared
from benchmarks._shared import Contestant
from duo.model import decoders
from duo.model.device import Device
from duo.oracle import tree
from duo.routes import RouteSpace
from duo.terms import BIG, SKIP

ROUNDS, ROUTES, DEPARTURES = 2, 4, 2
SMOLLM2 = {"num_hidden_layers": 30, "hidden_size": 576, "num_attention_heads": 9, "num_key_value_heads": 3}
SMOLLM2 |= {"intermediate_size": 1536, "vocab_size": 49152, "tie_word_embeddings": True}
TINY = {"num_hidden_layers": 3, "hidden_size": 32, "num_attention_heads": 4, "num_key_value_heads": 2}
TINY |= {"intermediate_size": 48, "vocab_size": 90}


def main() -> None:
    arguments = shared.command_line(__spec__.name, __doc__).parse_args()
    params = shared.load(arguments.size)
    sizes, length = (TINY, 8) if arguments.size == "tiny" else (SMOLLM2, 64)
    device = Device.of(params.runtime, params.route_losses.precision)
    torch.manual_seed(0)
    model = LlamaForCausalLM(LlamaConfig(**sizes)).to(device.name).eval().requires_grad_(False)
    space = RouteSpace(sizes["num_hidden_layers"], (SKIP, BIG), departures=DEPARTURES)
    tokens, labels = torch.randint(0, sizes["vocab_size"], (2, tree.BATCH, length), device=device.name)
    enumerator = tree.Enumerator(
        decoders.routable(model, device), space, device, params.route_losses.chunk, scope="layer"
    )
    losses = tokens.numel() * len(space)
    contestants = {"tree": Contestant(lambda: enumerator.losses(tokens, labels[None]), losses)}
    contestants["transformers"] = passes(sizes, device, space, tokens, labels)
    contestants["products alone"] = products(sizes, device, enumerator.chunk, space, length)
    shared.show(shared.race(contestants, ROUNDS), "losses")


def passes(sizes: dict, device: Device, space: RouteSpace, tokens: Tensor, labels: Tensor) -> Contestant:
    """Random routes one by one, by transformers."""
    model = LlamaForCausalLM(LlamaConfig(**sizes)).to(device.name).eval().requires_grad_(False)
    if device.precision == "bf16":
        model.to(torch.bfloat16)
    layers = list(model.model.layers)
    if device.compile:
        for layer in layers:
            layer.compile(dynamic=False)
    score = device.compiled(lambda logits, wanted: F.cross_entropy(logits.float(), wanted, reduction="none"))
    routes = space.digits[torch.randint(0, len(space), (ROUTES,)).numpy()].tolist()

    @torch.no_grad()
    def run() -> None:
        for digits in routes:
            kept = [layer for layer, digit in zip(layers, digits, strict=True) if digit]
            model.model.layers = torch.nn.ModuleList(kept)
            score(model(tokens, use_cache=False).logits.flatten(0, 1), labels.flatten())

    return Contestant(run, tokens.numel() * ROUTES)


def products(sizes: dict, device: Device, chunk: int, space: RouteSpace, length: int) -> Contestant:
    """Every matrix product of the tree on made-up numbers, in chunks of prefixes and tokens as the tree has them."""
    tokens, width = tree.BATCH * length, sizes["hidden_size"]
    most = max(1, chunk // tokens)  # prefixes at once
    dtype = torch.bfloat16 if device.precision == "bf16" else torch.float32
    made_up = {"dtype": dtype, "device": device.name}
    heads, head = sizes["num_attention_heads"], width // sizes["num_attention_heads"]
    shared_heads = sizes["num_key_value_heads"] * head
    inner = sizes["intermediate_size"]

    weights = [torch.ones(n, width, **made_up) for n in (width, shared_heads, shared_heads, width, inner, inner)]
    down, words = torch.ones(width, inner, **made_up), torch.ones(sizes["vocab_size"], width, **made_up)

    @torch.no_grad()
    def run() -> None:
        for depth in range(space.layers):
            prefixes = sum(comb(depth, count) for count in range(DEPARTURES + 1))
            for start in range(0, prefixes, most):
                count = min(most, prefixes - start)
                x = torch.ones(count * tokens, width, **made_up)
                for weight in weights:
                    F.linear(x, weight)
                F.linear(torch.ones(count * tokens, inner, **made_up), down)
                values = torch.ones(count * tree.BATCH * heads, length, head, **made_up)
                torch.bmm(torch.bmm(values, values.mT), values)
        rows = max(tree.ROWS, tree.LOGITS // sizes["vocab_size"])
        for start in range(0, len(space) * tokens, rows):
            F.linear(torch.ones(min(rows, len(space) * tokens - start), width, **made_up), words)

    return Contestant(run, len(space) * tokens)


if __name__ == "__main__":
    shared.run(main)
