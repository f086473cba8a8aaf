"""What the oracle gains on a pretrained model, and how much of that anybody could foresee; one entry of
pretrained_routes.
"""

from duo.oracle import select
from duo.studies import gain, joint, joint_gain, oracle_curves
from duo.tables import pretrained as tables
from duo.terms import ALL_BIG, SHARED
from workflow import stage, studies, subject
from workflow.params import load_params


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
    every = [*curves, *gains, *run_jointly, *foreseen]
    studies.write(every, params.bootstrap, params.seed, tables.STUDIED, routes=name)
    tables.STUDIED_SIZES.write(sizes, routes=name)


if __name__ == "__main__":
    stage.run(main)
