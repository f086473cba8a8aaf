"""Figures of one sequence's choices, a figure for every list of routers in figures.patterns: 7, or 9 for an OPT."""

from duo import artifacts, config
from duo.figures import base, patterns
from workflow import stage


def main(name: str) -> None:
    params = config.load()
    routers = {router: params.routers[router] for router in params.figures.patterns[name]}
    routed = {router: artifacts.ROUTED.read(router=router) for router in routers}
    picture = patterns.one_sequence(name, routers, routed, params.model.layers)
    used = {router: one.model_dump() for router, one in routers.items()} | {"layers": params.model.layers}
    base.save(picture, name, "patterns", used, [artifacts.ROUTED.instance(router=router) for router in routers])


if __name__ == "__main__":
    stage.run(main)
