"""What the models of an experiment are: trained as Duo is, or as one of those that it is compared with.

It takes settings alone, so that params, studies and pages can ask without loading a network.
"""

from collections.abc import Mapping, Sequence
from typing import TypeVar

from duo.adapted_settings import Adapted, Part
from duo.settings import OneRouter, Pretrain, Training, Variant

AnyTraining = TypeVar("AnyTraining", bound=Training)


def pretraining(variant: Variant, pretrain: Pretrain) -> Pretrain:
    """What this model is trained with: `pretrain` with its changes. big_first and big are for the caller to heed."""
    return Pretrain(**pretrain.model_dump() | variant.model_dump(include={"p_big", "p_skip"}, exclude_none=True))


def adapting(adapted: Adapted, part: Part, others: AnyTraining) -> AnyTraining:
    """What a part of the training beside a pretrained model is done with: the `others`, with what `adapted` changes."""
    changes = adapted.model_dump(include=type(others).model_fields.keys()) | part.model_dump()
    return type(others)(**others.model_dump() | changes)


def mixed(router: OneRouter, pretrain: Pretrain) -> OneRouter:
    """The router with the mix of domains that it is trained on: where it names none, that of `pretrain`."""
    return router.model_copy(update={"mix": router.mix or pretrain.mix})


def learns_from(router: OneRouter, domain: str) -> bool:
    """Whether a router, as `mixed` gives it, is trained on the domain; without a mix it is on equal shares of all."""
    return router.mix is None or bool(router.mix.get(domain))


def kind(variant: Variant, p_big: float) -> str:
    """dense: only ever one FFN trained; frozen: small FFNs added to frozen others; duo: both trained together.

    p_big: the chance of the big FFN of models that have none of their own.
    """
    if (p_big if variant.p_big is None else variant.p_big) == 1:
        return "dense"
    return "frozen" if variant.big_first else "duo"


def as_trained(models: Sequence[str], recalibrated: Mapping[str, str]) -> list[str]:
    """Those of route_losses.models that are not recalibrated: they differ by their seed alone."""
    return [name for name in models if name not in recalibrated]


def without_seed(variant: Variant) -> Variant:
    """The same for all models that differ by their seed alone."""
    return variant.model_copy(update={"seed": 0})


def equal_chance(chances: Sequence[float], width: int, small: int, big: int) -> float | None:
    """The chance of the big FFN at which Duo does the FLOPs of a dense model; None where it is none of `chances`.

    width: of the dense model's FFN; small, big: of Duo's, all inner widths.
    """
    return next((chance for chance in chances if abs(small + chance * (big - small) - width) < 1), None)
