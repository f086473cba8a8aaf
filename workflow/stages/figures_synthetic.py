"""Figure of the domain of known difficulty."""

from dataclasses import asdict, replace

from duo import config, gain_artifacts, synthetic
from duo.figures import base
from duo.figures import synthetic as figures
from workflow import stage
from workflow.stages.headline import setting


def main() -> None:
    params = config.load()
    budget, luck = params.difficulty.budget, params.luck
    sample = {"documents": params.synthetic.documents, "tokens": params.tokens.sequence, "context": "shared"}
    shown = replace(setting(), model=synthetic.NAME, **sample)
    picture = figures.recovery(gain_artifacts.SYNTHETIC_CLASSES.read(), gain_artifacts.SYNTHETIC_STATISTICS.read(), budget, luck, shown)
    used = {name: value for name, value in asdict(shown).items() if name != "random_routes"}
    used |= {"budget": budget, "labels": luck.labels, "temperature": luck.temperature, "draws": luck.draws}
    base.save(picture, "synthetic", "figures_synthetic", used, [gain_artifacts.SYNTHETIC_CLASSES, gain_artifacts.SYNTHETIC_STATISTICS])


if __name__ == "__main__":
    stage.run(main)
