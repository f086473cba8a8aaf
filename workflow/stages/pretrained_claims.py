"""A verdict on the paper's claims on the oracle, of a pretrained model; one entry of pretrained_routes.

Where its routes are bounded by departures, budgets are bounds, and claims on budgets say nothing of it.
"""

from duo.report import claims, judge
from duo.report.claim import SKIPPING, STUDIED
from duo.tables import pretrained as tables
from duo.tables import studies
from duo.tables.pretrained_claims import EXCESS, JUDGED
from duo.terms import OWN
from workflow import stage, subject
from workflow.params import load_params

READ = (studies.ORACLE_STATISTICS, studies.GAIN_STATISTICS, studies.EXCESS_STATISTICS, studies.JOINT_STATISTICS)


def main(name: str) -> None:
    params = load_params()
    space = subject.routes(params.pretrained_routes[name], tables.STUDIED_METRICS.read(routes=name)["layers"])
    asked = claims.of_any_model(space.places, subject.budgets(space), OWN) if space.departures is None else []
    places = tables.STUDIED | {studies.EXCESS_STATISTICS: EXCESS}
    statistics = {table: places[table].read(routes=name) for table in READ}
    models = {STUDIED: [name], SKIPPING: []}
    judged = judge.judge(asked, statistics, models, {name: "trained by others"}, params.bootstrap.confidence)
    JUDGED.write(judged, routes=name)


if __name__ == "__main__":
    stage.run(main)
