"""What the oracle gains beyond selection bias, and which of the paper's claims on it are left; with intervals."""

from itertools import product

import pyarrow as pa

from duo.report import claims, corrected_claims
from duo.routes import RouteSpace
from duo.studies import gain, oracle_curves
from duo.tables.oracle import ROUTE_SUMS, SAMPLED_LABELS, SELECTIONS
from duo.tables.report import CORRECTED_CLAIMS
from duo.tables.studies import GAIN_STATISTICS, SKIP_STATISTICS
from workflow import stage, studies
from workflow.params import load_params


def main() -> None:
    params = load_params()
    space, budgets, settings = RouteSpace(params.model.layers), params.oracle.budgets, params.sampled_labels
    shards = product(params.route_losses.models, params.route_losses.shards)
    tokens = pa.concat_tables([SAMPLED_LABELS.read(model=model, shard=shard) for model, shard in shards])
    tables = {k: (SELECTIONS.read(budget=k), ROUTE_SUMS.read(budget=k)) for k in budgets}
    gains = [
        gain.gather(tokens, curves, space, settings, params.difficulty.budget)
        for curves in oracle_curves.gather(tables, space)
    ]
    studies.write(gains, params.bootstrap, params.seed)
    skips = pa.concat_tables([SKIP_STATISTICS.read(model=model) for model in params.skips.models])
    # None of the claims on routers and dense models is tested here.
    scope = claims.Scope(space.layers, budgets, routers=0, skipping=False, dense=[], frozen=False)
    CORRECTED_CLAIMS.write(corrected_claims.judge(claims.claims(scope), GAIN_STATISTICS.read(), skips))


if __name__ == "__main__":
    stage.run(main)
