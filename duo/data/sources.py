"""Where a domain's text comes from, as `corpus` in params.yaml says, and which values make sense together.

Declarations and checks alone, as in duo.settings; `duo.data.corpus` reads the text.
"""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from duo.groups import Count, Group, Package, Several, Share, require


class Wheel(Package):
    members: str
    field: str | None = None
    licence: str
    attribution: str
    split: Literal["train", "validation", "test", "routing"] | None = None


class Domain(Group):
    """Where a domain's text comes from and how it is split; `duo.data.corpus` reads it."""

    language: Literal["python"] | None = None
    split_by: Literal["document", "package"] | None = None  # None: document
    validation: Share | None = None
    test: Share | None = None
    routing: Share | None = None
    limit: Count | None = None

    @model_validator(mode="after")
    def _split(self):
        wheels = getattr(self, "wheels", [])
        if self.split_by == "package":
            require(bool(wheels), "split_by", "package", "only wheels are packages; use split_by: document")
            for key in ("validation", "test", "routing"):
                value = getattr(self, key)
                require(value is None, key, value, "has no effect with split_by: package; remove it")
            for split in ("validation", "test", "routing"):  # without train no model trains on the domain
                there = any(wheel.split == split for wheel in wheels)
                require(there, "wheels", "", f"no wheel has split: {split}; every split but train needs one")
            every = all(wheel.split for wheel in wheels)
            require(every, "wheels", "", "every wheel needs a split with split_by: package")
        else:
            shares = {key: getattr(self, key) for key in ("validation", "test", "routing")}
            every = None not in shares.values()
            require(every, "validation, test, routing", "", "must be given with split_by: document")
            for key, value in shares.items():
                require(value > 0, key, value, "must be above 0; later stages need every split")
            total = sum(shares.values())
            require(total < 1, "validation + test + routing", total, "leaves nothing to train on")
            none = not any(wheel.split for wheel in wheels)
            require(none, "wheels", "", "a split has no effect with split_by: document; remove it")
        return self


class WheelDomain(Domain):
    source: Literal["wheel"]
    wheels: Annotated[list[Wheel], Field(min_length=1)]


class FilesDomain(Domain):
    """The user's own text: a glob of .txt (a document per file), .jsonl or .parquet (one per row, in `field`)."""

    source: Literal["files"]
    glob: str
    field: str | None = None
    licence: str
    attribution: str

    @model_validator(mode="after")
    def _format(self):
        suffix = Path(self.glob).suffix
        require(suffix in (".txt", ".jsonl", ".parquet"), "glob", self.glob, "must end in .txt, .jsonl or .parquet")
        plain, remedy = suffix == ".txt", f"is missing; it names the text in each row of a {suffix} file"
        require(not plain or self.field is None, "field", self.field, "has no effect on .txt files; remove it")
        require(plain or self.field is not None, "field", "", remedy)
        return self


class HuggingFaceDomain(Domain):
    """A data set of the Hugging Face hub, or a local directory in its layout, read as a stream."""

    source: Literal["huggingface"]
    path: str
    name: str | None = None
    revision: str | None = None
    subset: str | None = None  # None: train
    field: str
    limit: Count
    licence: str
    attribution: str


SOURCES = {"wheel": WheelDomain, "files": FilesDomain, "huggingface": HuggingFaceDomain}
AnyDomain = Annotated[WheelDomain | FilesDomain | HuggingFaceDomain, Field(discriminator="source")]


class TaskWheel(Package):
    """A task of multiple choice in a wheel, as one Arrow stream; `duo.data.questions` reads it by its layout."""

    member: str
    layout: Literal["arc", "hellaswag"]
    questions: Several
    licence: str
    attribution: str
