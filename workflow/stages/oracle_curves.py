"""Curves, heat maps and headline numbers with their intervals, from all budgets."""

from duo.routes import RouteSpace
from duo.studies import oracle_curves
from duo.tables.oracle import ROUTE_SUMS, SELECTIONS, STRATEGY_SUMS
from duo.tables.studies import ORACLE_METRICS, ORACLE_STATISTICS, SEED_SPREAD
from duo.training import variants
from workflow import stage, studies
from workflow.params import load_params


def main() -> None:
    params = load_params()
    seeds = variants.as_trained(params.route_losses.models, params.recalibrated)
    budgets, kinds = params.oracle.budgets, (SELECTIONS, ROUTE_SUMS, STRATEGY_SUMS)
    tables = {budget: tuple(table.read(budget=budget) for table in kinds) for budget in budgets}
    gathered = oracle_curves.gather(tables, RouteSpace(params.model.layers))
    finished = studies.write(gathered, params.bootstrap, params.seed)
    by_seed = [(study, estimates) for study, estimates in finished if study.ids["model"] in seeds]
    rows = [row for study, estimates in by_seed for row in study.tables(estimates)[ORACLE_STATISTICS]]
    SEED_SPREAD.write(studies.as_table(SEED_SPREAD, oracle_curves.spread(rows)))
    metrics: dict[str, dict] = {}
    for study, estimates in finished:
        metrics.setdefault(study.ids["model"], {})[study.ids["domain"]] = study.headline(estimates)
    ORACLE_METRICS.write(metrics)


if __name__ == "__main__":
    stage.run(main)
