"""A training of one of the paper's routers as a stage does it, whichever backbone it decides for: watched, continued
after a kill, scored on the held-out tokens, saved.
"""

from typing import NamedTuple

import numpy as np
import pyarrow as pa

from duo.data.evaluation_set import EvaluationSet
from duo.model.device import Device
from duo.model.switched import Switched
from duo.routers import gate
from duo.seeds import stream
from duo.settings import OneRouter, RouterTraining, Runtime
from duo.tables import files
from duo.tables.training import CHECKPOINT
from duo.training import loop
from workflow import stage, track


class Asked(NamedTuple):
    """Which router is trained, and how; skip: what a skip leaves out, seed: the experiment's."""

    router: OneRouter
    settings: RouterTraining
    skip: str
    seed: int


class RouterOuts(NamedTuple):
    """The files that are written, but for the metrics."""

    router: files.File
    history: files.Table
    tokens: files.Table


def run(
    words: tuple[str, str],
    asked: Asked,
    backbone: Switched,
    data: loop.Data,
    sample: EvaluationSet,
    runtime: Runtime,
    precision: str,
    outs: RouterOuts,
) -> tuple[gate.Routed, dict]:
    """Train the router on the splits train and validation of data and write its outs; it, and what scoring it gave.

    words: of the stage instance, its group and the router's name. precision: for the scores of the sample.
    """
    (group, name), (one, settings, skip, seed) = words, asked
    checkpoint = CHECKPOINT.path(fingerprint=stage.fingerprint(*words))
    seed = int(stream(seed, "router", name).integers(2**31))
    with track.live(f"{group}@{name}") as live, stage.advice("router in params.yaml holds its settings"):
        training = loop.TrainingRun(f"router {name}", seed, checkpoint, live.log)
        where = Device.of(runtime, settings.precision)
        routed, history = gate.train(backbone, one, skip, settings, where, data, training)
    with files.atomic(outs.router.path()) as temporary:
        gate.save(routed, temporary, settings.backbone == "trained")
    length = next(iter(data["train"].values())).shape[1] - 1
    outs.history.write(loop.history_columns(history, settings.batch * length))
    where = Device.of(runtime, precision)
    following = np.concatenate([sample.tokens[:, 1 : 1 + sample.context], sample.labels], axis=1)
    scored = gate.score(routed, one, settings.temperature[1], sample.tokens, following, where)
    found = {kind: {key: each[:, sample.context :] for key, each in arrays.items()} for kind, arrays in scored.items()}
    parts = [
        {"kind": [kind] * sample.labels.size} | sample.columns() | {key: each.ravel() for key, each in arrays.items()}
        for kind, arrays in found.items()
    ]
    outs.tokens.write(pa.concat_tables([pa.table(part) for part in parts]))
    training.remove_checkpoints()
    return routed, found
