"""Routers beside the oracle: curves, heat maps and the statistics of the claims."""

from duo.studies import router_curves
from duo.tables.oracle import ROUTE_SUMS, SELECTIONS
from duo.tables.routers import ROUTED
from duo.training import variants
from workflow import stage, studies
from workflow.params import load_params


def main() -> None:
    params = load_params()
    routed = {name: ROUTED.read(router=name) for name in params.routers}
    oracle = {k: (SELECTIONS.read(budget=k), ROUTE_SUMS.read(budget=k)) for k in params.oracle.budgets}
    routers = {name: variants.mixed(router, params.pretrain) for name, router in params.routers.items()}
    gathered = router_curves.gather(routers, routed, oracle, params.model.layers)
    studies.write(gathered, params.bootstrap, params.seed)


if __name__ == "__main__":
    stage.run(main)
