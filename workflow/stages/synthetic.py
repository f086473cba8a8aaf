"""The domain of known difficulty: what its tokens lose and gain, and whether that recovers how difficult they are."""

from duo import routes
from duo.data import synthetic
from duo.model import device, transformer
from duo.model.device import Device
from duo.oracle import tree
from duo.studies import recovery
from duo.tables.studies import SYNTHETIC_CLASSES, SYNTHETIC_STATISTICS, SYNTHETIC_TOKENS
from duo.tables.training import SYNTHETIC_MODEL
from workflow import stage
from workflow.params import load_params


def main() -> None:
    params = load_params()
    device.prepare(params.runtime.device, params.runtime.threads)
    sequences, sample = synthetic.held_out(params.synthetic.documents, params.tokens.sequence, params.synthetic.seed)
    duo = transformer.load(SYNTHETIC_MODEL.path(), params.runtime.device)
    space = routes.RouteSpace(params.model.layers)
    where = Device.of(params.runtime, params.route_losses.precision)
    enumerator = tree.Enumerator(duo, space, where, params.route_losses.chunk)
    table = recovery.measure(
        enumerator, sequences, sample, params.difficulty.budget, params.sampled_labels, params.seed
    )
    tokens = recovery.Recovery(table)
    found = tokens.intervals(params.bootstrap.resamples, params.bootstrap.confidence, params.seed)
    SYNTHETIC_TOKENS.write(table)
    SYNTHETIC_CLASSES.write(tokens.class_means(found))
    SYNTHETIC_STATISTICS.write(tokens.statistics(found))


if __name__ == "__main__":
    stage.run(main)
