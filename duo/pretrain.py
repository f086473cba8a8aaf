"""Stage 1: training under random routes (paper, section 3.1), stateless but for weights, moments and the step number.

What a step sees (its sequences and its routes) is a function of the seed and the step, so a run that was killed goes on
from its checkpoint to the same bytes.
"""

import json
import logging
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
import torch.nn.functional as F
from safetensors import SafetensorError, safe_open
from torch import Tensor
from tqdm import tqdm

from duo import artifacts, runtime
from duo.config import Pretrain, Runtime
from duo.errors import InputError
from duo.model import Duo, Grouping, Shape
from duo.seeds import stream

log = logging.getLogger(__name__)

Observer = Callable[[int, dict[str, float]], None]
MOMENTS = ("exp_avg", "exp_avg_sq")  # of AdamW, as torch names them
History = list[tuple[int, str, float]]  # step, series, value


def train(
    shape: Shape,
    settings: Pretrain,
    machine: Runtime,
    seed: int,
    sequences: dict[str, np.ndarray],
    validation: dict[str, np.ndarray],
    checkpoint: Path,
    observe: Observer = lambda step, values: None,
) -> tuple[Duo, History]:
    """Train a Duo model from scratch, or from `checkpoint` where that file exists; the file is removed by whoever calls.

    sequences, validation: by domain, [rows, sequence + 1] token ids. `observe` is called with each step's values.
    InputError where the loss or the gradient stops being finite; the last checkpoint then stays.
    """
    run = Run(shape, settings, machine, seed, checkpoint)
    rows = sum(len(table) for table in sequences.values())
    log.info("%d steps of %d x %d tokens; %d packed sequences to draw from", run.steps, settings.batch, shape.sequence, rows)
    table = np.concatenate(list(sequences.values()))
    order = schedule({domain: len(table) for domain, table in sequences.items()}, settings.mix, run.steps * settings.batch, seed)
    progress = tqdm(total=run.steps, initial=run.step, unit="step", disable=None, desc="pretrain")
    while run.step < run.steps:
        batch = table[order[run.step * settings.batch : (run.step + 1) * settings.batch]]
        values = run.advance(torch.from_numpy(batch.astype(np.int64)))
        if run.step % settings.validate_every == 0 or run.step == run.steps:
            values |= run.validate(validation)
        run.history += [(run.step, series, value) for series, value in values.items()]
        observe(run.step, values)
        if run.step % settings.checkpoint_every == 0 and run.step < run.steps:
            run.save(checkpoint)
        progress.update()
        progress.set_postfix(loss=f"{values['train']:.3f}", refresh=False)
        if progress.disable and run.step % 100 == 0:
            log.info("step %d of %d: loss %.3f", run.step, run.steps, values["train"])
    progress.close()
    return run.model.eval(), run.history


class Run:
    """A training run: model, optimizer, step and history, from scratch or from its checkpoint."""

    def __init__(self, shape: Shape, settings: Pretrain, machine: Runtime, seed: int, checkpoint: Path):
        self.settings, self.machine, self.seed = settings, machine, seed
        self.steps = max(1, settings.tokens // (settings.batch * shape.sequence))
        generator = torch.Generator().manual_seed(int(stream(seed, "initialise").integers(2**63)))
        self.model = Duo(shape).initialise(generator).to(machine.device)
        self.optimizer = _optimizer(self.model, settings)
        self.step, self.history = 0, []
        if checkpoint.exists():
            self._resume(checkpoint)
        self._layer = runtime.compiled(lambda layer, x, positions, grouping: layer(x, positions, grouping), machine.compile)
        self._loss = runtime.compiled(_cross_entropy, machine.compile)

    def advance(self, batch: Tensor) -> dict[str, float]:
        """One optimizer step on a batch [sequences, sequence + 1] under fresh random routes; the step's values."""
        batch = batch.to(self.machine.device)
        rate = learning_rate(self.step, self.steps, self.settings)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        loss = self._random_routing_loss(batch)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.settings.clip)
        values = {"train": loss.item(), "learning_rate": rate, "gradient_norm": norm.item()}
        if not all(math.isfinite(value) for value in values.values()):
            raise InputError(
                f"pretrain: at step {self.step + 1} the loss is {values['train']} and its gradient's norm {values['gradient_norm']}; "
                f"stopped, the last good checkpoint is kept. Try a smaller pretrain.learning_rate (now {self.settings.learning_rate})"
            )
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.step += 1
        return values

    def _random_routing_loss(self, batch: Tensor) -> Tensor:
        tokens, labels = batch[:, :-1], batch[:, 1:]
        draws = stream(self.seed, "routes", self.step).random((len(self.model.layers), tokens.numel()), dtype=np.float32)
        groupings = group(draws, self.settings.p_big, self.settings.p_skip, self.machine.device)
        positions = self.model.positions(tokens.shape[1])
        with runtime.autocast(self.machine.device, self.settings.precision):
            x = self.model.embedding(tokens)
            for layer, grouping in zip(self.model.layers, groupings, strict=True):
                x = self._layer(layer, x, positions, grouping)
            return self._loss(self.model, x, labels)

    @torch.no_grad()
    def validate(self, sequences: dict[str, np.ndarray]) -> dict[str, float]:
        """Loss of the all-small and the all-big route on each domain's first validation sequences."""
        values = {}
        for domain, rows in sequences.items():
            for name, big in (("all_small", False), ("all_big", True)):
                values[f"validation/{domain}/{name}"] = self._mean_loss(rows[: self.settings.validation_sequences], big)
        return values

    def _mean_loss(self, rows: np.ndarray, big: bool) -> float:
        route = torch.full((len(self.model.layers),), big, device=self.machine.device)
        losses = []
        for start in range(0, len(rows), self.settings.batch):
            batch = torch.from_numpy(rows[start : start + self.settings.batch].astype(np.int64)).to(self.machine.device)
            with runtime.autocast(self.machine.device, self.settings.precision):
                logits = self.model(batch[:, :-1], route)
            losses.append(F.cross_entropy(logits.float().transpose(1, 2), batch[:, 1:], reduction="none").mean(1))
        return torch.cat(losses).double().mean().item()

    def save(self, path: Path) -> None:
        """Write weights, moments, step and history as one safetensors file, at once or not at all."""
        tensors = {f"weight.{name}": weight.detach() for name, weight in self.model.named_parameters()}
        for name, weight in self.model.named_parameters():
            state = self.optimizer.state.get(weight, {})  # none for a weight that never had a gradient
            tensors |= {f"{moment}.{name}": state[moment] for moment in MOMENTS if moment in state}
        with artifacts.atomic(path) as temporary:
            safetensors.torch.save_file(tensors, temporary, metadata={"step": str(self.step), "history": json.dumps(self.history)})

    def _resume(self, path: Path) -> None:
        try:
            with safe_open(path, "pt", device=self.machine.device) as file:
                self.step = int(file.metadata()["step"])
                self.history = [tuple(entry) for entry in json.loads(file.metadata()["history"])]
                for name, weight in self.model.named_parameters():
                    weight.data.copy_(file.get_tensor(f"weight.{name}"))
                    if f"{MOMENTS[0]}.{name}" in file.keys():  # noqa: SIM118  no mapping, but a file with keys()
                        moments = {moment: file.get_tensor(f"{moment}.{name}") for moment in MOMENTS}
                        self.optimizer.state[weight] = {"step": torch.tensor(float(self.step)), **moments}
        except (SafetensorError, KeyError, TypeError, ValueError) as error:
            raise InputError(f"{path}: damaged checkpoint ({error}); delete it to train from the start") from None
        log.info("going on from step %d of %d", self.step, self.steps)


def schedule(rows: dict[str, int], mix: dict[str, float], total: int, seed: int) -> np.ndarray:
    """[total] indices into the domains' rows laid end to end: each domain its share, its rows in one random order after another."""
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


def group(draws: np.ndarray, p_big: float, p_skip: float, device: str) -> list[Grouping]:
    """One grouping a layer from uniform draws [layers, tokens]: big below p_big, skip from 1 - p_skip on, small between."""
    tokens = draws.shape[1]
    big, skip = draws < p_big, draws >= 1 - p_skip
    order = np.argsort(1 - big.astype(np.int8) + skip, axis=1, kind="stable")
    inverse = np.empty_like(order)
    np.put_along_axis(inverse, order, np.arange(tokens)[None], axis=1)
    counts, kept = big.sum(axis=1), tokens - skip.sum(axis=1)
    start, stop = _likely_range(tokens, p_big)
    if not start <= counts.min() <= counts.max() <= stop:
        start, stop = 0, tokens
    columns = (torch.from_numpy(array).to(device) for array in (order, inverse, counts, kept))
    return [Grouping(*row, start, stop) for row in zip(*columns, strict=True)]


def _likely_range(tokens: int, chance: float) -> tuple[int, int]:
    """Multiples of 64 between which the number of big tokens lies, but for one layer in a hundred million."""
    mean, spread = tokens * chance, 6 * math.sqrt(tokens * chance * (1 - chance))
    return max(0, math.floor((mean - spread) / 64) * 64), min(tokens, math.ceil((mean + spread) / 64) * 64)


def learning_rate(step: int, steps: int, settings: Pretrain) -> float:
    """Rate of the step with this index: linear warm-up, then a cosine down to settings.final of the peak."""
    warmup = max(1, round(settings.warmup * steps))
    if step < warmup:
        return settings.learning_rate * (step + 1) / warmup
    progress = (step - warmup) / max(1, steps - 1 - warmup)
    return settings.learning_rate * (settings.final + (1 - settings.final) * 0.5 * (1 + math.cos(math.pi * progress)))


def _optimizer(model: Duo, settings: Pretrain) -> torch.optim.AdamW:
    matrices = [weight for weight in model.parameters() if weight.ndim >= 2]
    norms = [weight for weight in model.parameters() if weight.ndim < 2]
    groups = [{"params": matrices, "weight_decay": settings.weight_decay}, {"params": norms, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=settings.learning_rate, betas=tuple(settings.betas), fused=True)


def _cross_entropy(model: Duo, x: Tensor, labels: Tensor) -> Tensor:
    """Mean loss of the residual stream x [batch, time, width] on labels [batch, time]."""
    return F.cross_entropy(model.logits(x).flatten(0, 1).float(), labels.flatten())
