"""Figure 4b without routers: the quickest way to the paper's main result."""

from duo.figures import base, oracle
from workflow import stage
from workflow.params import load_params


def setting() -> base.Setting:
    """The params that every figure's caption states."""
    params = load_params()
    return base.Setting(
        model=params.route_losses.models[0],
        layers=params.model.layers,
        documents=params.evaluation_set.documents,
        tokens=params.evaluation_set.tokens,
        random_routes=params.oracle.random_routes,
        confidence=params.bootstrap.confidence,
    )


def main() -> None:
    base.save_all(oracle.headline(setting()), "headline")


if __name__ == "__main__":
    stage.run(main)
