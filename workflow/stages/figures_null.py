"""Figures of selection bias: the oracle's gain taken apart, where it puts big layers, and which claims are left."""

from dataclasses import asdict

from duo.figures import base, null
from duo.tables.report import CORRECTED_CLAIMS
from duo.tables.studies import GAIN_CURVES, GAIN_HEAT_MAPS, GAIN_LAYERS, GAIN_STATISTICS
from workflow import stage
from workflow.params import load_params
from workflow.stages.headline import setting


def main() -> None:
    params = load_params()
    shown, settings, budgets = setting(), params.sampled_labels, params.figures.heat_maps
    used = {name: value for name, value in asdict(shown).items() if name != "random_routes"} | {
        "sampled_labels": settings.model_dump()
    }
    picture = null.decomposition(GAIN_CURVES.read(), GAIN_STATISTICS.read(), settings, shown)
    base.save(picture, "null", "figures_null", used, [GAIN_CURVES, GAIN_STATISTICS])

    picture = null.heat_maps(GAIN_HEAT_MAPS.read(), GAIN_LAYERS.read(), budgets, settings, shown)
    files = [GAIN_HEAT_MAPS, GAIN_LAYERS]
    base.save(picture, "null-heat-maps", "figures_null", used | {"heat_maps": budgets}, files)

    others = [
        model for model in params.skips.models if model not in params.route_losses.models
    ]  # trained otherwise, for C10
    survival = CORRECTED_CLAIMS.read()
    survival = survival.filter([model in (shown.model, *others) for model in survival["model"].to_pylist()])
    base.save(
        null.corrected_claims(survival, settings, shown),
        "corrected-claims",
        "figures_null",
        used | {"others": others},
        [CORRECTED_CLAIMS],
    )


if __name__ == "__main__":
    stage.run(main)
