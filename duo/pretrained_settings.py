"""What the groups of params.yaml hold that are about pretrained models; declarations and checks alone, as in
duo.settings.
"""

from collections.abc import Collection
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from duo.groups import Count, Group, Package, Several, require, require_tried
from duo.routes import how_many


class PretrainedWheel(Package):
    """A model in a wheel, one file in llama.cpp's format GGUF."""

    source: Literal["wheel"]
    member: Annotated[str, Field(pattern=r"\.gguf$")]
    licence: str
    attribution: str


class PretrainedDirectory(Group):
    """A model on this machine as transformers saves it, or one GGUF file in a directory."""

    source: Literal["directory"]
    path: str
    licence: str
    attribution: str


class PretrainedHub(Group):
    """A model of the Hugging Face hub; only its safetensors, tokenizer and configuration are taken."""

    source: Literal["hub"]
    name: Annotated[str, Field(pattern=r"^[\w.-]+/[\w.-]+@[\w.-]+$")]  # NAME@REVISION: what is pinned stays
    licence: str
    attribution: str


AnyPretrained = Annotated[PretrainedWheel | PretrainedDirectory | PretrainedHub, Field(discriminator="source")]


class PretrainedWindows(Group):
    """How much of every domain a pretrained model is evaluated on, in its own tokens, and calibrated on."""

    documents: Several
    validation_documents: Several
    tokens: Count


class TriedRoutes(Group):
    """Which routes of a pretrained model are tried; duo.routes.RouteSpace says what they are."""

    model: str
    scope: Literal["ffn", "layer"]
    choices: Annotated[list[Literal["big", "skip", "repeat", "small"]], Field(min_length=2)]
    blocks: Annotated[int, Field(ge=2, le=63)] | None = None
    departures: Count | None = None

    @model_validator(mode="after")
    def _space(self):
        require(len(set(self.choices)) == len(self.choices), "choices", self.choices, "must name each choice once")
        require("big" in self.choices, "choices", self.choices, "must hold big: the model as it is is the reference")
        bounded = self.blocks is not None or self.departures is not None
        require(bounded, "departures", "", "is missing: all routes of all layers are too many; or give blocks")
        if self.blocks is not None:
            require_tried("blocks", self.blocks, how_many(self.blocks, len(self.choices), self.departures))
        return self


class PretrainedRoutes(TriedRoutes):
    """The routes that are tried on a model's windows."""

    of: Literal["pretrained", "adapted"]  # the group of params that has the model; those of adapted have small FFNs too
    documents: Several | None = None  # the first of the windows in every domain, where not all

    @model_validator(mode="after")
    def _small(self):
        small = "small" in self.choices
        require(small <= (self.of == "adapted"), "choices", self.choices, "hold small: that needs of: adapted")
        require(small >= (self.of == "adapted"), "choices", self.choices, "hold no small: that needs of: pretrained")
        return self


def require_routes(params: Any, taken: Collection[str]) -> None:
    """ValueError where an entry of pretrained_routes is of no model, has one of these names, which models have that are
    trained here, or its windows are more than the evaluation set has.
    """
    asked = params.pretrained_windows
    for key, documents, whose, most in (
        ("documents", asked.documents, "evaluation_set.documents", params.evaluation_set.documents),
        (
            "validation_documents",
            asked.validation_documents,
            "policies.validation_documents",
            params.policies.validation_documents,
        ),
    ):
        require(documents <= most, f"pretrained_windows.{key}", documents, f"is above {whose} ({most})")
    for name, routes in params.pretrained_routes.items():
        known = list(getattr(params, routes.of))
        few = routes.documents is None or routes.documents <= asked.documents
        most = f"is above pretrained_windows.documents ({asked.documents})"
        require(few, f"pretrained_routes.{name}.documents", routes.documents, most)
        require(
            routes.model in known, f"pretrained_routes.{name}.model", routes.model, f"is none of {routes.of}: {known}"
        )
        remedy = "needs another name: a model that is trained here has this one"
        require(name not in taken, f"pretrained_routes.{name}", routes.model, remedy)
