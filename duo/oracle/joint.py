"""What the other tokens of a sequence do while one token's routes are tried, and what the routes so chosen give when
all run together.

The paper doesn't say (PAPER.md: contexts). In `shared` they take the route on trial too; in `reference` they keep the
routes of one run. Either way the choices of different tokens rest on pasts that are never there together, so the loss
that a choice claims need not be the one that it gives: the joint loss, of all tokens on their chosen routes, run
jointly, once. In `greedy` every token is tried behind the winners before it, from left to right, so that isolated and
joint loss are the same but for rounding.
"""

import logging
from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from tqdm import tqdm

from duo import seeds
from duo.data.evaluation_set import EvaluationSet
from duo.errors import InputError
from duo.model import device
from duo.model.transformer import Duo
from duo.oracle import select
from duo.oracle.tree import Enumerator, label_losses
from duo.routes import BIG, RouteSpace
from duo.settings import RANDOM, Runtime
from duo.tables import files
from duo.terms import FIXED, GREEDY, ISOLATED, JOINT, ORACLE, SEQUENCE

log = logging.getLogger(__name__)

BATCH = 16  # documents run jointly at once
GREEDY_ROWS = (
    2048  # a token is tried alone, so its tree is small: in chunks of more rows hardly one would be full, and compiled
)


class Chosen(NamedTuple):
    """The route of every token of a sample, and the loss that made it win."""

    routes: np.ndarray  # [documents, time] codes
    isolated: np.ndarray  # [documents, time] nats


Choices = dict[tuple[int, str], Chosen]  # by budget and selection


@torch.no_grad()
def run_jointly(
    model: Duo, tokens: np.ndarray, routes: np.ndarray, labels: np.ndarray, machine: Runtime, precision: str
) -> np.ndarray:
    """Losses in nats, fp32 [documents, time], of all tokens run jointly, each on its own route of small and big layers.

    tokens, routes (codes) and labels [documents, time] int64. A token attends to those before it as their own routes
    make them.
    """
    enumerator = Enumerator(model, RouteSpace(len(model.layers)), machine, precision, rows=1)
    parts = []
    with device.autocast(machine.device, precision):
        for start in range(0, len(tokens), BATCH):
            some, taken, wanted = (
                torch.from_numpy(np.ascontiguousarray(each[start : start + BATCH])) for each in (tokens, routes, labels)
            )
            x, _ = enumerator.follow(enumerator.roots(some), taken)
            losses = label_losses(model, x.flatten(0, 1), wanted.to(machine.device).flatten()[:, None])
            parts.append(losses.view(some.shape).cpu().numpy())
    return np.concatenate(parts)


def enumerated(tables: Iterable[pa.Table], sample: EvaluationSet) -> np.ndarray:
    """Losses [documents, time, routes] of the sample in the context `shared`, from tables ROUTE_LOSSES of longer or
    equal documents.

    InputError where a document of the sample is in none of them.
    """
    wanted = set(zip(sample.domains, sample.documents, strict=True))
    found = {}
    for table in tables:
        losses = files.matrix(table["losses"])
        for domain, document, rows in select.documents(table):
            if (domain, document) in wanted:
                found[domain, document] = losses[rows][: sample.tokens.shape[1]]
    for domain, document in wanted - set(found):
        raise InputError(f"domain {domain}, document {document}: its losses are missing; run enumerate again")
    return np.stack([found[key] for key in zip(sample.domains, sample.documents, strict=True)])


def reference_routes(run: str, sample: EvaluationSet, layers: int, seed: int) -> np.ndarray:
    """Codes [documents, time] of the routes in the reference run: all_big, all_small, or random, a route for every
    token.
    """
    if run == RANDOM:
        draw = [
            seeds.stream(seed, "contexts", RANDOM, *key) for key in zip(sample.domains, sample.documents, strict=True)
        ]
        return np.stack([rng.integers(2**layers, size=sample.tokens.shape[1]) for rng in draw])
    return np.full(sample.tokens.shape, RouteSpace(layers).named(run))


def router_routes(routed: pa.Table, choices: Iterable[str], sample: EvaluationSet, layers: int) -> np.ndarray:
    """The same where the run is a router's, hard: from its table ROUTED; choices are its own, of small and big.

    InputError where a document of the sample was not routed.
    """
    hard = routed.filter(pc.equal(routed["kind"], "hard"))
    own = RouteSpace(layers, tuple(choices))
    codes = RouteSpace(layers).encode(own.decode(hard["route"].to_numpy()) == own.choices.index(BIG))
    found = {(domain, document): codes[rows] for domain, document, rows in select.documents(hard)}
    for key in zip(sample.domains, sample.documents, strict=True):
        if key not in found:
            raise InputError(
                f"domain {key[0]}, document {key[1]}: its routes are missing in the router's table; run router again"
            )
    return np.stack(
        [found[key][: sample.tokens.shape[1]] for key in zip(sample.domains, sample.documents, strict=True)]
    )


def choose(losses: np.ndarray, sample: EvaluationSet, budgets: Iterable[int], layers: int, seed: int) -> Choices:
    """The best route of each budget for every token (oracle), document (sequence) and domain (fixed), by losses
    [documents, time, routes].

    Equal losses are drawn from as in oracle.select, with the same draws.
    """
    found = {}
    for budget in budgets:
        codes = RouteSpace(layers).with_budget(budget)
        part = losses[..., codes]
        columns = {selection: np.empty(part.shape[:2], np.int64) for selection in (ORACLE, SEQUENCE, FIXED)}
        for row, key in enumerate(zip(sample.domains, sample.documents, strict=True)):
            rng = seeds.stream(seed, "oracle", budget, *key)
            columns[ORACLE][row] = select.lowest(part[row], rng)
            columns[SEQUENCE][row] = select.lowest(part[row].sum(axis=0, dtype=np.float64)[None], rng)
        for domain in dict.fromkeys(sample.domains):
            rows = np.array(sample.domains) == domain
            columns[FIXED][rows] = part[rows].sum(axis=(0, 1), dtype=np.float64).argmin()
        for selection, column in columns.items():
            isolated = np.take_along_axis(part, column[..., None], axis=2)[..., 0]
            found[budget, selection] = Chosen(codes[column], isolated)
    return found


def greedy(
    model: Duo, sample: EvaluationSet, budgets: Iterable[int], machine: Runtime, precision: str, rows: int, seed: int
) -> Choices:
    """The oracle's choices from left to right. Shows its progress.

    There is no other selection: one route for many tokens commits all of them at once, which is what `shared` tries
    already.
    """
    space, budgets, found = RouteSpace(len(model.layers)), list(budgets), {}
    with tqdm(total=len(budgets) * sample.tokens.shape[1], unit="position", disable=None, desc=GREEDY) as progress:
        for budget in budgets:
            enumerator = Enumerator(model, space, machine, precision, min(rows, GREEDY_ROWS), budget=budget)
            found[budget, ORACLE] = commit(enumerator, sample, seed, progress.update)
            if progress.disable:
                log.info("budget %d done", budget)
    return found


@torch.no_grad()
def commit(
    enumerator: Enumerator, sample: EvaluationSet, seed: int, on_position: Callable[[int], object] = lambda count: None
) -> Chosen:
    """Try every token, with the enumerator's budget, behind those before it on the routes that won; all sequences
    side by side.
    """
    tokens, labels = torch.from_numpy(sample.tokens), torch.from_numpy(sample.labels)
    draw = [
        seeds.stream(seed, "oracle", enumerator.budget, *key)
        for key in zip(sample.domains, sample.documents, strict=True)
    ]
    routes, isolated = np.empty(sample.tokens.shape, np.int64), np.empty(sample.tokens.shape, np.float32)
    with device.autocast(enumerator.machine.device, enumerator.precision):
        # The pasts of any run do to begin with: a position is overwritten before a token looks at it.
        roots = enumerator.roots(tokens, torch.full_like(tokens, int(enumerator.routes[0])))
        for position in range(tokens.shape[1]):
            here, column = roots.at(position), slice(position, position + 1)
            losses = enumerator.losses_from(here, labels[None, :, column])[0, :, 0].numpy()
            winners = np.array([select.lowest(each[None], rng)[0] for each, rng in zip(losses, draw, strict=True)])
            routes[:, position] = enumerator.routes[winners]
            isolated[:, position] = losses[np.arange(len(losses)), winners]
            _, seen = enumerator.follow(here, torch.from_numpy(routes[:, column]))
            for past, own in zip(roots.pasts, seen, strict=True):
                past.keys[:, :, column] = own.keys
                past.values[:, :, column] = own.values
            on_position(1)
    return Chosen(routes, isolated)


def table(name: str, model: Duo, sample: EvaluationSet, choices: Choices, machine: Runtime, precision: str) -> pa.Table:
    """JOINT_LOSSES of one context, the chosen routes run jointly. InputError where a loss is not finite."""
    parts = []
    for (budget, selection), chosen in choices.items():
        joint = run_jointly(model, sample.tokens, chosen.routes, sample.labels, machine, precision)
        if not (np.isfinite(chosen.isolated).all() and np.isfinite(joint).all()):
            raise InputError(f"model {name}, budget {budget}: a loss is not finite; train the model again")
        ids = {
            "model": [name] * joint.size,
            "budget": np.full(joint.size, budget),
            "selection": [selection] * joint.size,
        }
        numbers = {"route": chosen.routes.ravel(), ISOLATED: chosen.isolated.ravel(), JOINT: joint.ravel()}
        parts.append(pa.table(ids | sample.columns() | numbers))
    return pa.concat_tables(parts)
