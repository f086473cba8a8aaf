"""Figures of the trend over scale, a figure for every list of factors in figures.trends."""

from duo.figures import base, trend
from workflow import stage
from workflow.params import load_params


def main(name: str) -> None:
    params = load_params()
    factors = params.figures.trends[name]
    base.save_all(trend.pictures(name, factors, params.trend, params.bootstrap.confidence), "figures_trend")


if __name__ == "__main__":
    stage.run(main)
