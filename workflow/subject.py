"""Which routes of a pretrained model are tried, as an entry of pretrained_routes in params says."""

from duo.pretrained_settings import TriedRoutes
from duo.routes import RouteSpace


def routes(asked: TriedRoutes, layers: int) -> RouteSpace:
    """The routes that are asked for, of a model of so many layers."""
    return RouteSpace(layers, tuple(asked.choices), asked.blocks, asked.departures)


def budgets(space: RouteSpace) -> list[int]:
    """All budgets of the space: numbers of big layers, or blocks, ascending."""
    fewest = 0 if space.departures is None else max(0, space.places - space.departures)
    return list(range(fewest, space.places + 1))
