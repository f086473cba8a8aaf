"""Figure 8: the ablations."""

from duo.figures import ablation, base
from workflow import stage
from workflow.params import load_params
from workflow.stages.headline import setting


def main() -> None:
    params = load_params()
    base.save_all(ablation.pictures(setting(), params.ablation), "figures_ablation")


if __name__ == "__main__":
    stage.run(main)
