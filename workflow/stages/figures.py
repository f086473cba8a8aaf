"""Figure 2, the seeds side by side, and the training curves."""

from dataclasses import asdict

from duo import artifacts, config
from duo.figures import base, oracle
from workflow import stage
from workflow.stages.headline import setting


def main() -> None:
    params = config.load()
    shown = setting()
    budgets = params.figures.heat_maps
    maps = oracle.heat_maps(artifacts.HEAT_MAPS.read(), artifacts.LAYER_SHARES.read(), budgets, shown)
    base.save(maps, "figure-2", "figures", asdict(shown) | {"heat_maps": budgets}, [artifacts.HEAT_MAPS, artifacts.LAYER_SHARES])
    side_by_side = oracle.seeds(artifacts.CONTRASTS.read(), shown)
    base.save(side_by_side, "figure-seeds", "figures", asdict(shown), [artifacts.CONTRASTS])
    finals = {name: artifacts.PRETRAIN_METRICS.read(model=name) for name in params.models}
    curves = oracle.training(artifacts.HISTORY.read(model=shown.model), finals, shown)
    shown_files = [artifacts.HISTORY.instance(model=shown.model), *(artifacts.PRETRAIN_METRICS.instance(model=name) for name in finals)]
    base.save(curves, "training", "figures", {"model": shown.model}, shown_files)


if __name__ == "__main__":
    stage.run(main)
