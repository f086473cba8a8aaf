"""The page that shows all of it."""

from duo import artifacts, config, report
from workflow import stage


def main() -> None:
    params = config.load()
    html = report.render(
        params=params.model_dump(mode="json", exclude_none=True),
        verdicts=artifacts.CLAIMS.read(),
        metrics=artifacts.METRICS.read(),
        contrasts=artifacts.CONTRASTS.read(),
        curves=artifacts.CURVES.read(),
        tables={
            "Differences and leans of the oracle": artifacts.CONTRASTS.read(),
            "Spread of these over seeds of training": artifacts.SEEDS.read(),
            "Budgets that change along the sequence": artifacts.SCHEDULES.read(),
            "Loss and gap by kind of token": artifacts.DIFFICULTY_CLASSES.read(),
            "Token difficulty": artifacts.DIFFICULTY_STATISTICS.read(),
        },
        figures=[report.embed(name) for name in report.figure_names(params.figures.patterns)],
        passages=artifacts.PASSAGES.read(),
        tokens=artifacts.TOKEN_METRICS.read(),
        training={name: artifacts.PRETRAIN_METRICS.read(model=name) for name in params.models},
    )
    report.write(html)


if __name__ == "__main__":
    stage.run(main)
