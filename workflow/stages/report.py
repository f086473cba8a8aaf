"""The page that shows all of it."""

from duo import artifacts, config, report
from workflow import stage

FIGURES = ("figure-4b", "figure-4a", "figure-2", "training")


def main() -> None:
    params = config.load()
    html = report.render(
        params=params.model_dump(mode="json", exclude_none=True),
        metrics=artifacts.METRICS.read(),
        contrasts=artifacts.CONTRASTS.read(),
        curves=artifacts.CURVES.read(),
        figures=[report.embed(name) for name in FIGURES],
        tokens=artifacts.TOKEN_METRICS.read(),
        training=artifacts.PRETRAIN_METRICS.read(),
    )
    report.write(html)


if __name__ == "__main__":
    stage.run(main)
