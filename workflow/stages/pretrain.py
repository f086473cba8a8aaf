"""Stage 1: train the Duo model under random routes."""

import numpy as np

from duo import artifacts, config, model, pretrain, runtime, track
from workflow import stage


def main() -> None:
    params = config.load()
    runtime.prepare(params.runtime.device, params.runtime.threads)
    shape = model.Shape(**params.tokens.model_dump(), **params.model.model_dump())
    checkpoint = artifacts.CHECKPOINT.path(fingerprint=stage.fingerprint("pretrain"))
    train, validation = sequences("train"), sequences("validation")
    with track.live("pretrain") as live:
        duo, history = pretrain.train(shape, params.pretrain, params.runtime, params.seed, train, validation, checkpoint, live.log)
    with artifacts.atomic(artifacts.MODEL.path()) as temporary:
        model.save(duo, temporary)
    per_step = params.pretrain.batch * params.tokens.sequence
    steps, series, values = zip(*history, strict=True)
    artifacts.HISTORY.write({"step": steps, "tokens": np.array(steps) * per_step, "series": series, "value": values})
    last = {name: value for step, name, value in history if step == steps[-1]}
    artifacts.PRETRAIN_METRICS.write({"steps": steps[-1], "tokens": steps[-1] * per_step, **last})
    checkpoint.unlink(missing_ok=True)


def sequences(split: str) -> dict[str, np.ndarray]:
    """Packed rows [rows, sequence + 1] of a split by domain."""
    table = artifacts.PACKED.read()
    domains, splits = table["domain"].to_numpy(zero_copy_only=False), table["split"].to_numpy(zero_copy_only=False)
    tokens = artifacts.matrix(table["tokens"])
    return {str(domain): tokens[(domains == domain) & (splits == split)] for domain in dict.fromkeys(domains)}


if __name__ == "__main__":
    stage.run(main)
