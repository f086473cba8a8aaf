"""Figure 8: the ablations."""

from duo.figures import ablation, base
from workflow import stage
from workflow.params import load_params
from workflow.stages.headline import setting


def main() -> None:
    params = load_params()
    questions = {name: task.questions for name, task in params.tasks.items()}
    base.save_all(ablation.pictures(setting(), params.ablation, questions), "figures_ablation")


if __name__ == "__main__":
    stage.run(main)
