"""Speed of training under random routes, beside the training of a common transformer of the same size.

Measures: tokens per second of whole optimizer steps (forward, backward, clipping, AdamW), the best of 5 rounds in
    which all take turns. `duo` trains as params.yaml says, but with the baseline's optimizer.
Baseline: LlamaForCausalLM of Hugging Face's transformers in the all-big shape, with the same optimizer, clipping and
    batch, at its own best among: llama fp32 eager, llama bf16 eager and, where runtime.compile is true,
    llama fp32 compiled and llama bf16 compiled. Beside them stands duo with Muon, the optimizer of the default.
Input: one batch of random tokens, in the shape of params.yaml; needs nothing of a run.
Takes: 4 minutes with the default params.yaml on two cores, half of it for compiling; 5 seconds at --size tiny, which
    compiles nothing and whose ratios mean nothing.
"""

from pathlib import Path

import torch
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM

from benchmarks import _shared as shared
from benchmarks._shared import Contestant
from duo.errors import InputError
from duo.groups import Optimizer
from duo.model.device import Device
from duo.model.transformer import Shape
from duo.training import loop
from duo.training.random_routes import RandomRoutes
from workflow.params import Params

ROUNDS, CALLS = 5, 4


def main() -> None:
    arguments = shared.command_line(__spec__.name, __doc__).parse_args()
    params = shared.load(arguments.size)
    if params.model.pretrained:
        raise InputError(
            f"params.yaml: model.pretrained: {params.model.pretrained!r} is an OPT, while the baseline is a Llama; "
            "leave it out, or take --size tiny"
        )
    generator = torch.Generator().manual_seed(0)
    shape = (params.pretrain.batch, params.tokens.sequence + 1)
    batch = torch.randint(0, params.tokens.vocabulary, shape, generator=generator).to(params.runtime.device)
    contestants = {"duo": duo_step(params, batch, "adamw"), "duo with Muon": duo_step(params, batch, "muon")}
    for kind in ("eager", "compiled") if params.runtime.compile else ("eager",):
        for precision in ("fp32", "bf16"):
            contestants[f"llama {precision} {kind}"] = llama_step(params, batch, precision, kind == "compiled")
    speeds = shared.race(contestants, ROUNDS, CALLS)
    shared.show(speeds, "tokens")
    peer = max((name for name in speeds if name.startswith("llama")), key=speeds.get)
    print(f"against the baseline's best, {peer}: {speeds['duo'] / speeds[peer]:.2f} x as fast")


def duo_step(params: Params, batch: Tensor, optimizer: Optimizer) -> Contestant:
    """One optimizer step of ours on a batch [sequences, sequence + 1], each token on a route of its own."""
    device = Device.of(params.runtime, params.pretrain.precision)
    settings = params.pretrain.model_copy(update={"optimizer": optimizer})
    objective = RandomRoutes(shared.random_model(params), settings, device, params.seed, {})
    steps = loop.step_count(settings, params.tokens.sequence)
    run = loop.TrainingRun("benchmark", params.seed, Path("no such checkpoint"))
    trainer = loop.Trainer(objective, settings, steps, run)
    return Contestant(lambda: trainer.advance(batch), batch[:, 1:].numel())


def llama_step(params: Params, batch: Tensor, precision: str, compiled: bool) -> Contestant:
    """One optimizer step of the baseline on the same batch."""
    settings, target = params.pretrain, params.runtime.device
    model = llama(Shape.of(params.tokens, params.model)).to(target)
    forward = torch.compile(model) if compiled else model
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=settings.learning_rate, betas=tuple(settings.betas), fused=True
    )

    def step() -> None:
        with Device(target, precision).autocast():
            # It shifts the labels by itself, so it gets what it reads: the same tokens, of which it predicts one less
            # per sequence than ours.
            loss = forward(input_ids=batch[:, :-1], labels=batch[:, :-1]).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), settings.grad_clip)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return Contestant(step, batch[:, 1:].numel())


def llama(shape: Shape) -> LlamaForCausalLM:
    """The common transformer that is a Duo model of this shape when every layer takes its big FFN."""
    config = LlamaConfig(
        vocab_size=shape.vocabulary,
        max_position_embeddings=shape.sequence,
        hidden_size=shape.width,
        intermediate_size=shape.big,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        tie_word_embeddings=True,
        use_cache=False,
    )
    return LlamaForCausalLM(config)


if __name__ == "__main__":
    shared.run(main)
