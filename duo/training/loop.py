"""The one training loop: weights, moments and step in a checkpoint, everything else a function of the seed and the
step.

What is trained, and on which loss, an Objective says: random routes in duo.training.pretrain, routers in
duo.routers.gate. A step sees the same sequences whether or not the run was killed before it, so a run that goes on
from its checkpoint ends in the same bytes.
"""

import json
import logging
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from tqdm import tqdm

from duo.errors import InputError
from duo.seeds import stream
from duo.settings import Training
from duo.tables import files

log = logging.getLogger(__name__)

Observer = Callable[[int, dict[str, float]], None]
MOMENTS = ("exp_avg", "exp_avg_sq")  # of AdamW, as torch names them
History = list[tuple[int, str, float]]  # step, series, value


class Objective(Protocol):
    """What a training run minimises, and over which weights: those of `module` that require a gradient."""

    module: nn.Module

    def loss(self, batch: Tensor, step: int, steps: int) -> tuple[Tensor, dict[str, float]]:
        """Loss on a batch [sequences, sequence + 1] at the step with this index of `steps`, and more values to
        record.
        """

    def validate(self, step: int, steps: int) -> dict[str, float]:
        """Values on the validation split, after `step` of `steps` steps."""


def train(
    objective: Objective,
    settings: Training,
    sequences: dict[str, np.ndarray],
    mix: dict[str, float],
    seed: int,
    name: str,
    checkpoint: Path,
    observe: Observer = lambda step, values: None,
    seen: int = 0,
    keep: bool = False,
) -> History:
    """Train the objective's module from where it is, or from `checkpoint` where that file exists; the caller removes
    the file.

    sequences: by domain, [rows, sequence + 1] token ids, drawn in the shares of `mix`, after the first `seen` of
    them. `observe` is called with each step's values; `keep` leaves a checkpoint at the end too. InputError, naming
    `name`, where the loss or the gradient stops being finite; the last checkpoint then stays.
    """
    length = next(iter(sequences.values())).shape[1] - 1
    steps = step_count(settings, length)
    run = Run(objective, settings, steps, name, checkpoint)
    table = np.concatenate(list(sequences.values()))
    log.info("%d steps of %d x %d tokens; %d packed sequences to draw from", steps, settings.batch, length, len(table))
    total = seen + steps * settings.batch
    order = schedule({domain: len(rows) for domain, rows in sequences.items()}, mix, total, seed)[seen:]
    progress = tqdm(total=steps, initial=run.step, unit="step", disable=None, desc=name)
    while run.step < steps:
        batch = table[order[run.step * settings.batch : (run.step + 1) * settings.batch]]
        values = run.advance(torch.from_numpy(batch.astype(np.int64)))
        last = run.step == steps
        if run.step % settings.validate_every == 0 or last:
            values |= objective.validate(run.step, steps)
        run.history += [(run.step, series, value) for series, value in values.items()]
        observe(run.step, values)
        if keep if last else run.step % settings.checkpoint_every == 0:
            run.save(checkpoint)
        progress.update()
        progress.set_postfix(loss=f"{values['train']:.3f}", refresh=False)
        if progress.disable and run.step % 100 == 0:
            log.info("step %d of %d: loss %.3f", run.step, steps, values["train"])
    progress.close()
    return run.history


def step_count(settings: Training, sequence: int) -> int:
    """Optimizer steps that the settings' tokens make."""
    return max(1, settings.tokens // (settings.batch * sequence))


class Run:
    """An objective with its optimizer, step and history, from the start or from its checkpoint."""

    def __init__(self, objective: Objective, settings: Training, steps: int, name: str, checkpoint: Path):
        self.objective, self.settings, self.steps, self.name = objective, settings, steps, name
        self.weights = {key: weight for key, weight in objective.module.named_parameters() if weight.requires_grad}
        self.optimizer = _optimizer(list(self.weights.values()), settings)
        self.step, self.history = 0, []
        if checkpoint.exists():
            self._resume(checkpoint)

    def advance(self, batch: Tensor) -> dict[str, float]:
        """One optimizer step on a batch [sequences, sequence + 1]; the step's values."""
        rate = learning_rate(self.step, self.steps, self.settings)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        loss, more = self.objective.loss(batch, self.step, self.steps)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.weights.values(), self.settings.grad_clip)
        values = {"train": loss.item(), "learning_rate": rate, "gradient_norm": norm.item(), **more}
        if not all(math.isfinite(value) for value in values.values()):
            raise InputError(
                f"{self.name}: at step {self.step + 1} the loss is {values['train']} and its gradient's norm {values['gradient_norm']}; "
                f"stopped, the last good checkpoint is kept. Try a smaller learning_rate (now {self.settings.learning_rate})"
            )
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.step += 1
        return values

    def save(self, path: Path) -> None:
        """Write weights, moments, step and history as one safetensors file, at once or not at all."""
        tensors = {f"weight.{name}": weight.detach() for name, weight in self.weights.items()}
        for name, weight in self.weights.items():
            state = self.optimizer.state.get(weight, {})  # none for a weight that never had a gradient
            tensors |= {f"{moment}.{name}": state[moment] for moment in MOMENTS if moment in state}
        with files.atomic(path) as temporary:
            safetensors.torch.save_file(
                tensors, temporary, metadata={"step": str(self.step), "history": json.dumps(self.history)}
            )

    def _resume(self, path: Path) -> None:
        try:
            with safe_open(path, "pt", device=str(next(iter(self.weights.values())).device)) as file:
                self.step = int(file.metadata()["step"])
                self.history = [tuple(entry) for entry in json.loads(file.metadata()["history"])]
                for name, weight in self.weights.items():
                    weight.data.copy_(file.get_tensor(f"weight.{name}"))
                    if f"{MOMENTS[0]}.{name}" in file.keys():  # noqa: SIM118  no mapping, but a file with keys()
                        moments = {moment: file.get_tensor(f"{moment}.{name}") for moment in MOMENTS}
                        self.optimizer.state[weight] = {"step": torch.tensor(float(self.step)), **moments}
        except (SafetensorError, KeyError, TypeError, ValueError) as error:
            raise InputError(f"{path}: damaged checkpoint ({error}); delete it to train from the start") from None
        log.info("going on from step %d of %d", self.step, self.steps)


def schedule(rows: dict[str, int], mix: dict[str, float], total: int, seed: int) -> np.ndarray:
    """[total] indices into the domains' rows laid end to end: each domain its share, its rows in one random order
    after another.
    """
    counts = {domain: round(mix[domain] * total) for domain in rows}
    largest = max(counts, key=counts.get)
    counts[largest] += total - sum(counts.values())
    picked, start = [], 0
    for domain, available in rows.items():
        random = stream(seed, "rows", domain)
        epochs = [random.permutation(available) for _ in range(-(-counts[domain] // available))]
        picked.append(start + np.concatenate([*epochs, np.empty(0, np.int64)])[: counts[domain]].astype(np.int64))
        start += available
    # Domains are dealt out at random, each keeping its own order.
    owner = stream(seed, "domains").permutation(np.repeat(np.arange(len(rows)), list(counts.values())))
    order = np.empty(total, np.int64)
    for index, indices in enumerate(picked):
        order[owner == index] = indices
    return order


def learning_rate(step: int, steps: int, settings: Training) -> float:
    """Rate of the step with this index: linear warm-up, then a cosine down to settings.final_lr_ratio of the peak."""
    warmup = max(1, round(settings.warmup_fraction * steps))
    if step < warmup:
        return settings.learning_rate * (step + 1) / warmup
    progress = (step - warmup) / max(1, steps - 1 - warmup)
    return settings.learning_rate * (
        settings.final_lr_ratio + (1 - settings.final_lr_ratio) * 0.5 * (1 + math.cos(math.pi * progress))
    )


def temperature(step: int, steps: int, ends: Sequence[float]) -> float:
    """Temperature of the step with this index: geometric from ends[0] to ends[1].

    For choices that are soft at first, so that all of them learn, and nearly hard at the end.
    """
    return ends[0] * (ends[1] / ends[0]) ** (step / max(1, steps - 1))


def _optimizer(weights: list[Tensor], settings: Training) -> torch.optim.AdamW:
    matrices = [weight for weight in weights if weight.ndim >= 2]
    norms = [weight for weight in weights if weight.ndim < 2]
    groups = [{"params": matrices, "weight_decay": settings.weight_decay}, {"params": norms, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=settings.learning_rate, betas=tuple(settings.betas), fused=True)
