"""What the oracle gains beyond luck, and which of the paper's claims on it are left; with intervals."""

from itertools import product

import pyarrow as pa

from duo.report import claims, corrected_claims
from duo.routes import RouteSpace
from duo.studies import gain, oracle_curves
from duo.tables.oracle import ROUTE_SUMS, SAMPLED_LABELS, SELECTIONS
from duo.tables.report import CORRECTED_CLAIMS
from duo.tables.studies import GAIN_CURVES, GAIN_HEAT_MAPS, GAIN_LAYERS, GAIN_STATISTICS, SKIP_STATISTICS
from workflow import stage
from workflow.params import load_params


def main() -> None:
    params = load_params()
    space, settings, budgets = RouteSpace(params.model.layers), params.bootstrap, params.oracle.budgets
    shards = product(params.route_losses.models, params.route_losses.shards)
    tokens = pa.concat_tables([SAMPLED_LABELS.read(model=model, shard=shard) for model, shard in shards])
    tables = {budget: (SELECTIONS.read(budget=budget), ROUTE_SUMS.read(budget=budget)) for budget in budgets}
    curves, statistics, heat_maps, layers = [], [], [], []
    for evaluated in oracle_curves.domains(tables, space):
        domain = gain.summarise(tokens, evaluated, space, params.sampled_labels, params.difficulty.budget)
        found = domain.intervals(settings.resamples, settings.confidence, params.seed)
        curves.append(gain.curves(domain, found))
        statistics.append(gain.statistics(domain, found))
        heat_maps.append(gain.heat_maps(domain))
        layers.append(gain.layer_shares(domain, found))
    skips = pa.concat_tables([SKIP_STATISTICS.read(model=model) for model in params.skips.models])
    scope = claims.Scope(
        space.layers, budgets, routers=0, skipping=False, dense=[], frozen=False
    )  # none of these is tested here
    GAIN_CURVES.write(pa.concat_tables(curves))
    GAIN_STATISTICS.write(pa.concat_tables(statistics))
    GAIN_HEAT_MAPS.write(pa.concat_tables(heat_maps))
    GAIN_LAYERS.write(pa.concat_tables(layers))
    CORRECTED_CLAIMS.write(corrected_claims.judge(claims.claims(scope), pa.concat_tables(statistics), skips))


if __name__ == "__main__":
    stage.run(main)
