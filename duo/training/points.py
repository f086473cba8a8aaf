"""The points of a trend over scale: what each is trained with, and where it stands on its line.

It takes settings alone, so that params, studies and pages can ask without loading a network.
"""

from pydantic import ValidationError

from duo.settings import Model, Pretrain, TrendPoint
from duo.terms import LAYERS, RATIO, TOKENS, VOCABULARY, WIDTH

_SIZES = ("width", "heads", "layers", "big", "small")
# The settings that a factor may change. The FFNs grow with the width, in the same ratio.
_CHANGED = {
    TOKENS: {"tokens"},
    WIDTH: {"width", "heads", "big", "small"},
    LAYERS: {"layers"},
    RATIO: {"big", "small"},
    VOCABULARY: {"vocabulary"},
}


def whole(point: TrendPoint, pretrain: Pretrain, model: Model) -> TrendPoint:
    """The point with every value: its own, or the experiment's where it has none."""
    defaults = {"tokens": pretrain.tokens} | {name: getattr(model, name) for name in _SIZES}
    return TrendPoint(**defaults | point.model_dump(exclude_none=True))


def shape(point: TrendPoint, model: Model) -> Model:
    """The sizes of a whole point's model. ValueError where they don't go together."""
    try:
        return Model(**{name: getattr(point, name) for name in _SIZES} | model.model_dump(include={"pretrained"}))
    except ValidationError as error:
        raise ValueError(str(error.errors()[0]["ctx"]["error"])) from None


def place(point: TrendPoint, factor: str) -> float:
    """Where a whole point stands on a line: its value of the factor."""
    return point.big / point.small if factor == RATIO else float(getattr(point, factor))


def rest(point: TrendPoint, factor: str) -> dict[str, float]:
    """What points of the same line have in common: all but what the factor may change in a whole point."""
    common = {name: value for name, value in point.model_dump().items() if name not in _CHANGED[factor]}
    return common | ({RATIO: place(point, RATIO)} if factor == WIDTH else {})


def budget(share: float, layers: int) -> int:
    """Big layers per token at this share of the layers, rounded."""
    return round(share * layers)
