"""The page that shows all of it."""

import pyarrow as pa

from duo import artifacts, config, gain_artifacts, report
from workflow import stage


def main() -> None:
    params = config.load()
    contrasts = artifacts.CONTRASTS.read()
    gain = {"statistics": gain_artifacts.GAIN_STATISTICS, "curves": gain_artifacts.GAIN_CURVES}
    gain |= {"survival": gain_artifacts.SURVIVAL, "contexts": gain_artifacts.CONTEXT_CURVES}
    gain = {name: table.read() for name, table in gain.items()}
    html = report.render(
        params=params.model_dump(mode="json", exclude_none=True),
        verdicts=artifacts.CLAIMS.read(),
        metrics=artifacts.METRICS.read(),
        contrasts=contrasts,
        curves=artifacts.CURVES.read(),
        tables={
            "Routers, and the oracle on average over a sequence": artifacts.ROUTING_CURVES.read(),
            "Small, big or skip": artifacts.THREE_WAY_CURVES.read(),
            "Budgets that change along the sequence": artifacts.SCHEDULES.read(),
            "Loss and gap by kind of token": artifacts.DIFFICULTY_CLASSES.read(),
            "Ablations": artifacts.ABLATION_CURVES.read(),
            "Statistics of the oracle": contrasts,
            "Statistics of routes that skip": pa.concat_tables(artifacts.SKIP_STATISTICS.read(model=name) for name in params.skips.models),
            "Statistics of budgets along the sequence": artifacts.SCHEDULE_STATISTICS.read(),
            "Statistics of token difficulty": artifacts.DIFFICULTY_STATISTICS.read(),
            "Statistics of routers": artifacts.ROUTING_STATISTICS.read(),
            "Statistics of ablations": artifacts.ABLATION_STATISTICS.read(),
            "Spread over seeds of training": artifacts.SEEDS.read(),
            "The oracle's gain taken apart": gain["curves"],
            "The Gaussian prediction of the oracle, and the routes' effective number": gain_artifacts.ORDER_STATISTICS.read(),
            "Routes chosen on one seed of training, scored on another": gain_artifacts.CROSS_SEED_MEANS.read(),
            "The same, pair by pair": gain_artifacts.CROSS_SEED.read(),
            "Claimed and realised in every context": gain["contexts"],
            "Routers that learn from the exact losses, and baselines": gain_artifacts.POLICY_CURVES.read(),
            "Variance of the loss over routes by how many layers interact": gain_artifacts.SPECTRUM.read(),
            "The same of pairs of layers, by their distance": gain_artifacts.SPECTRUM_DISTANCES.read(),
            "Shapley values of the layers": gain_artifacts.SHAPLEY.read(),
            "The synthetic domain by kind and known difficulty": gain_artifacts.SYNTHETIC_CLASSES.read(),
            "Statistics of gain and luck": gain["statistics"],
            "Statistics of choices scored on other seeds or documents": gain_artifacts.CROSS_SEED_STATISTICS.read(),
            "Statistics of contexts": gain_artifacts.CONTEXT_STATISTICS.read(),
            "Statistics of these routers": gain_artifacts.POLICY_STATISTICS.read(),
            "Statistics of searches": gain_artifacts.SEARCH_STATISTICS.read(),
            "Statistics of additivity": gain_artifacts.SPECTRUM_STATISTICS.read(),
            "Statistics of the synthetic domain": gain_artifacts.SYNTHETIC_STATISTICS.read(),
        },
        figures=[report.embed(name) for name in report.figure_names(params.figures.patterns)],
        passages=artifacts.PASSAGES.read(),
        numbers={
            "Text and tokens": artifacts.TOKEN_METRICS.read(),
            "Training": {name: artifacts.PRETRAIN_METRICS.read(model=name) for name in params.models},
            "Routers, with what hard routing computes": {name: artifacts.ROUTER_METRICS.read(router=name) for name in params.routers},
            "Training of the synthetic domain's model": gain_artifacts.SYNTHETIC_METRICS.read(),
        },
        gain=gain,
    )
    report.write(html)


if __name__ == "__main__":
    stage.run(main)
