"""What the group `trend` of params.yaml holds; declarations and checks alone, as in duo.settings."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from duo.groups import (
    Count,
    Group,
    Inner,
    Layers,
    Many,
    Name,
    Names,
    Seed,
    Several,
    Vocabulary,
    Width,
    require,
    require_ascending,
)
from duo.terms import TREND_SHARE


class TrendPoint(Group):
    """One training of the trend over scale: its vocabulary, and what it changes in Pretrain and in Model."""

    vocabulary: Vocabulary
    tokens: Many | None = None
    width: Width | None = None
    heads: Count | None = None
    layers: Layers | None = None
    big: Inner | None = None
    small: Inner | None = None


class Trend(Group):
    """How gain and luck change with scale: models that differ in one thing at a time, on the same spans of text."""

    vocabularies: list[Vocabulary]
    seed: Seed
    points: dict[Name, TrendPoint]
    lines: dict[Literal["tokens", "width", "layers", "ratio", "vocabulary"], Annotated[Names, Field(min_length=2)]]
    teacher: str
    windows: Several
    shares: Annotated[list[Annotated[float, Field(gt=0, lt=1)]], Field(min_length=1)]

    @model_validator(mode="after")
    def _once(self):
        require_ascending(self, "vocabularies", "shares")
        require(TREND_SHARE in self.shares, "shares", self.shares, f"lack {TREND_SHARE}, which figures show")
        for factor, names in self.lines.items():
            require(len(set(names)) == len(names), f"lines.{factor}", names, "must name each once")
        return self
