"""The page that shows all of it."""

from duo import scale
from duo.report import content, page
from duo.tables.data import CORPUS_METRICS, EVALUATION_SET_METRICS, TOKEN_METRICS
from duo.tables.learning import LEARNING_STATISTICS
from duo.tables.report import CLAIMS, FIGURE
from duo.tables.routers import ROUTER_METRICS
from duo.tables.studies import (
    GAIN_CURVES,
    GAIN_STATISTICS,
    JOINT_CURVES,
    JOINT_STATISTICS,
    ORACLE_CURVES,
    ORACLE_METRICS,
    ORACLE_STATISTICS,
    PASSAGES,
)
from duo.tables.training import PRETRAIN_METRICS, SYNTHETIC_METRICS
from workflow import instance, pretrained_part, stage, studies
from workflow.params import load_params


def main() -> None:
    params = load_params()
    tables = {title: studies.whole(table) for table, title in content.study_tables().items()}
    drawn = dict.fromkeys(keys["name"] for keys in instance.made(FIGURE.template))
    gain = {"statistics": GAIN_STATISTICS, "curves": GAIN_CURVES, "joint": JOINT_CURVES}
    gain |= {"joint_statistics": JOINT_STATISTICS, "learning": LEARNING_STATISTICS}
    gain = {name: table.read() for name, table in gain.items()}
    html = page.render(
        params=params.model_dump(mode="json", exclude_none=True),
        verdicts=CLAIMS.read(),
        metrics=ORACLE_METRICS.read(),
        statistics=ORACLE_STATISTICS.read(),
        curves=ORACLE_CURVES.read(),
        tables={title: table for title, table in tables.items() if table is not None},
        figures=[content.embed(name) for name in content.figure_names(params.figures.patterns, drawn)],
        passages=PASSAGES.read(),
        numbers={
            "Text as it was read": {domain: CORPUS_METRICS.read(domain=domain) for domain in params.corpus},
            "Text and tokens": TOKEN_METRICS.read(),
            "Training": {name: PRETRAIN_METRICS.read(model=name) for name in params.models},
            "Routers, with what hard routing computes": {
                name: ROUTER_METRICS.read(router=name) for name in params.routers
            },
            "Training of the synthetic domain's model": SYNTHETIC_METRICS.read(),
        },
        gain=gain,
        pretrained=[
            pretrained_part.part(subject)
            for subject in pretrained_part.every(
                params.pretrained_routes, params.pretrained_windows, params.bootstrap.confidence
            )
        ],
        parameters=scale.parameters(params.tokens, params.model),
        evaluation=EVALUATION_SET_METRICS.read()["test"],
    )
    page.write(html)


if __name__ == "__main__":
    stage.run(main)
