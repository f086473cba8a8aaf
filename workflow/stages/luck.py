"""Losses of true labels, of labels that nothing could foresee, and of routes chosen without a label; one model, one shard of documents."""

from duo import artifacts, config, enumerate, gain_artifacts, luck, model, routes, runtime, samples, settings
from workflow import stage


def main(name: str, shard: str) -> None:
    params = config.load()
    runtime.prepare(params.runtime.device, params.runtime.threads)
    sample = samples.choose(artifacts.TEST_TOKENS.read(), params.enumerate.documents, params.enumerate.tokens, params.seed)
    mine = sample.take(slice(int(shard), None, len(params.enumerate.shards)))

    def load(names: list[str]) -> list[model.Duo]:
        return [model.load(artifacts.MODEL.path(model=each), params.runtime.device) for each in names]

    others = [other for other in params.enumerate.models if other != name]
    teachers = [load(others if teacher == settings.OTHERS else [teacher]) for teacher in params.luck.teachers]
    (duo,) = load([name])
    space = routes.RouteSpace(params.model.layers)
    enumerator = enumerate.Enumerator(duo, space, params.runtime, params.enumerate.precision, params.enumerate.rows)
    table = luck.run(name, enumerator, mine, teachers, params.luck, params.oracle.budgets, params.seed)
    gain_artifacts.LUCK_TOKENS.write(table, model=name, shard=shard)


if __name__ == "__main__":
    stage.run(main)
