"""A training of one of the paper's routers as a stage does it, whichever backbone it decides for: watched, continued
after a kill, scored on the held-out tokens, saved.
"""

from typing import NamedTuple

import pyarrow as pa

from duo.data.evaluation_set import EvaluationSet
from duo.model.device import Device
from duo.model.switched import Switched
from duo.routers import gate
from duo.seeds import stream
from duo.settings import OneRouter, RouterTraining
from duo.tables import files
from duo.tables.training import CHECKPOINT
from duo.training import loop
from workflow import stage, track
from workflow.params import Params


class Outs(NamedTuple):
    """The files that are written, but for the metrics."""

    router: files.File
    history: files.Table
    tokens: files.Table


def run(
    words: tuple[str, str],
    one: OneRouter,
    settings: RouterTraining,
    backbone: Switched,
    data: loop.Data,
    sample: EvaluationSet,
    params: Params,
    outs: Outs,
) -> tuple[gate.Routed, dict]:
    """Train the router on the splits train and validation of data and write its outs; it, and what scoring it gave.

    words: of the stage instance, its group and the router's name.
    """
    checkpoint = CHECKPOINT.path(fingerprint=stage.fingerprint(*words))
    seed = int(stream(params.seed, "router", words[1]).integers(2**31))
    with track.live("@".join(words)) as live, stage.advice("router in params.yaml holds its settings"):
        training = loop.TrainingRun(f"router {words[1]}", seed, checkpoint, live.log)
        where = Device.of(params.runtime, settings.precision)
        routed, history = gate.train(backbone, one, params.skips.scope, settings, where, data, training)
    with files.atomic(outs.router.path()) as temporary:
        gate.save(routed, temporary, settings.backbone == "trained")
    length = next(iter(data["train"].values())).shape[1] - 1
    outs.history.write(loop.history_columns(history, settings.batch * length))
    where = Device.of(params.runtime, params.route_losses.precision)
    found = gate.score(routed, one, settings.temperature[1], sample.tokens, sample.labels, where)
    parts = [
        {"kind": [kind] * sample.labels.size} | sample.columns() | {key: each.ravel() for key, each in arrays.items()}
        for kind, arrays in found.items()
    ]
    outs.tokens.write(pa.concat_tables([pa.table(part) for part in parts]))
    training.remove_checkpoints()
    return routed, found
