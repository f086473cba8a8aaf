"""Figure 2, and the seeds side by side."""

from dataclasses import asdict

from duo.figures import base, oracle
from duo.tables.studies import ORACLE_HEAT_MAPS, ORACLE_LAYERS, ORACLE_STATISTICS
from workflow import stage
from workflow.params import load_params
from workflow.stages.headline import setting


def main() -> None:
    params = load_params()
    shown = setting()
    budgets = params.figures.heat_maps
    maps = oracle.heat_maps(ORACLE_HEAT_MAPS.read(), ORACLE_LAYERS.read(), budgets, shown)
    base.save(maps, "figure-2", "figures", asdict(shown) | {"heat_maps": budgets}, [ORACLE_HEAT_MAPS, ORACLE_LAYERS])
    side_by_side = oracle.seeds(ORACLE_STATISTICS.read(), shown)
    base.save(side_by_side, "figure-seeds", "figures", asdict(shown), [ORACLE_STATISTICS])


if __name__ == "__main__":
    stage.run(main)
