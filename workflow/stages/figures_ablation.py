"""Figure 8: the ablations."""

from dataclasses import asdict

from duo import artifacts, config
from duo.figures import ablation, base
from workflow import stage
from workflow.stages.headline import setting


def main() -> None:
    params = config.load()
    shown = setting()
    picture = ablation.chances(artifacts.ABLATION_CURVES.read(), shown, params.ablation)
    base.save(picture, "figure-8", "figures_ablation", asdict(shown) | params.ablation.model_dump(), [artifacts.ABLATION_CURVES])


if __name__ == "__main__":
    stage.run(main)
