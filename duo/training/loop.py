"""The one training loop of backbones and routers.

What is trained, and on which loss, a TrainingObjective says: duo.training.random_routes for a backbone,
duo.routers.gate for the paper's routers. A checkpoint holds weights, moments and step; everything else is a function
of the seed and the step. So a step sees the same sequences whether or not the run was killed before it, and a run that
goes on from its checkpoint ends in the same bytes.
"""

import json
import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from duo.errors import InputError
from duo.model.device import Device
from duo.model.tensors import write_tensors
from duo.progress import progress
from duo.seeds import stream
from duo.settings import Training
from duo.tables import files
from duo.training.muon import Muon

log = logging.getLogger(__name__)

MOMENTS = {torch.optim.AdamW: ("exp_avg", "exp_avg_sq"), Muon: ("momentum_buffer",)}  # of weights, as torch names them
Data = dict[str, dict[str, np.ndarray]]  # by split, then by domain: packed rows [rows, sequence length + 1] of ids
History = list[tuple[int, str, float]]  # step, series, value
Observer = Callable[[int, dict[str, float]], None]


class TrainingObjective(Protocol):
    """What a training run minimises, and over which weights: those of `module` that require a gradient."""

    module: nn.Module

    def loss(self, batch: Tensor, step: int, steps: int) -> tuple[Tensor, dict[str, float]]:
        """Loss on a batch [sequences, sequence length + 1], and other values to record.

        step: index of the step, of `steps` in all; for what is annealed.
        """

    def validate(self, step: int, steps: int) -> dict[str, float]:
        """Values on the validation split, after `step` of `steps` steps."""


@dataclass(frozen=True)
class TrainingRun:
    """How a training run is called, seeded, watched and continued.

    name: what its progress bar and its errors call it. checkpoint: the file that it continues from if it is there.
    observe: called with the values of every step. seen: how many sequences at the beginning of the schedule are left
    out, an earlier run on the same data having taken as many. keep: leave a checkpoint at the end too.
    """

    name: str
    seed: int
    checkpoint: Path
    observe: Observer = lambda step, values: None
    seen: int = 0
    keep: bool = False

    def remove_checkpoints(self) -> None:
        """Delete the run's checkpoints, and those of its later parts, which are named after it.

        For the caller, once what was trained is saved: until then a killed process loses nothing.
        """
        for path in self.checkpoint.parent.glob(f"{self.checkpoint.stem}*"):
            path.unlink()


def train(
    objective: TrainingObjective,
    settings: Training,
    sequences: dict[str, np.ndarray],
    mix: dict[str, float] | None,
    run: TrainingRun,
) -> History:
    """Train the objective's module, from where it is or from the run's checkpoint; the history of all steps.

    sequences: by domain, rows [rows, sequence length + 1] of ids, taken in the shares of `mix`, by default equal ones.
    InputError where the
    loss or its gradient stops being finite; the last checkpoint then stays.
    """
    length = next(iter(sequences.values())).shape[1] - 1
    steps = step_count(settings, length)
    trainer = Trainer(objective, settings, steps, run)
    table = np.concatenate(list(sequences.values()))
    log.info("%d steps of %d x %d tokens; %d packed sequences to draw from", steps, settings.batch, length, len(table))
    total = run.seen + steps * settings.batch
    order = schedule({domain: len(rows) for domain, rows in sequences.items()}, mix, total, run.seed)[run.seen :]
    shown = progress(run.name, "steps", total=steps, initial=trainer.step)
    while trainer.step < steps:
        rows = order[trainer.step * settings.batch : (trainer.step + 1) * settings.batch]
        values = trainer.advance(torch.from_numpy(table[rows].astype(np.int64)))
        last = trainer.step == steps
        if trainer.step % settings.validate_every == 0 or last:
            values |= objective.validate(trainer.step, steps)
        trainer.history += [(trainer.step, series, value) for series, value in values.items()]
        run.observe(trainer.step, values)
        if run.keep if last else trainer.step % settings.checkpoint_every == 0:
            trainer.save(run.checkpoint)
        shown.set_postfix(loss=f"{values['train']:.3f}", refresh=False)
        shown.update()
    shown.close()
    return trainer.history


def step_count(settings: Training, length: int) -> int:
    """How many optimizer steps the settings' tokens make, in sequences of this length."""
    return max(1, settings.tokens // (settings.batch * length))


def history_columns(history: History, tokens_per_step: int) -> dict[str, Sequence]:
    """Columns of HISTORY."""
    steps, series, values = zip(*history, strict=True)
    return {"step": steps, "tokens": np.array(steps) * tokens_per_step, "series": series, "value": values}


def final_values(history: History, tokens_per_step: int) -> dict[str, float]:
    """Steps, tokens and the last value of every series that the last step recorded: what runs are compared by."""
    steps = history[-1][0]
    last = {series: value for step, series, value in history if step == steps}
    return {"steps": steps, "tokens": steps * tokens_per_step, **last}


class Trainer:
    """An objective with its optimizer, step and history, from the start or from its checkpoint."""

    def __init__(self, objective: TrainingObjective, settings: Training, steps: int, run: TrainingRun):
        self.objective, self.settings, self.steps, self.name = objective, settings, steps, run.name
        self.weights = {key: weight for key, weight in objective.module.named_parameters() if weight.requires_grad}
        self.optimizers = optimizers(objective.module, settings)
        self.movers = {
            weight: optimizer
            for optimizer in self.optimizers
            for group in optimizer.param_groups
            for weight in group["params"]
        }
        self.step, self.history = 0, []
        if run.checkpoint.exists():
            self._resume(run.checkpoint)

    def advance(self, batch: Tensor) -> dict[str, float]:
        """The values of one optimizer step, done on a batch [sequences, sequence length + 1].

        InputError where they are not finite, before any weight has changed.
        """
        rate = learning_rate(self.step, self.steps, self.settings)
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = rate
        loss, more = self.objective.loss(batch, self.step, self.steps)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.weights.values(), self.settings.grad_clip)
        values = {"train": loss.item(), "learning_rate": rate, "gradient_norm": norm.item(), **more}
        if not all(math.isfinite(value) for value in values.values()):
            raise InputError(
                f"{self.name}: at step {self.step + 1} the loss is {values['train']} and its gradient's norm "
                f"{values['gradient_norm']}; stopped, the last good checkpoint is kept. Try a smaller learning_rate "
                f"(now {self.settings.learning_rate})"
            )
        for optimizer in self.optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        self.step += 1
        return values

    def save(self, path: Path) -> None:
        """Write weights, moments, step and history to one safetensors file, all at once or not at all."""
        tensors = {f"weight.{name}": weight.detach() for name, weight in self.weights.items()}
        for name, weight in self.weights.items():
            optimizer = self.movers[weight]
            if state := optimizer.state.get(weight):  # none for a weight that never had a gradient
                tensors |= {f"{moment}.{name}": state[moment] for moment in MOMENTS[type(optimizer)]}
        with files.atomic(path) as temporary:
            write_tensors(tensors, temporary, {"step": str(self.step), "history": json.dumps(self.history)})

    def _resume(self, path: Path) -> None:
        try:
            with safe_open(path, "pt", device=str(next(iter(self.weights.values())).device)) as file:
                self.step = int(file.metadata()["step"])
                self.history = [tuple(entry) for entry in json.loads(file.metadata()["history"])]
                known = set(file.keys())
                if not 0 < self.step <= self.steps:
                    raise ValueError(f"step {self.step} of {self.steps}")
                for name, weight in self.weights.items():
                    weight.data.copy_(_of_shape(file.get_tensor(f"weight.{name}"), weight, f"weight.{name}"))
                    moments = MOMENTS[type(self.movers[weight])]
                    if any(f"{moment}.{name}" in known for moment in moments):
                        names = {moment: f"{moment}.{name}" for moment in moments}
                        state = {key: _of_shape(file.get_tensor(each), weight, each) for key, each in names.items()}
                        self.movers[weight].state[weight] = {"step": torch.tensor(float(self.step)), **state}
        except (SafetensorError, KeyError, TypeError, ValueError) as error:
            raise InputError(f"{path}: damaged checkpoint ({error}); delete it to train from the start") from None
        log.info("%s: going on from step %d of %d", self.name, self.step, self.steps)


def _of_shape(found: torch.Tensor, weight: torch.Tensor, name: str) -> torch.Tensor:
    """What was found under this name. ValueError where its shape is not the weight's."""
    if found.shape != weight.shape:
        raise ValueError(f"{name} is of shape {list(found.shape)}, not {list(weight.shape)}")
    return found


def schedule(rows: dict[str, int], mix: dict[str, float] | None, total: int, seed: int) -> np.ndarray:
    """The order in which rows are trained on: [total] indices into the rows of all domains laid end to end.

    Every domain gets its share of `mix`, by default an equal one, and all its rows come once, in random order, before
    any comes again. A shorter order is not the beginning of a longer one.
    """
    shares = mix or dict.fromkeys(rows, 1 / len(rows))
    counts = {domain: round(shares[domain] * total) for domain in rows}
    largest = max(counts, key=counts.get)
    counts[largest] += total - sum(counts.values())
    by_domain, start = [], 0
    for domain, available in rows.items():
        random = stream(seed, "rows", domain)
        epochs = [random.permutation(available) for _ in range(-(-counts[domain] // available))]
        by_domain.append(start + np.concatenate([*epochs, np.empty(0, np.int64)])[: counts[domain]].astype(np.int64))
        start += available
    # Domains take turns at random; the rows of a domain keep their order.
    owner = stream(seed, "domains").permutation(np.repeat(np.arange(len(rows)), list(counts.values())))
    order = np.empty(total, np.int64)
    for index, indices in enumerate(by_domain):
        order[owner == index] = indices
    return order


def learning_rate(step: int, steps: int, settings: Training) -> float:
    """Learning rate of the step with this index: it rises linearly, then falls along a cosine to a share of the peak.

    The rise takes settings.warmup_fraction of all steps; the share is settings.final_lr_ratio.
    """
    warmup = max(1, round(settings.warmup_fraction * steps))
    if step < warmup:
        return settings.learning_rate * (step + 1) / warmup
    progress = (step - warmup) / max(1, steps - 1 - warmup)
    low = settings.final_lr_ratio
    return settings.learning_rate * (low + (1 - low) * 0.5 * (1 + math.cos(math.pi * progress)))


def temperature(step: int, steps: int, ends: Sequence[float]) -> float:
    """Temperature of the step with this index: geometric from ends[0] to ends[1].

    For choices that are soft at first, so that all of them learn, and nearly hard at the end.
    """
    return ends[0] * (ends[1] / ends[0]) ** (step / max(1, steps - 1))


def optimizers(module: nn.Module, settings: Training) -> list[torch.optim.Optimizer]:
    """What moves the module's weights: AdamW, or Muon for the matrices and AdamW for embeddings, norms and biases.

    Weight decay is on matrices alone: norms and biases should not be pulled to zero.
    """
    embeddings = {part.weight for part in module.modules() if isinstance(part, nn.Embedding)}
    weights = [weight for weight in module.parameters() if weight.requires_grad]
    matrices, norms = ([each for each in weights if (each.ndim >= 2) == wanted] for wanted in (True, False))
    hidden = [each for each in matrices if each not in embeddings] if settings.optimizer == "muon" else []
    others = [each for each in matrices if each in embeddings or not hidden]
    groups = [{"params": others, "weight_decay": settings.weight_decay}, {"params": norms, "weight_decay": 0.0}]
    adamw = torch.optim.AdamW(groups, lr=settings.learning_rate, betas=tuple(settings.betas), fused=True)
    if not hidden:
        return [adamw]
    bf16 = Device(hidden[0].device.type, settings.precision).precision == "bf16"
    return [Muon(hidden, settings.learning_rate, settings.weight_decay, bf16=bf16), adamw]
