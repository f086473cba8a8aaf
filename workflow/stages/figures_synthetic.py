"""Figure of the domain of known difficulty."""

from duo.figures import base, synthetic
from workflow import stage
from workflow.params import load_params
from workflow.stages.headline import setting


def main() -> None:
    params = load_params()
    sample = params.synthetic.documents, params.tokens.sequence
    base.save_all(
        synthetic.pictures(setting(), *sample, params.difficulty.budget, params.sampled_labels), "figures_synthetic"
    )


if __name__ == "__main__":
    stage.run(main)
