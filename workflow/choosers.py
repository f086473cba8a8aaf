"""The choosers of an enumerated model, as params name them: what the stages that calibrate and that use them share."""

from collections.abc import Sequence

from duo.model import transformer
from duo.model.device import Device
from duo.oracle import choosers
from duo.routes import RouteSpace
from duo.settings import SampledLabels
from duo.tables.training import MODEL


def members(
    model: str, layers: int, settings: SampledLabels, seeds: Sequence[str], where: Device
) -> dict[str, choosers.Predict]:
    """The predictions that the model's choosers are made of, by name.

    seeds: the other models, which differ from this one, or from what it is made of, by their seed alone.
    """
    space = RouteSpace(layers)

    def load(name: str) -> transformer.Duo:
        return transformer.load(MODEL.path(model=name), where.name)

    own = choosers.by_route(load(model), space, space.named(settings.reference), where)
    teachers = {name: load(name) for name in settings.teachers}
    others = [load(name) for name in seeds] if settings.others else []
    return choosers.members(own, teachers, others, where)
