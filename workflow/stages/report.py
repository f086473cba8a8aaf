"""The page that shows all of it."""

import pyarrow as pa

from duo.report import content, page
from duo.tables.data import TOKEN_METRICS
from duo.tables.report import CLAIMS, CORRECTED_CLAIMS
from duo.tables.routers import ROUTER_METRICS
from duo.tables.studies import (
    ABLATION_CURVES,
    ABLATION_STATISTICS,
    CROSS_SEED,
    CROSS_SEED_MEANS,
    CROSS_SEED_STATISTICS,
    DIFFICULTY_CLASSES,
    DIFFICULTY_STATISTICS,
    GAIN_CURVES,
    GAIN_STATISTICS,
    GAP_CLOSED_CURVES,
    GAP_CLOSED_STATISTICS,
    JOINT_CURVES,
    JOINT_STATISTICS,
    ORACLE_CURVES,
    ORACLE_METRICS,
    ORACLE_STATISTICS,
    ORDER_STATISTICS,
    PASSAGES,
    ROUTER_CURVES,
    ROUTER_STATISTICS,
    SCHEDULE_STATISTICS,
    SCHEDULES,
    SEARCH_STATISTICS,
    SEED_SPREAD,
    SHAPLEY,
    SKIP_STATISTICS,
    SPECTRUM,
    SPECTRUM_DISTANCES,
    SPECTRUM_STATISTICS,
    SYNTHETIC_CLASSES,
    SYNTHETIC_STATISTICS,
    THREE_WAY_CURVES,
)
from duo.tables.training import PRETRAIN_METRICS, SYNTHETIC_METRICS
from workflow import stage
from workflow.params import load_params


def main() -> None:
    params = load_params()
    statistics = ORACLE_STATISTICS.read()
    gain = {"statistics": GAIN_STATISTICS, "curves": GAIN_CURVES}
    gain |= {"corrected_claims": CORRECTED_CLAIMS, "joint": JOINT_CURVES}
    gain = {name: table.read() for name, table in gain.items()}
    html = page.render(
        params=params.model_dump(mode="json", exclude_none=True),
        verdicts=CLAIMS.read(),
        metrics=ORACLE_METRICS.read(),
        statistics=statistics,
        curves=ORACLE_CURVES.read(),
        tables={
            "Routers, and the oracle on average over a sequence": ROUTER_CURVES.read(),
            "Small, big or skip": THREE_WAY_CURVES.read(),
            "Budgets that change along the sequence": SCHEDULES.read(),
            "Loss and gap by kind of token": DIFFICULTY_CLASSES.read(),
            "Ablations": ABLATION_CURVES.read(),
            "Statistics of the oracle": statistics,
            "Statistics of routes that skip": pa.concat_tables(
                SKIP_STATISTICS.read(model=name) for name in params.skips.models
            ),
            "Statistics of budgets along the sequence": SCHEDULE_STATISTICS.read(),
            "Statistics of token difficulty": DIFFICULTY_STATISTICS.read(),
            "Statistics of routers": ROUTER_STATISTICS.read(),
            "Statistics of ablations": ABLATION_STATISTICS.read(),
            "Spread over seeds of training": SEED_SPREAD.read(),
            "The oracle's gain taken apart": gain["curves"],
            "The Gaussian prediction of the oracle, and the routes' effective number": ORDER_STATISTICS.read(),
            "Routes chosen on one seed of training, scored on another": CROSS_SEED_MEANS.read(),
            "The same, pair by pair": CROSS_SEED.read(),
            "Isolated and joint in every context": gain["joint"],
            "Routers that learn from the exact losses, and baselines": GAP_CLOSED_CURVES.read(),
            "Variance of the loss over routes by how many layers interact": SPECTRUM.read(),
            "The same of pairs of layers, by their distance": SPECTRUM_DISTANCES.read(),
            "Shapley values of the layers": SHAPLEY.read(),
            "The synthetic domain by kind and known difficulty": SYNTHETIC_CLASSES.read(),
            "Statistics of the gain and its selection bias": gain["statistics"],
            "Statistics of choices scored on other seeds or documents": CROSS_SEED_STATISTICS.read(),
            "Statistics of isolated and joint losses": JOINT_STATISTICS.read(),
            "Statistics of these routers": GAP_CLOSED_STATISTICS.read(),
            "Statistics of searches": SEARCH_STATISTICS.read(),
            "Statistics of additivity": SPECTRUM_STATISTICS.read(),
            "Statistics of the synthetic domain": SYNTHETIC_STATISTICS.read(),
        },
        figures=[content.embed(name) for name in content.figure_names(params.figures.patterns)],
        passages=PASSAGES.read(),
        numbers={
            "Text and tokens": TOKEN_METRICS.read(),
            "Training": {name: PRETRAIN_METRICS.read(model=name) for name in params.models},
            "Routers, with what hard routing computes": {
                name: ROUTER_METRICS.read(router=name) for name in params.routers
            },
            "Training of the synthetic domain's model": SYNTHETIC_METRICS.read(),
        },
        gain=gain,
    )
    page.write(html)


if __name__ == "__main__":
    stage.run(main)
