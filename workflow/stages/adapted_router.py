"""Train one router over a pretrained model with small FFNs beside its own, and score it on held-out tokens."""

import numpy as np

from duo.data import own_windows
from duo.model import extended, pretrained
from duo.routers import gate
from duo.tables.adapted import (
    ADAPTED_PACKED,
    ADAPTED_ROUTED,
    ADAPTED_ROUTER,
    ADAPTED_ROUTER_HISTORY,
    ADAPTED_ROUTER_METRICS,
    SMALL_FFNS,
)
from duo.tables.data import packed
from duo.tables.pretrained import PRETRAINED
from duo.training import variants
from workflow import compute, routing, stage
from workflow.params import load_params


def main(name: str) -> None:
    params = load_params()
    compute.prepare(params.runtime)
    one = variants.mixed(params.adapted_routers[name], params.pretrain)
    adapted = params.adapted[one.model]
    theirs, _ = pretrained.load(str(PRETRAINED.path(model=one.model)))
    backbone = extended.load(SMALL_FFNS.path(model=one.model), theirs.to(params.runtime.device))
    sample = own_windows.read(one.model, "test")
    data = {split: packed(split, ADAPTED_PACKED.instance(model=one.model)) for split in ("train", "validation")}
    settings = variants.adapting(adapted, adapted.router, params.router)
    asked, precision = routing.Asked(one, settings, params.skips.scope, params.seed), params.route_losses.precision
    files = (ADAPTED_ROUTER, ADAPTED_ROUTER_HISTORY, ADAPTED_ROUTED)
    outs = routing.RouterOuts(*(file.instance(router=name) for file in files))
    words = ("adapted_router", name)
    _, found = routing.run(words, asked, backbone, data, sample, params.runtime, precision, outs)
    ADAPTED_ROUTER_METRICS.write(gate.means(found, np.array(sample.domains)), router=name)


if __name__ == "__main__":
    stage.run(main)
