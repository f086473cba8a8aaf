"""What hard routing saves in fact: python -m benchmarks.routing ROUTER

Runs a batch of held-out tokens through one trained router of params.yaml, computing for each token only the FFN that
it takes, and through the same model all big and all small, in turns, so that all see the same load; all eager, in the
precision of enumerate. Prints tokens a second and floating-point operations a token, and both against all big.
"""

import sys

import numpy as np
import torch

from benchmarks.training import race
from duo.data import evaluation_set
from duo.model import device, transformer
from duo.routers import gate
from duo.routes import BIG, SKIP, SMALL
from duo.tables.data import TEST_TOKENS
from duo.tables.routers import ROUTER
from duo.tables.training import MODEL
from workflow.params import load_params


def main(name: str) -> None:
    params = load_params()
    device.prepare(params.runtime.device, params.runtime.threads)
    one = params.routers[name]
    backbone = transformer.load(MODEL.path(model=one.model), params.runtime.device)
    routed = gate.load(ROUTER.path(router=name), backbone).to(params.runtime.device)
    sample = evaluation_set.choose(
        TEST_TOKENS.read(), params.evaluation_set.documents, params.evaluation_set.tokens, params.seed
    )
    sample = sample.take(slice(gate.BATCH))
    machine, precision = params.runtime, params.route_losses.precision

    def run(weigh: gate.Weigh) -> dict[str, np.ndarray]:
        return gate.execute(routed, sample.tokens, sample.labels, weigh, machine.device, precision, gate.grouped)

    def always(choice: str) -> gate.Weigh:
        return lambda layer, logits: torch.nn.functional.one_hot(
            torch.full(logits.shape[:-1], one.choices.index(choice), device=logits.device), len(one.choices)
        ).to(logits.dtype)

    ways = {"hard": gate.hard} | {f"all {choice}": always(choice) for choice in (BIG, SMALL) if choice in one.choices}
    speeds = race({way: lambda weigh=weigh: run(weigh) for way, weigh in ways.items()}, sample.labels.size)
    for way, weigh in ways.items():
        found = run(weigh)
        used = {
            choice: found["weights"][..., one.choices.index(choice)].sum(-1).mean() if choice in one.choices else 0.0
            for choice in (BIG, SKIP)
        }
        cost = gate.flops(routed, sample.labels.shape[1], used[BIG], used[SKIP])
        if way == "hard":
            speed, work = (
                speeds[way] / speeds["all big"],
                cost / gate.flops(routed, sample.labels.shape[1], len(backbone.layers), 0.0),
            )
        print(
            f"{way:10} {speeds[way]:9,.0f} tokens/s {cost / 1e6:8.2f} MFLOP a token   {used[BIG]:5.2f} big, {used[SKIP]:5.2f} skipped"
        )
    print(f"hard against all big: {speed:.2f} x the tokens a second at {work:.2f} x the operations")


if __name__ == "__main__":
    main(*sys.argv[1:])
