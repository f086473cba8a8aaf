"""A pretrained model as the subject of an experiment: its routes, as an entry of pretrained_routes in params says."""

from typing import NamedTuple

from duo.data import evaluation_set
from duo.data.evaluation_set import EvaluationSet
from duo.figures import pretrained as pretrained_figures
from duo.model import decoders, pretrained
from duo.model.device import Device
from duo.oracle.tree import Enumerator
from duo.pretrained_settings import PretrainedRoutes, PretrainedWindows
from duo.routes import RouteSpace
from duo.tables.data import OWN_WINDOWS
from duo.tables.pretrained import PRETRAINED
from workflow import stage


class Subject(NamedTuple):
    """What is tried, and on which windows."""

    enumerator: Enumerator
    test: EvaluationSet
    validation: EvaluationSet


def load(name: str, asked: PretrainedRoutes, where: Device, chunk: int) -> Subject:
    """The subject of this name. InputError where its routes don't fit its model."""
    model, _ = pretrained.load(str(PRETRAINED.path(model=asked.model)), f"pretrained.{asked.model}")
    decoder = decoders.routable(model.to(where.name), where)
    with stage.advice(f"pretrained_routes.{name} in params.yaml asks for it"):
        space = routes(asked, len(decoder.layers))
        enumerator = Enumerator(decoder, space, where, chunk, asked.scope)
    windows = (OWN_WINDOWS.read(model=asked.model, split=split) for split in ("test", "validation"))
    return Subject(enumerator, *map(evaluation_set.of_windows, windows))


def tried(
    name: str, asked: PretrainedRoutes, windows: PretrainedWindows, layers: int, confidence: float
) -> pretrained_figures.Tried:
    """What figures and pages say of the subject of this name, whose model has so many layers."""
    space = routes(asked, layers)
    return pretrained_figures.Tried(
        name,
        asked.model,
        layers,
        space.places,
        asked.scope,
        space.choices,
        space.departures is not None,
        tuple(budgets(space)),
        windows.documents,
        windows.tokens,
        confidence,
    )


def routes(asked: PretrainedRoutes, layers: int) -> RouteSpace:
    """The routes that are asked for, of a model of so many layers."""
    return RouteSpace(layers, tuple(asked.choices), asked.blocks, asked.departures)


def budgets(space: RouteSpace) -> list[int]:
    """All budgets of the space: numbers of big layers, or blocks, ascending."""
    fewest = 0 if space.departures is None else max(0, space.places - space.departures)
    return list(range(fewest, space.places + 1))
