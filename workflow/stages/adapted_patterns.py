"""Figures of one sequence's choices over pretrained models with small FFNs, a figure for every list of routers: 9."""

from duo.figures import base, patterns
from duo.tables.adapted import ADAPTED_METRICS, ADAPTED_ROUTED
from workflow import stage
from workflow.params import load_params


def main(name: str) -> None:
    params = load_params()
    routers = {router: params.adapted_routers[router] for router in params.figures.adapted_patterns[name]}
    (model,) = {router.model for router in routers.values()}
    layers = ADAPTED_METRICS.read(model=model)["layers"]
    base.save_all(patterns.pictures(name, routers, layers, ADAPTED_ROUTED), "adapted_patterns")


if __name__ == "__main__":
    stage.run(main)
