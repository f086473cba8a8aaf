"""The paper's routers, which learn for every token and layer which FFN to take (section 3.3).

One linear layer beside each decoder layer, its gate, reads the FFN's normed input. In training the gate's softmax mixes
what the choices would add to the residual stream; in use only the likeliest choice is computed. They learn from the
language model's own loss, not from the losses of routes: duo.routers.policies does that.
"""

import json
import math
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
import torch.nn.functional as F
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from duo.errors import InputError
from duo.model.device import Device
from duo.model.switched import Positions, Switched, SwitchedLayer
from duo.model.tensors import write_tensors
from duo.model.transformer import forward_flops
from duo.routers.whole_budgets import whole_budget
from duo.routes import RouteSpace
from duo.settings import OneRouter, RouterTraining
from duo.terms import BIG, EXACT, HARD, SKIP, SOFT
from duo.training import loop

BATCH = 16  # documents scored at once

# (layer's index, logits [..., choices]) -> weights [..., choices] that add up to 1
Weigh = Callable[[int, Tensor], Tensor]
# (layer, normed stream [batch, length, width], weights, choices) -> what its FFNs add to the stream
Update = Callable[[SwitchedLayer, Tensor, Tensor, tuple[str, ...]], Tensor]
# (layer's index, layer, gate, stream, positions) -> the stream after the layer, and the gate's logits
Step = Callable[[int, SwitchedLayer, nn.Linear, Tensor, Positions], tuple[Tensor, Tensor]]


class Router(nn.Module):
    """The gates of all layers: matrices without bias, zero at first, so that all choices are equally likely.

    skip: "ffn" where a skip leaves out the FFN; "layer" where it leaves out the attention too, and the gate then reads
    the normed input of the layer. The skipped token's keys and values still serve the tokens after it.
    """

    def __init__(self, layers: int, width: int, choices: tuple[str, ...], skip: str):
        super().__init__()
        self.choices, self.whole = choices, skip == "layer" and SKIP in choices
        self.gates = nn.ModuleList(nn.Linear(width, len(choices), bias=False) for _ in range(layers))
        for gate in self.gates:
            nn.init.zeros_(gate.weight)


class Routed(nn.Module):
    """A backbone with the router that decides for it."""

    def __init__(self, backbone: Switched, router: Router):
        super().__init__()
        self.backbone, self.router = backbone, router

    @property
    def space(self) -> RouteSpace:
        return RouteSpace(len(self.backbone.layers), self.router.choices)

    def forward(self, tokens: Tensor, weigh: Weigh, update: Update) -> tuple[Tensor, Tensor]:
        """Logits [batch, length, vocabulary] of tokens [batch, length]; gates' are [batch, length, layers, choices].

        `weigh` makes a layer's choice of the gate's logits; choices are made on the stream as earlier choices have left
        it, and are causal since attention is. `update`, mixed or grouped, computes what the FFNs add.
        """
        choices, whole = self.router.choices, self.router.whole

        def step(index: int, *inputs) -> tuple[Tensor, Tensor]:
            return routed_layer(*inputs, choices, whole, partial(weigh, index), update)

        x, logits = self.through_layers(tokens, step)
        return self.backbone.logits(x), logits

    def through_layers(self, tokens: Tensor, step: Step) -> tuple[Tensor, Tensor]:
        """The stream [batch, length, width] after the last layer, and the gates' logits [batch, length, layers,
        choices], where every layer is run by `step`.
        """
        x, logits, positions = self.backbone.embed(tokens), [], self.backbone.positions(tokens.shape[1])
        for index, (layer, gate) in enumerate(zip(self.backbone.layers, self.router.gates, strict=True)):
            x, of_layer = step(index, layer, gate, x, positions)
            logits.append(of_layer)
        return x, torch.stack(logits, dim=2)


def routed_layer(
    layer: SwitchedLayer,
    gate: nn.Linear,
    x: Tensor,
    positions: Positions,
    choices: tuple[str, ...],
    whole: bool,
    weigh: Callable[[Tensor], Tensor],
    update: Update,
) -> tuple[Tensor, Tensor]:
    """One layer as the weighted mix of its choices: the new stream x [batch, length, width] and the gate's logits
    [batch, length, choices].
    """
    normed_input = layer.attention_norm(x)
    attention = layer.attention(normed_input, positions)
    normed = layer.ffn_norm(x if layer.parallel else x + attention)
    logits = gate(normed_input if whole else normed).float()
    weights = weigh(logits)
    if whole:
        attention = attention * (1 - weights[..., choices.index(SKIP), None])
    return x + attention + update(layer, normed, weights, choices), logits


def mixed(layer: SwitchedLayer, normed: Tensor, weights: Tensor, choices: tuple[str, ...]) -> Tensor:
    """The weighted sum of what the FFNs add; a skip adds nothing. Computes every FFN for every token."""
    parts = (
        weights[..., index, None] * layer.ffns[choice](normed) for index, choice in enumerate(choices) if choice != SKIP
    )
    return sum(parts)


def grouped(layer: SwitchedLayer, normed: Tensor, weights: Tensor, choices: tuple[str, ...]) -> Tensor:
    """What `mixed` gives for weights that are all 0 or 1, where only the FFN that a token takes is computed for it."""
    rows, chosen = normed.flatten(0, 1), weights.argmax(-1).flatten()
    updates = torch.zeros_like(rows)
    for index, choice in enumerate(choices):
        takers = (chosen == index).nonzero()[:, 0]
        if choice != SKIP and len(takers):
            updates[takers] = layer.ffns[choice](rows[takers]).to(updates.dtype)
    return updates.view_as(normed)


def soften(logits: Tensor, temperature: float | Tensor) -> Tensor:
    """The router's law: weights [..., choices] of the choices, from the gate's logits, by softmax at a temperature."""
    return (logits / temperature).softmax(-1)


def soft(temperature: float | Tensor) -> Weigh:
    """Weights of all choices, as in training at this temperature."""
    return lambda layer, logits: soften(logits, temperature)


def hard(layer: int, logits: Tensor) -> Tensor:
    """All weight on the likeliest choice; of equals, on the first."""
    return F.one_hot(logits.argmax(-1), logits.shape[-1]).to(logits.dtype)


def along(routes: Tensor, choices: int) -> Weigh:
    """All weight on given choices: routes [batch, length, layers] int64, indices in the router's choices."""
    return lambda layer, logits: F.one_hot(routes[..., layer], choices).to(logits.dtype)


def likeliest(logits: np.ndarray, space: RouteSpace, budget: int) -> np.ndarray:
    """Codes [...] of the routes with exactly `budget` big layers, those of the highest P(big); of equals, the lower.

    logits [..., layers, choices], of two choices. Their difference is compared: its order is that of P(big), and unlike
    that it never rounds to 1.
    """
    big = space.choices.index(BIG)
    return space.highest(logits[..., big] - logits[..., 1 - big], budget)


def budget_loss(weights: Tensor, targets: Mapping[int, float]) -> Tensor:
    """The squared distance of the choices' mean use from their targets: a scalar.

    weights [batch, length, layers, choices]; targets: the share of the layers that a choice should have, by its index.
    The mean use is over the layers and over the tokens of a sequence: one budget for all layers, which need not be used
    alike. The squared distance is averaged over the sequences, and added up over the choices that have a target.
    """
    use = weights.mean(dim=(1, 2))
    return sum((use[:, choice] - share).square().mean() for choice, share in targets.items())


def targets(spec: OneRouter, layers: int) -> dict[int, float]:
    """The share of the layers that big, and with three choices skip, should have, by the index in spec.choices."""
    counts = {BIG: spec.big} | ({SKIP: spec.skip} if spec.skip is not None else {})
    return {spec.choices.index(choice): count / layers for choice, count in counts.items()}


def train(
    backbone: Switched,
    spec: OneRouter,
    skip: str,
    settings: RouterTraining,
    device: Device,
    data: loop.Data,
    run: loop.TrainingRun,
) -> tuple[Routed, loop.History]:
    """A trained router on its backbone and the history of its training, from scratch or from the run's checkpoint.

    data: the splits train and validation. With settings.backbone "trained" the backbone's weights change too, in
    place. The caller removes the run's checkpoints.
    """
    router = Router(len(backbone.layers), backbone.width, tuple(spec.choices), skip).to(device.name)
    routed = Routed(backbone.requires_grad_(settings.backbone == "trained"), router)
    objective = RouterObjective(routed, targets(spec, len(backbone.layers)), settings, device, data["validation"])
    history = loop.train(objective, settings, data["train"], spec.mix, run)
    return routed.eval().requires_grad_(False), history


class RouterObjective:
    """What a router is trained for: the loss of the softly routed model plus alpha times the budget loss."""

    def __init__(
        self,
        routed: Routed,
        targets: Mapping[int, float],
        settings: RouterTraining,
        device: Device,
        validation: dict[str, np.ndarray],
    ):
        self.module, self.targets, self.settings = routed, targets, settings
        self.device, self.validation = device, validation
        choices, whole = routed.router.choices, routed.router.whole

        def soft_layer(
            layer: SwitchedLayer, gate: nn.Linear, x: Tensor, positions: Positions, temperature: Tensor
        ) -> tuple[Tensor, Tensor]:
            return routed_layer(
                layer, gate, x, positions, choices, whole, lambda logits: soften(logits, temperature), mixed
            )

        def cross_entropy(backbone: Switched, x: Tensor, labels: Tensor) -> Tensor:
            return F.cross_entropy(backbone.logits(x).flatten(0, 1).float(), labels.flatten())

        self._layer, self._cross_entropy = (device.compiled(function) for function in (soft_layer, cross_entropy))

    def loss(self, batch: Tensor, step: int, steps: int) -> tuple[Tensor, dict[str, float]]:
        """The loss of a batch [sequences, length + 1]; beside it, by name, its two parts, the temperature, and the mean
        number of layers of each choice.
        """
        batch = batch.to(self.device.name)
        tokens, labels = batch[:, :-1], batch[:, 1:]
        temperature = torch.tensor(loop.temperature(step, steps, self.settings.temperature), device=self.device.name)
        with self.device.autocast():
            x, logits = self.module.through_layers(tokens, lambda _, *inputs: self._layer(*inputs, temperature))
            entropy = self._cross_entropy(self.module.backbone, x, labels)
        weights = soften(logits, temperature)
        budget = budget_loss(weights, self.targets)
        use = weights.detach().sum(2).mean((0, 1)).tolist()
        values = {"cross_entropy": entropy.item(), "budget_loss": budget.item(), "temperature": temperature.item()}
        choices = self.module.router.choices
        return entropy + self.settings.alpha * budget, values | dict(zip(choices, use, strict=True))

    @torch.no_grad()
    def validate(self, step: int, steps: int) -> dict[str, float]:
        """Loss and mean number of layers of each choice under hard routing, on every domain's first validation
        sequences.
        """
        values = {}
        for domain, rows in self.validation.items():
            rows = rows[: self.settings.validation_sequences].astype(np.int64)
            run = execute(self.module, rows[:, :-1], rows[:, 1:], hard, self.device)
            use = run["weights"].sum(2).mean((0, 1)).tolist()
            values[f"validation/{domain}/loss"] = run["loss"].mean(dtype=np.float64).item()
            values |= {
                f"validation/{domain}/{choice}": count
                for choice, count in zip(self.module.router.choices, use, strict=True)
            }
        return values


@torch.no_grad()
def execute(
    routed: Routed,
    tokens: np.ndarray,
    labels: np.ndarray,
    weigh: Weigh,
    device: Device,
    update: Update = mixed,
) -> dict[str, np.ndarray]:
    """Losses of documents under one way to weigh the choices, and how the choices were weighed.

    tokens and labels [documents, length] int64. Gives "loss" [documents, length] in nats, and [documents, length,
    layers, choices] the gates' "logits" and the "weights" used.
    """
    parts = []
    for start in range(0, len(tokens), BATCH):
        batch, following = (torch.from_numpy(part[start : start + BATCH]).to(device.name) for part in (tokens, labels))
        with device.autocast():
            predicted, logits = routed(batch, weigh, update)
        losses = F.cross_entropy(predicted.float().transpose(1, 2), following, reduction="none")
        weights = torch.stack([weigh(layer, logits[:, :, layer]) for layer in range(logits.shape[2])], dim=2)
        parts.append({"loss": losses, "logits": logits, "weights": weights})
    return {name: torch.cat([part[name] for part in parts]).cpu().numpy() for name in parts[0]}


def score(
    routed: Routed,
    spec: OneRouter,
    last: float,
    tokens: np.ndarray,
    labels: np.ndarray,
    device: Device,
) -> dict[str, dict[str, np.ndarray]]:
    """Losses and routes of documents, by the way to score: what a router is worth, in training and in use.

    soft: the mix at the last temperature. hard: the likeliest choice, on the stream as routed. exact: exactly spec.big
    layers, those of the highest P(big) in the soft run; only where that is a whole number and the choices are two.
    tokens and labels [documents, length]. Of each way, arrays [documents, length]: "loss" in nats, the number of layers
    "big" and "skip" (soft: the sum of their weights), and "route", a code, -1 for soft.
    """

    def run(weigh: Weigh) -> dict[str, np.ndarray]:
        return execute(routed, tokens, labels, weigh, device)

    runs = {SOFT: run(soft(last)), HARD: run(hard)}
    budget = whole_budget(spec)
    if budget is not None:
        codes = likeliest(runs[SOFT]["logits"], routed.space, budget)
        routes = torch.from_numpy(routed.space.decode(codes).astype(np.int64))
        parts = [
            execute(routed, tokens[rows], labels[rows], along(routes[rows].to(device.name), len(spec.choices)), device)
            for rows in (slice(start, start + BATCH) for start in range(0, len(tokens), BATCH))
        ]
        runs[EXACT] = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    return {kind: _columns(values, routed.space, kind) for kind, values in runs.items()}


def _columns(run: dict[str, np.ndarray], space: RouteSpace, kind: str) -> dict[str, np.ndarray]:
    weights = run["weights"]
    use = {
        choice: weights[..., space.choices.index(choice)].sum(-1) if choice in space.choices else 0 * run["loss"]
        for choice in (BIG, SKIP)
    }
    route = np.full(run["loss"].shape, -1) if kind == SOFT else space.encode(weights.argmax(-1))
    return {"loss": run["loss"], "route": route, **use}


def save(routed: Routed, path: Path, backbone: bool) -> None:
    """Write the router's weights to a safetensors file, with the backbone's where that was trained too."""
    kept = (
        routed.state_dict()
        if backbone
        else {f"router.{name}": weight for name, weight in routed.router.state_dict().items()}
    )
    tensors = {name: weight.contiguous() for name, weight in sorted(kept.items())}
    kind = json.dumps({"choices": routed.router.choices, "whole": routed.router.whole})
    write_tensors(tensors, path, {"router": kind})  # one key: the file has them in any order


def load(path: Path, backbone: Switched) -> Routed:
    """The router that `save` wrote beside a backbone, whose weights are replaced by saved ones.

    InputError where they don't fit.
    """
    try:
        with safe_open(path, "pt") as file:
            kind = json.loads(file.metadata()["router"])
        skip = "layer" if kind["whole"] else "ffn"
        router = Router(len(backbone.layers), backbone.width, tuple(kind["choices"]), skip)
        routed = Routed(backbone, router)
        tensors = safetensors.torch.load_file(path)
        routed.load_state_dict(backbone.state_dict(prefix="backbone.") | tensors)
    except FileNotFoundError:
        raise InputError(f"{path}: is missing") from None
    except (SafetensorError, KeyError, TypeError, RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"{path}: not a router of this model ({reason})") from None
    return routed.eval().requires_grad_(False)


def flops(routed: Routed, tokens: int, big: float, skip: float) -> float:
    """Floating-point operations per token of a forward pass in which every token computes what it chose.

    The gates' own are counted too. So is attention where the whole layer is skipped: its keys and values serve the
    tokens after it. tokens: of a sequence; big, skip: mean numbers of layers.
    """
    shape = routed.backbone.shape
    gates = 2 * shape.layers * shape.width * len(routed.router.choices)
    return forward_flops(shape, tokens, big, skip) + gates


def summary(routed: Routed, scored: Mapping[str, dict[str, np.ndarray]], domains: np.ndarray) -> dict:
    """ROUTER_METRICS from `score`, domains [documents]: losses, layers used, and what hard routing computes."""
    shape, tokens = routed.backbone.shape, scored[HARD]["loss"].shape[1]
    used = (scored[HARD][name].mean(dtype=np.float64).item() for name in (BIG, SKIP))
    alone = {"all_big": forward_flops(shape, tokens, shape.layers), "all_small": forward_flops(shape, tokens, 0)}
    return means(scored, domains) | {"flops_a_token": {"hard": flops(routed, tokens, *used)} | alone}


def means(scored: Mapping[str, dict[str, np.ndarray]], domains: np.ndarray) -> dict:
    """By domain and kind, means of what `score` gives: losses in nats, layers used; and perplexity.

    domains [documents]
    """
    report = {}
    for domain in dict.fromkeys(domains.tolist()):
        kinds = {
            kind: {name: arrays[name][domains == domain].mean(dtype=np.float64).item() for name in ("loss", BIG, SKIP)}
            for kind, arrays in scored.items()
        }
        report[domain] = {kind: means | {"perplexity": math.exp(means["loss"])} for kind, means in kinds.items()}
    return report
