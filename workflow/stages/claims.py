"""A verdict on every claim of the paper, from the statistics of all other stages."""

from collections import Counter

import pyarrow as pa

from duo.report import claims
from duo.routes import is_whole
from duo.tables.report import CLAIM_METRICS, CLAIMS
from duo.tables.studies import SKIP_STATISTICS
from duo.terms import BIG, SMALL
from workflow import stage
from workflow.params import Params, load_params


def scope(params: Params) -> claims.Scope:
    """What this experiment has."""
    sizes, ablation = params.model, params.ablation
    compared = {name: params.models[name] for name in ablation.models}
    kinds = {name: variant.kind(params.pretrain.p_big) for name, variant in compared.items()}
    widths = [variant.big or sizes.big for name, variant in compared.items() if kinds[name] == "dense"]
    alike = [
        (router.model, str(router.mix))
        for router in params.routers.values()
        if set(router.choices) == {SMALL, BIG}
        and is_whole(router.choices, router.big)
        and router.model in params.route_losses.models
    ]
    return claims.Scope(
        layers=sizes.layers,
        budgets=params.oracle.budgets,
        routers=max(Counter(alike).values(), default=0),
        skipping=any("skip" in router.choices for router in params.routers.values()),
        dense=[ablation.chance(width, sizes.small, sizes.big) for width in widths],
        frozen="frozen" in kinds.values(),
    )


def main() -> None:
    params = load_params()
    statistics = {source: table.read() for source, table in claims.SOURCES.items() if source != "skips"}
    statistics["skips"] = pa.concat_tables(SKIP_STATISTICS.read(model=name) for name in params.skips.models)
    alike = {name: variant.but_seed() for name, variant in params.models.items()}
    models = {
        name: claims.Model(variant.seed, tuple(other for other in alike if alike[other] == alike[name]))
        for name, variant in params.models.items()
    }
    verdicts = claims.judge(claims.claims(scope(params)), statistics, models)
    CLAIMS.write(verdicts)
    CLAIM_METRICS.write(claims.summary(verdicts))


if __name__ == "__main__":
    stage.run(main)
