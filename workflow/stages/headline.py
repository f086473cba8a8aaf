"""Figure 4b alone: the quickest way to the paper's main result."""

from dataclasses import asdict

from duo import artifacts, config, figures
from workflow import stage


def main() -> None:
    params = config.load()
    setting = figures.Setting(
        layers=params.model.layers,
        documents=params.enumerate.documents,
        tokens=params.enumerate.tokens,
        context=params.enumerate.context,
        random_routes=params.oracle.random_routes,
        confidence=params.evaluate.confidence,
    )
    picture = figures.budget_curves(artifacts.CURVES.read(), setting)
    figures.save(picture, "figure-4b", "headline", asdict(setting), [artifacts.CURVES])


if __name__ == "__main__":
    stage.run(main)
