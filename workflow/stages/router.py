"""Stage 3: train one router and score it on the held-out tokens."""

import numpy as np
import pyarrow as pa

from duo.data import evaluation_set
from duo.model import transformer
from duo.model.device import Device
from duo.routers import gate
from duo.seeds import stream
from duo.tables import files
from duo.tables.data import packed
from duo.tables.routers import ROUTED, ROUTER, ROUTER_HISTORY, ROUTER_METRICS
from duo.tables.training import CHECKPOINT, MODEL
from duo.training import loop
from workflow import compute, stage, track
from workflow.params import load_params


def main(name: str) -> None:
    params = load_params()
    compute.prepare(params.runtime)
    one, settings = params.routers[name], params.router
    backbone = transformer.load(MODEL.path(model=one.model), params.runtime.device)
    checkpoint = CHECKPOINT.path(fingerprint=stage.fingerprint("router", name))
    data = {split: packed(split) for split in ("train", "validation")}
    seed = int(stream(params.seed, "router", name).integers(2**31))
    with track.live(f"router@{name}") as live, stage.advice("router in params.yaml holds its settings"):
        run = loop.TrainingRun(f"router {name}", seed, checkpoint, live.log)
        where = Device.of(params.runtime, settings.precision)
        routed, history = gate.train(backbone, one, params.skips.scope, settings, where, data, run)
    with files.atomic(ROUTER.path(router=name)) as temporary:
        gate.save(routed, temporary, settings.backbone == "trained")
    ROUTER_HISTORY.write(loop.history_columns(history, settings.batch * params.tokens.sequence), router=name)

    sample = evaluation_set.read("test")
    found = gate.score(
        routed,
        one,
        settings.temperature[1],
        sample.tokens,
        sample.labels,
        Device.of(params.runtime, params.route_losses.precision),
    )
    parts = [
        {"kind": [kind] * sample.labels.size} | sample.columns() | {key: each.ravel() for key, each in arrays.items()}
        for kind, arrays in found.items()
    ]
    ROUTED.write(pa.concat_tables([pa.table(part) for part in parts]), router=name)
    ROUTER_METRICS.write(gate.summary(routed, found, np.array(sample.domains)), router=name)
    run.remove_checkpoints()


if __name__ == "__main__":
    stage.run(main)
