"""The domain of known difficulty: what its tokens lose and gain, and whether that recovers how difficult they are."""

from duo import routes
from duo.data import synthetic
from duo.model import transformer
from duo.model.device import Device
from duo.oracle import choosers, difficulty, tree
from duo.studies.recovery import Recovery
from duo.tables.oracle import SYNTHETIC_TOKENS
from duo.tables.training import SYNTHETIC_MODEL
from workflow import compute, stage, studies
from workflow.params import load_params


def main() -> None:
    params = load_params()
    compute.prepare(params.runtime)
    size = params.synthetic.documents, params.tokens.sequence, params.synthetic.seed
    sequences, sample = synthetic.held_out(*size)
    duo = transformer.load(SYNTHETIC_MODEL.path(), params.runtime.device)
    space = routes.RouteSpace(params.model.layers)
    where = Device.of(params.runtime, params.route_losses.precision)
    enumerator = tree.Enumerator(duo, space, where, params.route_losses.chunk)
    reference = space.named(params.sampled_labels.reference)
    _, validation = synthetic.held_out(*size, "validation")
    chooser = choosers.alone(synthetic.NAME, choosers.by_route(duo, space, reference, where), validation)
    table = difficulty.measure(enumerator, sequences, sample, params.difficulty.budget, chooser)
    SYNTHETIC_TOKENS.write(table)
    studies.write([Recovery(table)], params.bootstrap, params.seed)


if __name__ == "__main__":
    stage.run(main)
