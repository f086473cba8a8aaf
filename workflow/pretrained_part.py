"""What figures and pages say of the entries of pretrained_routes: what the stages share that draw and write them."""

from collections.abc import Iterable, Mapping

from duo.figures.pretrained import Tried
from duo.pretrained_settings import PretrainedRoutes, PretrainedWindows
from duo.report import content, pretrained
from duo.report.pretrained import PretrainedPart
from duo.tables.pretrained import GAIN_STATISTICS, JOINT_STATISTICS, STUDIED_METRICS
from duo.tables.pretrained_claims import JUDGED
from workflow.params import Params
from workflow.subject import budgets, routes


def tried(name: str, asked: PretrainedRoutes, windows: PretrainedWindows, layers: int, confidence: float) -> Tried:
    """What figures and pages say of the subject of this name, whose model has so many layers."""
    space = routes(asked, layers)
    return Tried(
        name,
        asked.model,
        layers,
        space.places,
        asked.scope,
        space.choices,
        space.departures is not None,
        tuple(budgets(space)),
        asked.documents or windows.documents,
        windows.tokens,
        confidence,
    )


def every(subjects: Mapping[str, PretrainedRoutes], windows: PretrainedWindows, confidence: float) -> list[Tried]:
    """The same of all subjects, whose layers are counted."""
    layers = {name: STUDIED_METRICS.read(routes=name)["layers"] for name in subjects}
    return [tried(name, asked, windows, layers[name], confidence) for name, asked in subjects.items()]


def figures(params: Params) -> list[str]:
    """Names of all figures of pretrained models, in order."""
    of_routes = figures_of_routes(params.pretrained_routes)
    return [*of_routes, *params.figures.answers, *params.figures.adapted_patterns]


def figures_of_routes(names: Iterable[str]) -> list[str]:
    """Names of the figures of some entries of pretrained_routes."""
    return [figure for name in names for figure in (name, f"{name}-places")]


def part(subject: Tried) -> PretrainedPart:
    """What pages say of a subject, from its tables."""
    tables = (GAIN_STATISTICS, JOINT_STATISTICS)
    rows = [row for table in tables for row in table.read(routes=subject.routes).to_pylist()]
    return pretrained.part(subject, rows, content.rows(JUDGED.read(routes=subject.routes)))
