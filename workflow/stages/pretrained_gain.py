"""What the oracle gains on a pretrained model, and how much of that anybody could foresee; one entry of
pretrained_routes.
"""

from collections.abc import Iterable

from duo.oracle import select
from duo.stats import Intervals, Statistic, Study
from duo.studies import gain, joint, joint_gain, label_sets, oracle_curves
from duo.tables import pretrained as tables
from duo.tables.pretrained_claims import STUDIED
from duo.terms import ALL_BIG, MATCHED, ORACLE, OWN, SHARED, TRUE
from workflow import stage, studies, subject
from workflow.params import load_params

# Statistics by family, subject and labels, and what they are called among the metrics.
HEADLINE = {
    ("gain", ORACLE, TRUE): "gain",
    ("gain", ORACLE, MATCHED): "matched_gain",
    ("luck", OWN, TRUE): "luck",
    ("foreseeable", OWN, TRUE): "foreseen",
    ("joint_gain", ORACLE, TRUE): "joint_gain",
}


def main(name: str) -> None:
    params = load_params()
    found = tables.ROUTE_LOSSES.read(routes=name)
    sizes = tables.SIZES.read(routes=name)
    space = subject.routes(params.pretrained_routes[name], sizes["layers"])
    budgets, tries = subject.budgets(space), params.oracle.random_routes
    selected = {k: select.apply(name, found, space, k, tries, params.seed) for k in budgets}
    curves = oracle_curves.gather({k: (each.selections, each.route_sums) for k, each in selected.items()}, space)
    walked = (tables.CHOICES, tables.PREDICTIONS, tables.MATCHED_GAINS, tables.CELLS, tables.LABEL_SELECTIONS)
    walked = [table.read(routes=name) for table in walked]
    selections = {k: each.selections for k, each in selected.items()}
    gains = [gain.gather(each, ALL_BIG, *walked, selections) for each in curves]
    run_jointly = joint.gather({SHARED: tables.JOINT_LOSSES.read(routes=name)}, space.places)
    foreseen = joint_gain.gather(run_jointly, {SHARED: tables.JOINT_CHOICES.read(routes=name)})
    sets = label_sets.sets_of(selections, tables.LABEL_SELECTIONS.read(routes=name))
    every = [*curves, *gains, *run_jointly, *foreseen, *label_sets.depths(sets, space)]
    finished = studies.write(every, params.bootstrap, params.seed, STUDIED, routes=name)
    tables.STUDIED_METRICS.write(sizes | headline(finished, space.places), routes=name)


def headline(finished: Iterable[tuple[Study, Intervals]], places: int) -> dict[str, dict[str, dict[str, float]]]:
    """What runs are compared by: by domain and departures, the gain, what luck and foresight are of it, and what is
    left of it in one run.
    """
    numbers: dict[str, dict[str, dict[str, float]]] = {}
    for study, estimates in finished:
        for key, interval in estimates.items():
            known = isinstance(key, Statistic) and (key.family, key.subject, key.labels) in HEADLINE
            if known and key.budget < places:
                of_domain = numbers.setdefault(study.ids["domain"], {})
                named = of_domain.setdefault(f"departures_{places - int(key.budget)}", {})
                named[HEADLINE[key.family, key.subject, key.labels]] = interval.value
    return numbers


if __name__ == "__main__":
    stage.run(main)
