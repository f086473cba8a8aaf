"""Figure 4b without routers: the quickest way to the paper's main result."""

from duo import scale
from duo.figures import base, oracle
from duo.tables.data import EVALUATION_SET_METRICS
from workflow import stage
from workflow.params import load_params


def setting() -> base.Setting:
    """What every figure's caption states."""
    params = load_params()
    return base.Setting(
        model=params.route_losses.models[0],
        layers=params.model.layers,
        parameters=scale.parameters(params.tokens, params.model),
        training_tokens=params.pretrain.tokens,
        documents=params.evaluation_set.documents,
        tokens=params.evaluation_set.tokens,
        random_routes=params.oracle.random_routes,
        confidence=params.bootstrap.confidence,
        bits_per_nat=scale.bits_per_nat(EVALUATION_SET_METRICS.read()["test"]),
    )


def main() -> None:
    base.save_all(oracle.headline(setting()), "headline")


if __name__ == "__main__":
    stage.run(main)
