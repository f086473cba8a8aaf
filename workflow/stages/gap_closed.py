"""How much of what routers could gain they do gain, with intervals."""

import pyarrow as pa

from duo.studies import gap_closed
from duo.tables.oracle import SAMPLED_LABELS
from duo.tables.routers import BASELINE_ROUTES, BASELINE_SETTINGS, POLICY_ROUTES, POLICY_SETTINGS, ROUTED
from duo.tables.studies import GAP_CLOSED_CURVES, GAP_CLOSED_STATISTICS
from workflow import stage
from workflow.params import load_params


def main() -> None:
    params = load_params()
    model, objectives, settings = params.route_losses.models[0], params.policies.objectives, params.bootstrap
    routes = [POLICY_ROUTES.read(objective=objective) for objective in objectives] + [BASELINE_ROUTES.read()]
    chosen = [POLICY_SETTINGS.read(objective=objective) for objective in objectives] + [BASELINE_SETTINGS.read()]
    luck = pa.concat_tables([SAMPLED_LABELS.read(model=model, shard=shard) for shard in params.route_losses.shards])
    routed = {name: ROUTED.read(router=name) for name, one in params.routers.items() if one.model == model}
    curves, statistics = [], []
    for domain in gap_closed.gather(model, params.model.layers, routes, chosen, luck, params.routers, routed):
        found = domain.intervals(settings.resamples, settings.confidence, params.seed)
        curves.append(gap_closed.curves(domain, found))
        statistics.append(gap_closed.statistics(domain, found))
    GAP_CLOSED_CURVES.write(pa.concat_tables(curves))
    GAP_CLOSED_STATISTICS.write(pa.concat_tables(statistics))


if __name__ == "__main__":
    stage.run(main)
