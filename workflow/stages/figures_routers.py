"""Figures 3, 4a and 4b: routers, alone and beside the oracle."""

from dataclasses import asdict

import pyarrow as pa
import pyarrow.compute as pc

from duo.figures import base, oracle, routers
from duo.routers.whole_budgets import comparable
from duo.studies import router_curves
from duo.tables.studies import ORACLE_CURVES, ROUTER_CURVES, ROUTER_HEAT_MAPS
from duo.terms import BIG, SKIP
from workflow import stage
from workflow.params import load_params
from workflow.stages.headline import setting


def main() -> None:
    params = load_params()
    shown, layers = setting(), params.model.layers
    of_model = {name: router for name, router in params.routers.items() if router.model == shown.model}
    whole = comparable(of_model)
    budgets = params.figures.heat_maps
    columns = [routers.Shown(name, BIG, of_model[name].big) for name in whole if of_model[name].big in budgets]
    for name, router in params.routers.items():
        if SKIP in router.choices:
            columns.append(routers.Shown(name, SKIP, router.skip or layers - router.big))
    columns = columns or [routers.Shown(name, BIG, router.big) for name, router in params.routers.items()]
    used = asdict(shown) | {"heat_maps": budgets, "routers": [column._asdict() for column in columns]}
    maps = routers.heat_maps(ROUTER_HEAT_MAPS.read(), columns, shown)
    base.save(maps, "figure-3", "figures_routers", used, [ROUTER_HEAT_MAPS])

    curves, routed = ORACLE_CURVES.read(), base.of(ROUTER_CURVES.read(), model=shown.model)
    routed = routed.filter(pc.is_in(routed["router"], pa.array([*whole, router_curves.ORACLE])))
    inputs, used = [ORACLE_CURVES, ROUTER_CURVES], asdict(shown) | {"routers": whole}
    base.save(oracle.oracle_against_random(curves, routed, shown), "figure-4a", "figures_routers", used, inputs)
    base.save(oracle.budget_curves(curves, shown, routed), "figure-4b", "figures_routers", used, inputs)


if __name__ == "__main__":
    stage.run(main)
