"""What can be audited: a model on text, and losses that are there."""

import logging
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from duo.api import CHUNK
from duo.auditing import own_losses, texts
from duo.auditing.findings import Findings
from duo.auditing.folder import by_route
from duo.auditing.plan import free_memory, plan
from duo.errors import InputError
from duo.model import decoders, pretrained
from duo.model.device import Device, prepare
from duo.oracle.departures import walk
from duo.oracle.tree import Enumerator
from duo.routes import RouteSpace
from duo.studies.departures import by_departures, by_sampled
from duo.tables.files import Table
from duo.terms import BIG, SKIP

log = logging.getLogger(__name__)

RESAMPLES, CONFIDENCE = 2000, 0.95
DEPARTURES = 2  # where neither these nor blocks are said

Audit = tuple[Findings, Mapping[Table, Any]]  # what is found, and the tables of numbers by route


def of_losses(path: Path, reference: int | None, seed: int) -> Audit:
    """What losses of somebody's own say (duo.auditing.own_losses); no tables, as he has them."""
    own = own_losses.read(path, reference)
    documents = int(own.document.max()) + 1
    ran = {
        "losses": path.name,
        "documents": documents,
        "tokens": len(own.losses),
        "sampled labels of each token": len(own.sampled) // len(own.losses),
        "routes": own.losses.shape[1],
        "seed": seed,
    }
    rows = by_sampled(*own, RESAMPLES, CONFIDENCE, seed)
    return Findings(rows, None, ran, "", "at most so many departures from the reference", documents, CONFIDENCE), {}


def of_model(
    model: str,
    text: str,
    *,
    name: str = "",
    departures: int | None,
    blocks: int | None,
    skip: str,
    documents: int,
    tokens: int,
    precision: str,
    device: str,
    threads: int | None,
    seed: int,
) -> Audit:
    """What the oracle gains that leaves out parts of a model; arguments as of the command (duo.auditing.command).

    name: what the model is called, where not by what it is read from.

    What it takes is said, and checked, before a weight is read.
    """
    for flag, value, least in (("documents", documents, 2), ("tokens", tokens, 1), ("threads", threads or 1, 1)):
        if value < least:
            raise InputError(f"--{flag} {value}: should be {least} or more")
    prepare(device, threads or torch.get_num_threads())
    where, paths = Device(device, precision), texts.find(text, seed)
    outline = pretrained.outline(model, "MODEL")
    parts = decoders.routable(outline)
    most = parts.positions - pretrained.CONTEXT
    if tokens > most:
        raise InputError(f"--tokens {tokens}: the model can score at most {most}, as it was trained to")
    space = _space(len(parts.layers), departures, blocks)
    planned, free = plan(outline, Enumerator(parts, space, where, CHUNK, skip), documents, tokens), free_memory(where)
    planned.check(free)
    log.info(planned.words(free))

    weights, tokenizer = pretrained.load(model, "MODEL")
    names, ids = texts.windows(paths, tokenizer, documents, tokens)
    if ids.max() >= len(parts.outputs):
        raise InputError(f"MODEL: its tokenizer has the id {ids.max()}, but the model knows {len(parts.outputs)} alone")
    enumerator = Enumerator(decoders.routable(weights.to(device), where), space, where, CHUNK, skip)
    found = walk(enumerator, ids[:, :-1].copy(), ids[:, 1 + pretrained.CONTEXT :].copy(), seed)
    rows, calibration = by_departures(found, space, RESAMPLES, CONFIDENCE, seed)
    ran = {
        "model": name or _called(model),
        "parameters": f"{sum(each.numel() for each in outline.parameters()):,}",
        "documents": documents,
        "tokens of each": tokens,
        "layers": space.layers,
        **({"blocks of layers that are left out as one": blocks} if blocks else {}),
        "left out at most": space.departures,
        "what is left out of a layer": "its FFN" if skip == "ffn" else "all of it",
        "routes": len(space),
        "precision": where.precision,
        "seed": seed,
    }
    places = f"{space.places} blocks of layers" if blocks else f"{space.layers} layers"
    places = f"FFNs of {places}" if skip == "ffn" else places
    bound = f"at most so many of the {places} left out"
    audited = Findings(rows, calibration, ran, places, bound, documents, CONFIDENCE)
    return audited, by_route(names, ids[:, pretrained.CONTEXT :], found, space)


def _space(layers: int, departures: int | None, blocks: int | None) -> RouteSpace:
    """The routes to try. InputError where they are one alone, or can't be."""
    if departures is not None and departures < 1:
        raise InputError(f"--departures {departures}: leaves one route; should be 1 or more")
    if departures is None and blocks is None:
        departures = DEPARTURES
    space = RouteSpace(layers, (SKIP, BIG), blocks)
    return replace(space, departures=min(space.places, departures or space.places))


def _called(model: str) -> str:
    """A model's name without the folders that it lies in."""
    return Path(model).resolve().name if os.path.exists(model) else model
