"""Stage 3: train one router and score it on the held-out tokens."""

import numpy as np
import pyarrow as pa

from duo import artifacts, config, files, model, router, runtime, samples, track
from duo.seeds import stream
from workflow import stage


def main(name: str) -> None:
    params = config.load()
    runtime.prepare(params.runtime.device, params.runtime.threads)
    one, settings = params.routers[name], params.router
    backbone = model.load(artifacts.MODEL.path(model=one.model), params.runtime.device)
    checkpoint = artifacts.CHECKPOINT.path(fingerprint=stage.fingerprint("router", name))
    train, validation = artifacts.packed("train"), artifacts.packed("validation")
    seed = int(stream(params.seed, "router", name).integers(2**31))
    with track.live(f"router@{name}") as live:
        routed, history = router.train(
            backbone, one, params.skips.skip, settings, params.runtime, seed, train, validation, checkpoint, live.log
        )
    with files.atomic(artifacts.ROUTER.path(router=name)) as temporary:
        router.save(routed, temporary, settings.backbone == "trained")
    steps, series, values = zip(*history, strict=True)
    tokens = np.array(steps) * settings.batch * params.tokens.sequence
    artifacts.ROUTER_HISTORY.write({"step": steps, "tokens": tokens, "series": series, "value": values}, router=name)

    sample = samples.choose(artifacts.TEST_TOKENS.read(), params.enumerate.documents, params.enumerate.tokens, params.seed)
    found = router.score(routed, one, settings.temperature[1], sample.tokens, sample.labels, params.runtime, params.enumerate.precision)
    parts = [
        {"kind": [kind] * sample.labels.size} | sample.columns() | {key: each.ravel() for key, each in arrays.items()}
        for kind, arrays in found.items()
    ]
    artifacts.ROUTED.write(pa.concat_tables([pa.table(part) for part in parts]), router=name)
    artifacts.ROUTER_METRICS.write(router.summary(routed, found, np.array(sample.domains)), router=name)
    for left in checkpoint.parent.glob(f"{checkpoint.stem}*"):
        left.unlink()


if __name__ == "__main__":
    stage.run(main)
