"""A verdict on every claim of the paper, and the statistics of all studies in one table."""

from typing import Any

from duo.data.synthetic import NAME
from duo.report import claims
from duo.routers.whole_budgets import comparable
from duo.tables import fields
from duo.tables import studies as tables
from duo.tables.files import Table
from duo.tables.report import CLAIM_METRICS, CLAIMS, RUN_STATISTICS
from duo.training import variants
from workflow import stage, studies
from workflow.params import Params, load_params


def scope(params: Params) -> claims.Scope:
    """What this experiment has."""
    sizes, ablation = params.model, params.ablation
    compared = {name: params.models[name] for name in ablation.models}
    kinds = {name: variants.kind(variant, params.pretrain.p_big) for name, variant in compared.items()}
    widths = [variant.big or sizes.big for name, variant in compared.items() if kinds[name] == "dense"]
    by_model = [
        {name: router for name, router in params.routers.items() if router.model == model}
        for model in params.route_losses.models
    ]
    return claims.Scope(
        layers=sizes.layers,
        budgets=params.oracle.budgets,
        routers=max(len(comparable(routers)) for routers in by_model),
        skipping=any("skip" in router.choices for router in params.routers.values()),
        dense=[variants.equal_chance(ablation.p_big, width, sizes.small, sizes.big) for width in widths],
        frozen="frozen" in kinds.values(),
    )


def main() -> None:
    params = load_params()
    every = {table: studies.whole(table) for table in vars(tables).values() if is_of_statistics(table)}
    statistics = {table: rows for table, rows in every.items() if rows is not None}
    same = {name: variants.without_seed(variant) for name, variant in params.models.items()}
    models = {
        name: claims.Trained(variant.seed, tuple(other for other in same if same[other] == same[name]))
        for name, variant in params.models.items()
    }
    verdicts = claims.judge(claims.claims(scope(params)), statistics, models)
    CLAIMS.write(verdicts)
    CLAIM_METRICS.write(claims.summary(verdicts))
    seeds = {name: variant.seed for name, variant in params.models.items()} | {NAME: params.synthetic.seed}
    RUN_STATISTICS.write(claims.of_the_run(statistics, seeds))


def is_of_statistics(table: Any) -> bool:
    """Whether it is a study's table of statistics."""
    return isinstance(table, Table) and table.schema == fields.STATISTICS


if __name__ == "__main__":
    stage.run(main)
