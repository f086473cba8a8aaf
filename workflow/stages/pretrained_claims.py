"""A verdict on the paper's claims on the oracle, of a pretrained model; one entry of pretrained_routes.

Claims on budgets say something of it where budgets are exact, and what is not big is of one kind, an FFN that is small
or left out.
"""

from duo.report import claims, judge
from duo.report.claim import SKIPPING, STUDIED
from duo.tables.pretrained import STUDIED_METRICS
from duo.tables.pretrained_claims import EVIDENCE, JUDGED
from duo.terms import BIG, OWN, SKIP, SMALL
from workflow import stage, subject
from workflow.params import load_params


def main(name: str) -> None:
    params = load_params()
    space = subject.routes(params.pretrained_routes[name], STUDIED_METRICS.read(routes=name)["layers"])
    alike = space.departures is None and set(space.choices) in ({SKIP, BIG}, {SMALL, BIG})
    concerned = alike and params.pretrained_routes[name].scope == "ffn"
    routes = params.oracle.random_routes
    asked = claims.of_any_model(space.places, subject.budgets(space), OWN, routes) if concerned else []
    statistics = {study: table.read(routes=name) for study, table in EVIDENCE.items()}
    models = {STUDIED: [name], SKIPPING: []}
    judged = judge.judge(asked, statistics, models, {name: "trained by others"}, params.bootstrap.confidence)
    JUDGED.write(judged, routes=name)


if __name__ == "__main__":
    stage.run(main)
