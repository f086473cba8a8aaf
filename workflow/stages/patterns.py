"""Figures of one sequence's choices, a figure for every list of routers in figures.patterns: 7, or 9 for an OPT."""

from duo.figures import base, patterns
from duo.tables.routers import ROUTED
from workflow import stage
from workflow.params import load_params


def main(name: str) -> None:
    params = load_params()
    routers = {router: params.routers[router] for router in params.figures.patterns[name]}
    routed = {router: ROUTED.read(router=router) for router in routers}
    picture = patterns.one_sequence(name, routers, routed, params.model.layers)
    used = {router: one.model_dump() for router, one in routers.items()} | {"layers": params.model.layers}
    base.save(picture, name, "patterns", used, [ROUTED.instance(router=router) for router in routers])


if __name__ == "__main__":
    stage.run(main)
