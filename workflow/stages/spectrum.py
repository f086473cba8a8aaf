"""Whether routing is additive, what a layer's big FFN is worth, and what independent routes would give the oracle."""

from duo.routes import RouteSpace
from duo.studies import spectrum
from duo.tables.oracle import ROUTE_LOSSES
from workflow import stage, studies
from workflow.params import load_params


def main() -> None:
    params = load_params()
    space, budgets, columns = (
        RouteSpace(params.model.layers),
        params.oracle.budgets,
        ["domain", "document", "cluster", "losses"],
    )
    gathered = []
    for model in params.route_losses.models:
        sums = {}
        for shard in params.route_losses.shards:  # one in memory at a time
            sums |= spectrum.document_sums(ROUTE_LOSSES.read(columns, model=model, shard=shard), space, budgets)
        gathered += spectrum.gather(model, sums, budgets)
    studies.write(gathered, params.bootstrap, params.seed)


if __name__ == "__main__":
    stage.run(main)
