"""Small, big or skip: the loss of some held-out tokens under every route, by budget; one domain."""

from duo import artifacts, config, enumerate, model, routes, runtime, samples, three_way
from workflow import stage


def main(domain: str) -> None:
    params = config.load()
    runtime.prepare(params.runtime.device, params.runtime.threads)
    common = samples.choose(artifacts.TEST_TOKENS.read(), params.enumerate.documents, params.enumerate.tokens, params.seed)
    sample = common.of(domain).beginning(params.three_way.documents, params.three_way.tokens)
    space = routes.RouteSpace(params.model.layers, routes.CHOICES)
    name, precision, rows = params.three_way.model, params.enumerate.precision, params.enumerate.rows
    duo = model.load(artifacts.MODEL.path(model=name), params.runtime.device)
    enumerator = enumerate.Enumerator(duo, space, params.runtime, precision, rows, params.skips.skip)
    cells = three_way.enumerate_routes(enumerator, sample)
    artifacts.THREE_WAY.write(three_way.table(name, sample, cells), domain=domain)


if __name__ == "__main__":
    stage.run(main)
