"""Figures of one sequence's choices, a figure for every list of routers in figures.patterns: 7, or 9 for an OPT."""

from duo.figures import base, patterns
from duo.tables.routers import ROUTED
from workflow import stage
from workflow.params import load_params


def main(name: str) -> None:
    params = load_params()
    routers = {router: params.routers[router] for router in params.figures.patterns[name]}
    base.save_all(patterns.pictures(name, routers, params.model.layers, ROUTED), "patterns")


if __name__ == "__main__":
    stage.run(main)
