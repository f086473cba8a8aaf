"""What the other tokens of a sequence do while one token's routes are tried, and what the chosen routes give when all
run together.

A token's loss depends on its own route and, through attention, on the routes of the tokens before it. The paper doesn't
say what those are while a route is tried. Three contexts are possible. In `shared` they take the same route as the
token. In `reference` they keep the routes of one run. Either way the choices of different tokens rest on pasts that are
never there together, so the loss that made a route win, the isolated loss, need not be the one that it gives: the
joint loss, of all tokens on their chosen routes, run once together. In `greedy` every token is tried behind the winners
before it, from left to right, so that isolated and joint loss are the same but for rounding.
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch

from duo import seeds
from duo.data.evaluation_set import EvaluationSet
from duo.errors import InputError
from duo.model.device import Device
from duo.model.routable import Routable
from duo.oracle import select
from duo.oracle.branch import label_losses
from duo.oracle.tree import Enumerator
from duo.progress import progress
from duo.routes import RouteSpace
from duo.tables import files
from duo.terms import ALL_BIG, FIXED, GREEDY, HARD, ISOLATED, JOINT, ORACLE, RANDOM, SEQUENCE

BATCH = 16  # documents run jointly at once
# A token is tried alone, so its tree is small: of larger chunks hardly one would be full, and compiled.
GREEDY_CHUNK = 2048


class Chosen(NamedTuple):
    """The route of every token of a sample, and the loss that made it win."""

    routes: np.ndarray  # [documents, length] codes
    isolated: np.ndarray  # [documents, length] nats


Choices = dict[tuple[int, str], Chosen]  # by budget and selection


@torch.no_grad()
def run_jointly(
    model: Routable,
    space: RouteSpace,
    tokens: np.ndarray,
    routes: np.ndarray,
    labels: np.ndarray,
    device: Device,
    scope: str = "ffn",
) -> np.ndarray:
    """Joint losses in nats, fp32 [documents, length]: of all tokens run together, each on its own route.

    What is left of a choice when it is really carried out: a token attends to those before it as their own routes make
    them. routes (codes of the space) and labels [documents, length] int64, tokens [documents, length] or more; scope as
    in Enumerator. The first tokens, if they have no routes, are read by the model as it is, all big: much attention
    goes to a text's first token, whatever it says, so that no other finds what it is used to where that one changes.
    """
    context = tokens.shape[1] - routes.shape[1]
    if context:
        routes = np.pad(routes, ((0, 0), (context, 0)), constant_values=space.named(ALL_BIG))
    enumerator = Enumerator(model, space, device, 1, scope)
    parts = []
    with device.autocast():
        for start in range(0, len(tokens), BATCH):
            batch, batch_routes, batch_labels = (
                torch.from_numpy(np.ascontiguousarray(ids[start : start + BATCH])) for ids in (tokens, routes, labels)
            )
            x, _ = enumerator.follow(enumerator.roots(batch), batch_routes)
            x = x[:, context:].flatten(0, 1)
            losses = label_losses(model, x, batch_labels.to(device.name).flatten()[:, None])
            parts.append(losses.view(batch_labels.shape).cpu().numpy())
    return np.concatenate(parts)


def enumerated(tables: Iterable[pa.Table], sample: EvaluationSet) -> np.ndarray:
    """Losses [documents, length, routes] of the sample in the context `shared`, from tables ROUTE_LOSSES of its
    documents, which may be longer there.

    InputError where a document of the sample is in none of them.
    """
    keys = list(zip(sample.domains, sample.documents, strict=True))
    by_document = {}
    for table in tables:
        losses = files.matrix(table["losses"])
        for domain, document, rows in select.documents(table):
            by_document[domain, document] = losses[rows][: sample.labels.shape[1]]
    for domain, document in keys:
        if (domain, document) not in by_document:
            raise InputError(
                f"domain {domain}, document {document}: its losses are missing in the table of route losses"
            )
    return np.stack([by_document[key] for key in keys])


def reference_routes(run: str, sample: EvaluationSet, layers: int, seed: int) -> np.ndarray:
    """Codes [documents, length] of the routes that the tokens keep in the reference run.

    run: all_big, all_small, or random, in which every token has a route of its own.
    """
    if run == RANDOM:
        keys = zip(sample.domains, sample.documents, strict=True)
        generators = [seeds.stream(seed, "contexts", RANDOM, *key) for key in keys]
        return np.stack([rng.integers(2**layers, size=sample.tokens.shape[1]) for rng in generators])
    return np.full(sample.tokens.shape, RouteSpace(layers).named(run))


def router_routes(routed: pa.Table, choices: Iterable[str], sample: EvaluationSet, layers: int) -> np.ndarray:
    """As reference_routes where the run is a router's, hard: from its table ROUTED.

    choices: small and big in the router's own order. InputError where a document of the sample was not routed.
    """
    hard = routed.filter(pc.equal(routed["kind"], HARD))
    big = RouteSpace(layers, tuple(choices)).big(hard["route"].to_numpy())
    codes = RouteSpace(layers).encode(big)
    by_document = {(domain, document): codes[rows] for domain, document, rows in select.documents(hard)}
    keys = list(zip(sample.domains, sample.documents, strict=True))
    for domain, document in keys:
        if (domain, document) not in by_document:
            raise InputError(f"domain {domain}, document {document}: its routes are missing in the router's table")
    return np.stack([by_document[key][: sample.tokens.shape[1]] for key in keys])


def choose(losses: np.ndarray, space: RouteSpace, sample: EvaluationSet, budgets: Iterable[int], seed: int) -> Choices:
    """The best route of each budget for every token (oracle), document (sequence) and domain (fixed).

    losses [documents, length, routes] of all routes of the space. As in duo.oracle.select, the fixed route of a
    document is the best of other clusters, and equal losses are chosen among by the same random numbers.
    """
    choices = {}
    for budget in budgets:
        codes = space.with_budget(budget)
        part = losses[..., space.index(codes)]
        columns = {selection: np.empty(part.shape[:2], np.int64) for selection in (ORACLE, SEQUENCE, FIXED)}
        for row, key in enumerate(zip(sample.domains, sample.documents, strict=True)):
            columns[ORACLE][row], columns[SEQUENCE][row] = select.best(part[row], select.ties(seed, budget, *key))
        by_document = part.sum(axis=1, dtype=np.float64)
        columns[FIXED][:] = select.fixed(by_document, sample.domains, sample.clusters)[:, None]
        for selection, column in columns.items():
            isolated = np.take_along_axis(part, column[..., None], axis=2)[..., 0]
            choices[budget, selection] = Chosen(codes[column], isolated)
    return choices


def greedy(
    model: Routable,
    space: RouteSpace,
    sample: EvaluationSet,
    budgets: Iterable[int],
    device: Device,
    chunk: int,
    seed: int,
) -> Choices:
    """The oracle's choices from left to right, at each budget. Shows its progress.

    Only the oracle is there: one route for many tokens commits all of them at once, which is what `shared` tries
    already. chunk as in Enumerator.
    """
    budgets, choices = list(budgets), {}
    with progress(GREEDY, "positions", total=len(budgets) * sample.tokens.shape[1]) as shown:
        for budget in budgets:
            enumerator = Enumerator(model, space, device, min(chunk, GREEDY_CHUNK), budget=budget)
            choices[budget, ORACLE] = commit(enumerator, sample, seed, shown.update)
    return choices


@torch.no_grad()
def commit(
    enumerator: Enumerator, sample: EvaluationSet, seed: int, on_position: Callable[[int], object] = lambda count: None
) -> Chosen:
    """The best route of the enumerator's budget for every token, tried behind those before it on the routes that won.

    All sequences go side by side, position by position.
    """
    tokens, labels = torch.from_numpy(sample.tokens), torch.from_numpy(sample.labels)
    keys = zip(sample.domains, sample.documents, strict=True)
    generators = [select.ties(seed, enumerator.budget, *key) for key in keys]
    routes, isolated = np.empty(sample.tokens.shape, np.int64), np.empty(sample.tokens.shape, np.float32)
    with enumerator.device.autocast():
        # The pasts of any run do to begin with: a position is overwritten before a token looks at it.
        roots = enumerator.roots(tokens, torch.full_like(tokens, int(enumerator.routes[0])))
        for position in range(tokens.shape[1]):
            here, column = enumerator.at(roots, position), slice(position, position + 1)
            losses = enumerator.losses_from(here, labels[None, :, column])[0, :, 0].numpy()
            winners = np.array(
                [select.lowest(by_route[None], rng)[0] for by_route, rng in zip(losses, generators, strict=True)]
            )
            routes[:, position] = enumerator.routes[winners]
            isolated[:, position] = losses[np.arange(len(losses)), winners]
            _, committed = enumerator.follow(here, torch.from_numpy(routes[:, column]))
            for past, winner in zip(roots.pasts, committed, strict=True):
                past.keys[:, :, column] = winner.keys
                past.values[:, :, column] = winner.values
            on_position(1)
    return Chosen(routes, isolated)


def table(
    name: str,
    model: Routable,
    space: RouteSpace,
    sample: EvaluationSet,
    choices: Choices,
    device: Device,
    scope: str = "ffn",
) -> pa.Table:
    """JOINT_LOSSES of one context, the chosen routes run jointly. InputError where a loss is not finite."""
    parts = []
    for (budget, selection), chosen in choices.items():
        joint = run_jointly(model, space, sample.tokens, chosen.routes, sample.labels, device, scope)
        if not (np.isfinite(chosen.isolated).all() and np.isfinite(joint).all()):
            raise InputError(f"model {name}, budget {budget}: a loss is not finite")
        ids = {
            "model": [name] * joint.size,
            "budget": np.full(joint.size, budget),
            "selection": [selection] * joint.size,
        }
        numbers = {"route": chosen.routes.ravel(), ISOLATED: chosen.isolated.ravel(), JOINT: joint.ravel()}
        parts.append(pa.table(ids | sample.columns() | numbers))
    return pa.concat_tables(parts)
