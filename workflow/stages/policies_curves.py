"""How much of what routers could gain they do gain, with intervals."""

import pyarrow as pa

from duo import artifacts, attained, config, gain_artifacts
from workflow import stage


def main() -> None:
    params = config.load()
    model, objectives, settings = params.enumerate.models[0], params.policies.objectives, params.evaluate
    routes = [gain_artifacts.POLICY_ROUTES.read(objective=objective) for objective in objectives] + [gain_artifacts.BASELINE_ROUTES.read()]
    chosen = [gain_artifacts.POLICY_SETTINGS.read(objective=objective) for objective in objectives] + [
        gain_artifacts.BASELINE_SETTINGS.read()
    ]
    luck = pa.concat_tables([gain_artifacts.LUCK_TOKENS.read(model=model, shard=shard) for shard in params.enumerate.shards])
    routed = {name: artifacts.ROUTED.read(router=name) for name, one in params.routers.items() if one.model == model}
    curves, statistics = [], []
    for domain in attained.gather(model, params.model.layers, routes, chosen, luck, params.routers, routed):
        found = domain.intervals(settings.resamples, settings.confidence, params.seed)
        curves.append(attained.curves(domain, found))
        statistics.append(attained.statistics(domain, found))
    gain_artifacts.POLICY_CURVES.write(pa.concat_tables(curves))
    gain_artifacts.POLICY_STATISTICS.write(pa.concat_tables(statistics))


if __name__ == "__main__":
    stage.run(main)
