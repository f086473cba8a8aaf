"""Stage 3: train one router and score it on the held-out tokens."""

import numpy as np

from duo.data import evaluation_set
from duo.model import transformer
from duo.routers import gate
from duo.tables.data import packed
from duo.tables.routers import ROUTED, ROUTER, ROUTER_HISTORY, ROUTER_METRICS
from duo.tables.training import MODEL
from duo.training import variants
from workflow import compute, routing, stage
from workflow.params import load_params


def main(name: str) -> None:
    params = load_params()
    compute.prepare(params.runtime)
    one, sample = variants.mixed(params.routers[name], params.pretrain), evaluation_set.read("test")
    backbone = transformer.load(MODEL.path(model=one.model), params.runtime.device)
    data = {split: packed(split) for split in ("train", "validation")}
    outs = routing.RouterOuts(*(file.instance(router=name) for file in (ROUTER, ROUTER_HISTORY, ROUTED)))
    asked, precision = routing.Asked(one, params.router, params.skips.scope, params.seed), params.route_losses.precision
    routed, found = routing.run(("router", name), asked, backbone, data, sample, params.runtime, precision, outs)
    ROUTER_METRICS.write(gate.summary(routed, found, np.array(sample.domains)), router=name)


if __name__ == "__main__":
    stage.run(main)
