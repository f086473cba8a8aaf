"""How luck, foreseeable gain and matched excess change along one line of the trend, with intervals."""

from duo.studies import trend
from duo.tables.trend import TREND_LOSSES
from duo.training import points
from workflow import stage, studies
from workflow.params import load_params


def main(factor: str) -> None:
    params = load_params()
    names = params.trend.lines[factor]
    whole = {name: points.whole(params.trend.points[name], params.pretrain, params.model) for name in names}
    places = {name: points.place(point, factor) for name, point in whole.items()}
    tables = {name: TREND_LOSSES.read(point=name) for name in names}
    studies.write(trend.gather(tables, factor, places), params.bootstrap, params.seed, factor=factor)


if __name__ == "__main__":
    stage.run(main)
