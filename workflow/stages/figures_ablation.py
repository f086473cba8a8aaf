"""Figure 8: the ablations."""

from dataclasses import asdict

from duo.figures import ablation, base
from duo.tables.studies import ABLATION_CURVES
from workflow import stage
from workflow.params import load_params
from workflow.stages.headline import setting


def main() -> None:
    params = load_params()
    shown = setting()
    picture = ablation.chances(ABLATION_CURVES.read(), shown, params.ablation)
    base.save(picture, "figure-8", "figures_ablation", asdict(shown) | params.ablation.model_dump(), [ABLATION_CURVES])


if __name__ == "__main__":
    stage.run(main)
