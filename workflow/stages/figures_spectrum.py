"""Figures of the oracle against independent noise, of the losses' spectrum, and of choices made for another seed's
model.
"""

from dataclasses import asdict

from duo.figures import base, spectrum
from duo.tables.studies import CROSS_SEED_MEANS, ORDER_STATISTICS, SHAPLEY, SPECTRUM, SPECTRUM_DISTANCES
from workflow import stage
from workflow.params import load_params
from workflow.stages.headline import setting


def main() -> None:
    params = load_params()
    shown = setting()
    used = {name: value for name, value in asdict(shown).items() if name != "random_routes"}
    picture = spectrum.order_statistics(ORDER_STATISTICS.read(), shown)
    base.save(picture, "order-statistics", "figures_spectrum", used, [ORDER_STATISTICS])

    tables = [SPECTRUM, SPECTRUM_DISTANCES, SHAPLEY]
    base.save(
        spectrum.spectrum(*(table.read() for table in tables), shown), "spectrum", "figures_spectrum", used, tables
    )

    models = params.route_losses.models
    picture = spectrum.cross_seed(CROSS_SEED_MEANS.read(), len(models), shown)
    base.save(picture, "cross-seed", "figures_spectrum", used | {"models": models}, [CROSS_SEED_MEANS])


if __name__ == "__main__":
    stage.run(main)
