"""What figures and pages say of an entry of pretrained_routes: what the stages share that draw and write them."""

from duo.figures.pretrained import Tried
from duo.pretrained_settings import PretrainedRoutes, PretrainedWindows
from duo.report import pretrained
from duo.report.pretrained import PretrainedPart
from duo.tables.pretrained import GAIN_STATISTICS, JOINT_STATISTICS, STUDIED_METRICS
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


def part(name: str, asked: PretrainedRoutes, windows: PretrainedWindows, confidence: float) -> PretrainedPart:
    """What pages say of the subject of this name, from its tables."""
    layers = STUDIED_METRICS.read(routes=name)["layers"]
    rows = [row for table in (GAIN_STATISTICS, JOINT_STATISTICS) for row in table.read(routes=name).to_pylist()]
    return pretrained.part(tried(name, asked, windows, layers, confidence), rows)
