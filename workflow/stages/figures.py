"""Figure 2, the seeds side by side, and the training curves."""

from dataclasses import asdict

from duo.figures import base, oracle
from duo.tables.studies import ORACLE_HEAT_MAPS, ORACLE_LAYERS, ORACLE_STATISTICS
from duo.tables.training import HISTORY, PRETRAIN_METRICS
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
    finals = {name: PRETRAIN_METRICS.read(model=name) for name in params.models}
    curves = oracle.training(HISTORY.read(model=shown.model), finals, shown)
    shown_files = [HISTORY.instance(model=shown.model), *(PRETRAIN_METRICS.instance(model=name) for name in finals)]
    base.save(curves, "training", "figures", {"model": shown.model}, shown_files)


if __name__ == "__main__":
    stage.run(main)
