"""The choosers of an enumerated model, as params name them: what the stages that calibrate and that use them share."""

from duo.model import transformer
from duo.model.device import Device
from duo.oracle import choosers
from duo.routes import RouteSpace
from duo.tables.training import MODEL
from duo.training import variants
from workflow.params import Params


def members(params: Params, model: str) -> dict[str, choosers.Predict]:
    """The predictions that the model's choosers are made of, by name."""
    where = Device.of(params.runtime, params.route_losses.precision)
    space = RouteSpace(params.model.layers)

    def load(name: str) -> transformer.Duo:
        return transformer.load(MODEL.path(model=name), params.runtime.device)

    own = choosers.by_route(load(model), space, space.named(params.sampled_labels.reference), where)
    teachers = {name: load(name) for name in params.sampled_labels.teachers}
    others = [load(name) for name in others_of(params, model)] if params.sampled_labels.others else []
    return choosers.members(own, teachers, others, where)


def others_of(params: Params, model: str) -> list[str]:
    """The other enumerated models that differ from this one by their seed alone."""
    same = variants.without_seed(params.models[model])
    names = [name for name in params.route_losses.models if name != model]
    return [name for name in names if variants.without_seed(params.models[name]) == same]
