"""The domain of known difficulty: what its tokens lose and gain, and whether that recovers how difficult they are."""

from duo import config, enumerate, gain_artifacts, model, recovery, routes, runtime, synthetic
from workflow import stage


def main() -> None:
    params = config.load()
    runtime.prepare(params.runtime.device, params.runtime.threads)
    sequences, sample = synthetic.held_out(params.synthetic.documents, params.tokens.sequence, params.synthetic.seed)
    duo = model.load(gain_artifacts.SYNTHETIC_MODEL.path(), params.runtime.device)
    space = routes.RouteSpace(params.model.layers)
    enumerator = enumerate.Enumerator(duo, space, params.runtime, params.enumerate.precision, params.enumerate.rows)
    table = recovery.measure(enumerator, sequences, sample, params.difficulty.budget, params.luck, params.seed)
    tokens = recovery.Recovery(table)
    found = tokens.intervals(params.evaluate.resamples, params.evaluate.confidence, params.seed)
    gain_artifacts.SYNTHETIC_TOKENS.write(table)
    gain_artifacts.SYNTHETIC_CLASSES.write(tokens.class_means(found))
    gain_artifacts.SYNTHETIC_STATISTICS.write(tokens.statistics(found))


if __name__ == "__main__":
    stage.run(main)
