"""A verdict on every claim of the paper, and the statistics of all studies in one table."""

from typing import Any

from duo.data.synthetic import NAME
from duo.report import claims, judge, numbers
from duo.report.claim import SKIPPING, STUDIED
from duo.settings import OneRouter
from duo.studies.scored_routers import shared
from duo.tables import fields
from duo.tables import studies as tables
from duo.tables.files import Table
from duo.tables.learning import LEARNING_STATISTICS
from duo.tables.report import CLAIM_METRICS, CLAIMS, HEADLINE, RUN_STATISTICS
from duo.terms import GREEDY, OWN, SHARED, SKIP, STACK
from duo.training import variants
from workflow import stage, studies
from workflow.params import Params, load_params


def scope(params: Params) -> claims.Scope:
    """What this experiment has."""
    sizes, ablation, groups = params.model, params.ablation, whose(params)
    compared = {name: params.models[name] for name in ablation.models}
    kinds = {name: variants.kind(variant, params.pretrain.p_big) for name, variant in compared.items()}
    widths = [variant.big or sizes.big for name, variant in compared.items() if kinds[name] == "dense"]
    trained = {0.0, 1.0, params.pretrain.p_big} <= set(ablation.p_big)
    skipping = [
        router for router in _routers(params).values() if SKIP in router.choices and router.model in groups[SKIPPING]
    ]
    return claims.Scope(
        layers=sizes.layers,
        budgets=params.oracle.budgets,
        random_routes=params.oracle.random_routes,
        greedy=params.joint.budgets if GREEDY in params.joint.contexts else [],
        shared=params.joint.budgets if SHARED in params.joint.contexts else [],
        chooser=_chooser(params),
        routers=_budgets(params),
        skipping_routers=all(
            any(variants.learns_from(router, domain) for router in skipping) for domain in params.corpus
        ),
        skips=any(model in groups[SKIPPING] for model in params.skips.models),
        dense=[variants.equal_chance(ablation.p_big, width, sizes.small, sizes.big) for width in widths],
        tasks=[*params.tasks],
        frozen="frozen" in kinds.values() and trained,
    )


def _chooser(params: Params) -> str:
    """The stack of all choosers, where the studied model has others beside itself."""
    of_seeds = set(alike(params, params.route_losses.models[0])) & set(params.route_losses.models)
    several = params.sampled_labels.teachers or (params.sampled_labels.others and len(of_seeds) > 1)
    return STACK if several else OWN


def _routers(params: Params) -> dict[str, OneRouter]:
    return {name: variants.mixed(router, params.pretrain) for name, router in params.routers.items()}


def _budgets(params: Params) -> list[float]:
    """Budgets of the studied model's routers that compare, in the domain that has fewest of them."""
    routers, model = _routers(params), params.route_losses.models[0]
    by_domain = [[routers[name].big for name in shared(routers, domain).get(model, [])] for domain in params.corpus]
    return min(by_domain, key=len)


def whose(params: Params) -> dict[str, list[str]]:
    """Models that claims are of, which differ by their seed alone: the studied one's, and those that saw skips."""
    skipped = [name for name in params.skips.models if saw_skips(params, name)]
    return {
        STUDIED: alike(params, params.route_losses.models[0]),
        SKIPPING: alike(params, skipped[0]) if skipped else [],
    }


def alike(params: Params, model: str) -> list[str]:
    """The models that differ from this one by their seed alone, itself included."""
    same = {name: variants.without_seed(variant) for name, variant in params.models.items()}
    return [name for name in same if same[name] == same[model]]


def saw_skips(params: Params, model: str) -> bool:
    """Whether a model was trained with skipped FFNs."""
    own = params.models[model].p_skip
    return (params.pretrain.p_skip if own is None else own) > 0


def main() -> None:
    params = load_params()
    of_statistics = [*(table for table in vars(tables).values() if is_of_statistics(table)), LEARNING_STATISTICS]
    every = {table: studies.whole(table) for table in of_statistics}
    statistics = {table: rows for table, rows in every.items() if rows is not None}
    seeds = {name: variant.seed for name, variant in params.models.items()} | {NAME: params.synthetic.seed}
    seeds |= {name: seeds[model] for name, model in params.recalibrated.items()}
    judged = judge.judge(claims.claims(scope(params)), statistics, whose(params), seeds, params.bootstrap.confidence)
    CLAIMS.write(judged)
    CLAIM_METRICS.write(judge.summary(judged))
    rows = {table: found.to_pylist() for table, found in statistics.items()}
    HEADLINE.write(numbers.headline(rows, params.route_losses.models[0]))
    RUN_STATISTICS.write(judge.of_the_run(statistics, seeds))


def is_of_statistics(table: Any) -> bool:
    """Whether it is a study's table of statistics."""
    return isinstance(table, Table) and table.schema == fields.STATISTICS


if __name__ == "__main__":
    stage.run(main)
