"""Training speed against Hugging Face's LlamaForCausalLM of the all-big shape: python -m benchmarks.training

Both train on the same batches of params.yaml's shape on this machine, in turns, so that both see the same load. The
peer runs at its own best of fp32 and bf16, eager and compiled; ours as params.yaml says. Prints tokens a second and
ratios.
"""

import time
from collections.abc import Callable
from pathlib import Path

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from duo.model import device
from duo.model.transformer import Shape
from duo.training import pretrain
from workflow.params import Pretrain, load_params

ROUNDS, STEPS = 5, 4


def main() -> None:
    params = load_params()
    device.prepare(params.runtime.device, params.runtime.threads)
    shape = Shape.of(params.tokens, params.model)
    batch = torch.randint(
        0, shape.vocabulary, (params.pretrain.batch, shape.sequence + 1), generator=torch.Generator().manual_seed(0)
    )
    run = pretrain.Run(shape, params.pretrain, params.runtime, params.seed, Path("no checkpoint"))
    contestants = {"duo": lambda: run.advance(batch)}
    for precision in ("fp32", "bf16"):
        for compiled in (False, True):
            name = f"llama {precision} {'compiled' if compiled else 'eager'}"
            contestants[name] = llama_step(shape, params.pretrain, batch, precision, compiled)
    speeds = race(contestants, batch[:, 1:].numel())
    peer = max(speed for name, speed in speeds.items() if name != "duo")
    for name, speed in speeds.items():
        print(f"{name:22} {speed:9,.0f} tokens/s   {speed / peer:5.2f} x the peer's best")


def llama_step(
    shape: Shape, settings: Pretrain, batch: torch.Tensor, precision: str, compiled: bool
) -> Callable[[], None]:
    """One optimizer step of the peer: the same sizes, optimizer, clipping and batch."""
    sizes = {
        "hidden_size": shape.width,
        "intermediate_size": shape.big,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
    }
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=shape.vocabulary,
            max_position_embeddings=shape.sequence,
            tie_word_embeddings=True,
            use_cache=False,
            **sizes,
        )
    )
    forward = torch.compile(model) if compiled else model
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, betas=tuple(settings.betas), fused=True)

    def step() -> None:
        with device.autocast("cpu", precision):
            # The model shifts labels by itself, so it gets what it predicts: the same number of tokens less one a
            # sequence.
            loss = forward(input_ids=batch[:, :-1], labels=batch[:, :-1]).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), settings.grad_clip)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step


def race(contestants: dict[str, Callable[[], object]], tokens: int) -> dict[str, float]:
    """Tokens a second of each, at the best of several rounds in which they take turns; two steps first to warm up."""
    best = dict.fromkeys(contestants, float("inf"))
    for step in contestants.values():
        step()
        step()
    for _ in range(ROUNDS):
        for name, step in contestants.items():
            start = time.perf_counter()
            for _ in range(STEPS):
                step()
            best[name] = min(best[name], (time.perf_counter() - start) / STEPS)
    return {name: tokens / seconds for name, seconds in best.items()}


if __name__ == "__main__":
    main()
