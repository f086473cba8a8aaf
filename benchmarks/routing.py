"""What hard routing saves in fact, when every token computes only the FFN that it takes.

Measures: tokens per second of a forward pass without gradients, eager, in route_losses.precision, the best of 5 rounds
    in which all take turns; beside it floating-point operations per token. `hard` follows the router.
Baseline: `all big`, the same code on the same model and tokens with every token's every layer big; beside it
    `all small`, where the router knows that choice.
Input: by default, a model of params.yaml's shape with random weights and a random router, which takes the big FFN about
    half of the time, on random tokens; needs nothing of a run. With --router, a trained router of params.yaml with its
    model on documents of the evaluation set; needs the outs of its stages in artifacts/.
Takes: a minute with the default params.yaml on two cores; 5 seconds at --size tiny, whose ratios mean nothing.
"""

import numpy as np
import torch

from benchmarks import _shared as shared
from benchmarks._shared import Contestant
from duo.data import evaluation_set
from duo.errors import InputError
from duo.model import transformer
from duo.model.device import Device
from duo.routers import gate
from duo.tables.routers import ROUTER
from duo.tables.training import MODEL
from duo.terms import BIG, SKIP, SMALL
from workflow.params import Params

ROUNDS, CALLS = 5, 4


def main() -> None:
    parser = shared.command_line(__spec__.name, __doc__)
    parser.add_argument("--router", metavar="NAME", help="a key of `routers` in params.yaml, trained by a run before")
    arguments = parser.parse_args()
    if arguments.router and arguments.size == "tiny":
        parser.error("--router: a trained router has the size of params.yaml; leave out --size tiny")
    params = shared.load(arguments.size)
    routed = trained_router(params, arguments.router) if arguments.router else random_router(params)
    tokens, labels = held_out_tokens() if arguments.router else random_tokens(params)

    def run(weigh: gate.Weigh) -> dict[str, np.ndarray]:
        device = Device.of(params.runtime, params.route_losses.precision)
        return gate.execute(routed, tokens, labels, weigh, device, gate.grouped)

    choices = routed.router.choices
    ways = {"hard": gate.hard} | {
        f"all {choice}": always(choices.index(choice), len(choices)) for choice in (BIG, SMALL) if choice in choices
    }
    contestants = {name: Contestant(lambda weigh=weigh: run(weigh), tokens.size) for name, weigh in ways.items()}
    shared.show(shared.race(contestants, ROUNDS, CALLS), "tokens")
    show_operations(routed, {name: run(weigh)["weights"] for name, weigh in ways.items()})


def random_router(params: Params) -> gate.Routed:
    """A random model with a router between small and big whose decisions are random."""
    router = gate.Router(params.model.layers, params.model.width, (SMALL, BIG), skip="ffn")
    generator = torch.Generator().manual_seed(2)
    for layer in router.gates:
        torch.nn.init.normal_(layer.weight, generator=generator)
    return gate.Routed(shared.random_model(params), router.to(params.runtime.device)).eval().requires_grad_(False)


def random_tokens(params: Params) -> np.ndarray:
    """Tokens and labels [2, documents, time] int64."""
    size = (2, gate.BATCH, params.evaluation_set.tokens)
    return np.random.default_rng(1).integers(0, params.tokens.vocabulary, size)


def trained_router(params: Params, name: str) -> gate.Routed:
    """What the stage router left. InputError where params.yaml names no such router, or a file is missing."""
    if name not in params.routers:
        raise InputError(f"--router: {name!r} is none of routers in params.yaml: {', '.join(params.routers)}")
    model = transformer.load(MODEL.path(model=params.routers[name].model), params.runtime.device)
    return gate.load(ROUTER.path(router=name), model).to(params.runtime.device)


def held_out_tokens() -> tuple[np.ndarray, np.ndarray]:
    """Tokens and labels [documents, time] int64 of the first documents of the evaluation set."""
    chosen = evaluation_set.read("test")
    return chosen.tokens[: gate.BATCH], chosen.labels[: gate.BATCH]


def always(choice: int, choices: int) -> gate.Weigh:
    """All weight on one choice, whatever the router says."""

    def weigh(layer: int, logits: torch.Tensor) -> torch.Tensor:
        index = torch.full(logits.shape[:-1], choice, device=logits.device)
        return torch.nn.functional.one_hot(index, choices).to(logits.dtype)

    return weigh


def show_operations(routed: gate.Routed, weights: dict[str, np.ndarray]) -> None:
    """Print what a token computes; weights [documents, time, layers, choices] by contestant, "all big" among them."""
    choices = routed.router.choices

    def layers(name: str, choice: str) -> float:
        return weights[name][..., choices.index(choice)].sum(-1).mean() if choice in choices else 0.0

    length = next(iter(weights.values())).shape[1]
    operations = {name: gate.flops(routed, length, layers(name, BIG), layers(name, SKIP)) for name in weights}
    for name, count in operations.items():
        print(
            f"{name}: {count / 1e6:,.3f} MFLOP per token, {count / operations['all big']:.2f} x those of all big; "
            f"of {len(routed.backbone.layers)} layers {layers(name, BIG):.2f} big, {layers(name, SKIP):.2f} skipped"
        )


if __name__ == "__main__":
    shared.run(main)
