"""How the gain of the best of m random routes grows with m, and what of the oracle's gain doesn't grow."""

from duo.routes import RouteSpace
from duo.studies import extrapolation
from duo.tables.oracle import ROUTE_LOSSES
from workflow import stage, studies
from workflow.params import load_params


def main() -> None:
    params = load_params()
    layers, budgets, columns = params.model.layers, params.oracle.budgets, ["domain", "document", "cluster", "losses"]
    space = RouteSpace(layers)
    gathered = []
    for model in params.route_losses.models:
        sums = {}
        for shard in params.route_losses.shards:  # one in memory at a time
            sums |= extrapolation.document_sums(ROUTE_LOSSES.read(columns, model=model, shard=shard), space, budgets)
        gathered += extrapolation.gather(model, layers, sums)
    studies.write(gathered, params.bootstrap, params.seed)


if __name__ == "__main__":
    stage.run(main)
