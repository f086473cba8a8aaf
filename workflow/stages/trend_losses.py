"""What the oracle gains at one point of the trend, and how much of it is luck or foreseen, summed by cluster."""

from duo.model import transformer
from duo.model.device import Device
from duo.oracle import choosers, null, spans, tree
from duo.oracle.choosers import Choosers
from duo.routes import RouteSpace
from duo.settings import SampledLabels
from duo.tables.data import packed
from duo.tables.trend import SPANS, TREND_LOSSES, TREND_MODEL, TREND_PACKED
from duo.terms import ALL_BIG
from duo.training import points
from workflow import compute, stage
from workflow.params import load_params


def main(name: str) -> None:
    params = load_params()
    compute.prepare(params.runtime)
    point = points.whole(params.trend.points[name], params.pretrain, params.model)
    space, where = RouteSpace(point.layers), Device.of(params.runtime, params.route_losses.precision)
    duo, teacher = (
        transformer.load(TREND_MODEL.path(point=each), params.runtime.device) for each in (name, params.trend.teacher)
    )
    # Predictions over other tokens are no use here.
    judges = name != params.trend.teacher and len(teacher.outputs) == point.vocabulary
    own = choosers.by_route(duo, space, space.named(ALL_BIG), where)
    members = choosers.members(own, {params.trend.teacher: teacher} if judges else {}, [], where)
    table = TREND_PACKED.instance(vocabulary=point.vocabulary)
    validation = spans.of_rows(packed("validation", table), params.trend.windows)
    chooser = Choosers(choosers.calibrate(name, members, validation), members)
    budgets = {points.budget(share, point.layers): share for share in params.trend.shares}
    settings = SampledLabels(
        reference=ALL_BIG, samples=1, within=params.sampled_labels.within, teachers=[params.trend.teacher], others=False
    )
    enumerator = tree.Enumerator(duo, space, where, params.route_losses.chunk)
    found = SPANS.read(vocabulary=point.vocabulary)
    with stage.advice(stage.DIVERGED):
        tables = null.run(name, enumerator, spans.padded(found), chooser, settings, list(budgets), params.seed)
    sums = spans.sums(name, found, tables.choices, tables.predictions, tables.matched, budgets)
    TREND_LOSSES.write(sums, point=name)


if __name__ == "__main__":
    stage.run(main)
