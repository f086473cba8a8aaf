"""Which statistics of the oracle's choices are more than luck: the same studies on labels that the model could have
drawn.
"""

from itertools import product

import pyarrow as pa

from duo.routes import RouteSpace
from duo.studies import label_sets
from duo.tables.oracle import LABEL_SELECTIONS, SELECTIONS
from duo.tables.studies import DIFFICULTY
from workflow import stage, studies
from workflow.params import load_params


def main() -> None:
    params = load_params()
    true = {budget: SELECTIONS.read(budget=budget) for budget in params.oracle.budgets}
    shards = product(params.route_losses.models, params.route_losses.shards)
    others = pa.concat_tables([LABEL_SELECTIONS.read(model=model, shard=shard) for model, shard in shards])
    sets, space = label_sets.sets_of(true, others), RouteSpace(params.model.layers)
    gathered = label_sets.gather(sets, DIFFICULTY.read(), space, params.schedules, params.difficulty.budget)
    studies.write(gathered, params.bootstrap, params.seed)


if __name__ == "__main__":
    stage.run(main)
