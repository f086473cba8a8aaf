"""Figure of the domain of known difficulty."""

from dataclasses import asdict, replace

from duo.data import synthetic
from duo.figures import base
from duo.figures import synthetic as figures
from duo.tables.studies import SYNTHETIC_CLASSES, SYNTHETIC_STATISTICS
from workflow import stage
from workflow.params import load_params
from workflow.stages.headline import setting


def main() -> None:
    params = load_params()
    budget, null = params.difficulty.budget, params.sampled_labels
    sample = {"documents": params.synthetic.documents, "tokens": params.tokens.sequence}
    shown = replace(setting(), model=synthetic.NAME, **sample)
    picture = figures.recovery(SYNTHETIC_CLASSES.read(), SYNTHETIC_STATISTICS.read(), budget, null, shown)
    used = {name: value for name, value in asdict(shown).items() if name != "random_routes"}
    used |= {
        "budget": budget,
        "reference": null.reference,
        "temperature": null.temperature,
        "samples": null.samples,
    }
    base.save(picture, "synthetic", "figures_synthetic", used, [SYNTHETIC_CLASSES, SYNTHETIC_STATISTICS])


if __name__ == "__main__":
    stage.run(main)
