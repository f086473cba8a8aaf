"""Small, big or skip: the loss of some held-out tokens under every route, by budget; one domain."""

from duo import routes
from duo.data import evaluation_set
from duo.model import transformer
from duo.model.device import Device
from duo.oracle import three_way, tree
from duo.tables.oracle import THREE_WAY
from duo.tables.training import MODEL
from workflow import compute, stage
from workflow.params import load_params


def main(domain: str) -> None:
    params = load_params()
    compute.prepare(params.runtime)
    common = evaluation_set.read("test")
    sample = common.of(domain).truncate(params.three_way.documents, params.three_way.tokens)
    space = routes.RouteSpace(params.model.layers, three_way.CHOICES)
    name, where = params.three_way.model, Device.of(params.runtime, params.route_losses.precision)
    duo = transformer.load(MODEL.path(model=name), params.runtime.device)
    chunk, scope = params.route_losses.chunk, params.skips.scope
    enumerator = tree.Enumerator(duo, space, where, chunk, scope, most=routes.STREAMED)
    cells = three_way.enumerate_routes(enumerator, sample)
    with stage.advice(stage.DIVERGED):
        THREE_WAY.write(three_way.table(name, sample, cells), domain=domain)


if __name__ == "__main__":
    stage.run(main)
