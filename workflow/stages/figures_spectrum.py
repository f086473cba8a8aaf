"""Figures of the oracle against independent noise, of the losses' spectrum, and of choices made for another seed's model."""

from dataclasses import asdict

from duo import config, gain_artifacts
from duo.figures import base, spectrum
from workflow import stage
from workflow.stages.headline import setting


def main() -> None:
    params = config.load()
    shown = setting()
    used = {name: value for name, value in asdict(shown).items() if name != "random_routes"}
    picture = spectrum.order_statistics(gain_artifacts.ORDER_STATISTICS.read(), shown)
    base.save(picture, "order-statistics", "figures_spectrum", used, [gain_artifacts.ORDER_STATISTICS])

    tables = [gain_artifacts.SPECTRUM, gain_artifacts.SPECTRUM_DISTANCES, gain_artifacts.SHAPLEY]
    base.save(spectrum.spectrum(*(table.read() for table in tables), shown), "spectrum", "figures_spectrum", used, tables)

    models = params.enumerate.models
    picture = spectrum.cross_seed(gain_artifacts.CROSS_SEED_MEANS.read(), len(models), shown)
    base.save(picture, "cross-seed", "figures_spectrum", used | {"models": models}, [gain_artifacts.CROSS_SEED_MEANS])


if __name__ == "__main__":
    stage.run(main)
