"""The page that shows all of it."""

import pyarrow as pa

from duo import artifacts, config, report
from workflow import stage


def main() -> None:
    params = config.load()
    contrasts = artifacts.CONTRASTS.read()
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
        },
        figures=[report.embed(name) for name in report.figure_names(params.figures.patterns)],
        passages=artifacts.PASSAGES.read(),
        numbers={
            "Text and tokens": artifacts.TOKEN_METRICS.read(),
            "Training": {name: artifacts.PRETRAIN_METRICS.read(model=name) for name in params.models},
            "Routers, with what hard routing computes": {name: artifacts.ROUTER_METRICS.read(router=name) for name in params.routers},
        },
    )
    report.write(html)


if __name__ == "__main__":
    stage.run(main)
