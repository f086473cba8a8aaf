"""How much of the teacher-informed gap routers close, with intervals."""

import pyarrow as pa

from duo.studies import gap_closed
from duo.tables.oracle import CHOICES
from duo.tables.routers import BASELINE_ROUTES, BASELINE_SETTINGS, POLICY_ROUTES, POLICY_SETTINGS, ROUTED
from duo.tables.studies import GAP_CLOSED_METRICS
from workflow import stage, studies
from workflow.params import load_params


def main() -> None:
    params = load_params()
    model, routers, baselines = params.route_losses.models[0], params.policies.routers, params.policies.baselines
    routes = [POLICY_ROUTES.read(router=name) for name in routers]
    routes += [BASELINE_ROUTES.read(baseline=name) for name in baselines]
    settings = [POLICY_SETTINGS.read(router=name) for name in routers]
    settings += [BASELINE_SETTINGS.read(baseline=name) for name in baselines]
    shards = params.route_losses.shards
    choices = pa.concat_tables([CHOICES.read(model=model, shard=shard) for shard in shards])
    routed = {name: ROUTED.read(router=name) for name, router in params.routers.items() if router.model == model}
    teacher = params.sampled_labels.teachers[0]
    gathered = gap_closed.gather(model, params.model.layers, routes, settings, choices, teacher, params.routers, routed)
    finished = studies.write(gathered, params.bootstrap, params.seed)
    GAP_CLOSED_METRICS.write({study.ids["domain"]: study.headline(estimates) for study, estimates in finished})


if __name__ == "__main__":
    stage.run(main)
