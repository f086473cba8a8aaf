"""Figure 4b without routers: the quickest way to the paper's main result."""

from dataclasses import asdict

from duo import artifacts, config
from duo.figures import base, oracle
from workflow import stage


def setting() -> base.Setting:
    """The params that every figure's caption states."""
    params = config.load()
    return base.Setting(
        model=params.enumerate.models[0],
        layers=params.model.layers,
        documents=params.enumerate.documents,
        tokens=params.enumerate.tokens,
        context=params.enumerate.context,
        random_routes=params.oracle.random_routes,
        confidence=params.evaluate.confidence,
    )


def main() -> None:
    shown = setting()
    picture = oracle.budget_curves(artifacts.CURVES.read(), shown)
    base.save(picture, "headline", "headline", asdict(shown), [artifacts.CURVES])


if __name__ == "__main__":
    stage.run(main)
