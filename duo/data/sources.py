"""Where a domain's text comes from, as `corpus` in params.yaml says, and which values make sense together.

Declarations and checks alone, as in duo.settings; `duo.data.corpus` reads the text.
"""

from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from duo.data.splits import HELD_OUT, PACKED, SPLITS, globs, suffix_of
from duo.groups import Group, Many, Package, Several, Share, require

TEXTS = (".txt", ".md")  # suffixes of files that are text
BINARY = (".parquet", ".arrow")
ROWS = (".jsonl", ".json", ".csv", ".tsv", *BINARY)  # of files whose documents are fields of rows


class Wheel(Package):
    members: str
    field: str | None = None
    licence: str
    attribution: str
    split: Literal["train", "validation", "test", "routing"] | None = None


class Domain(Group):
    """Where a domain's text comes from and how it is split; `duo.data.corpus` reads it."""

    language: Literal["python"] | None = None
    validation: Share | None = None
    test: Share | None = None
    routing: Share | None = None
    limit: Many | None = None
    most_left_out: Share | None = None  # of what its source holds, as blank, repeated, or no text

    def _require_shares(self, given: Collection[str] = (), maybe: bool = False) -> None:
        """Every split but training has a share, or is one of those that the source has given, or maybe will."""
        shares = {key: share for key in HELD_OUT if (share := getattr(self, key)) is not None}
        missing = [] if maybe else [key for key in HELD_OUT if key not in shares and key not in given]
        require(not missing, ", ".join(missing), "", "must be given: which share of the documents falls to that split")
        for key, share in shares.items():
            require(key not in given, key, share, "has no effect, as the source gives this split; remove it")
            require(share > 0, key, share, "must be above 0; later stages need every split")
        total = sum(shares.values())
        require(total < 1, " + ".join(shares), total, "leaves nothing to train on")


class WheelDomain(Domain):
    source: Literal["wheel"]
    split_by: Literal["document", "package"] | None = None  # None: document
    wheels: Annotated[list[Wheel], Field(min_length=1)]

    @model_validator(mode="after")
    def _split(self):
        if self.split_by == "package":
            for key in HELD_OUT:
                value = getattr(self, key)
                require(value is None, key, value, "has no effect with split_by: package; remove it")
                remedy = f"no wheel has split: {key}; every split but train needs one"
                require(any(wheel.split == key for wheel in self.wheels), "wheels", "", remedy)
            every = all(wheel.split for wheel in self.wheels)
            require(every, "wheels", "", "every wheel needs a split with split_by: package")
        else:
            self._require_shares()
            none = not any(wheel.split for wheel in self.wheels)
            require(none, "wheels", "", "a split has no effect with split_by: document; remove it")
        return self


class FilesDomain(Domain):
    """The user's own text, in the folder of params own_text: globs of files that have a document each, or one a row."""

    source: Literal["files"]
    glob: Any  # a glob, a list of them, or of either one by split
    field: str | None = None  # that holds the text of a row
    split_field: str | None = None  # that names the row's split
    separator: Annotated[str, Field(min_length=1)] | None = None  # of the documents in a text file; None: it is one
    licence: str
    attribution: str

    @model_validator(mode="after")
    def _split(self):
        require_globs(self.glob)
        there = list(globs(self.glob))
        remedy = f"needs train, of which shares are taken, or all of {', '.join(HELD_OUT)}"
        require("train" in there or set(HELD_OUT) <= set(there), "glob", there, remedy)
        remedy = "says the splits, but so does glob; remove one"
        require(there == ["train"] or not self.split_field, "split_field", self.split_field, remedy)
        self._require_shares(given=there, maybe=self.split_field is not None)
        return self

    @model_validator(mode="after")
    def _format(self):
        suffixes = {suffix_of(glob) for each in globs(self.glob).values() for glob in each}
        rows, texts = suffixes & set(ROWS), suffixes & set(TEXTS)
        for key in ("field", "split_field"):
            value = getattr(self, key)
            require(bool(rows) or value is None, key, value, "has no effect on text files; remove it")
        remedy = f"is missing; it names the text in each row of a {'/'.join(ROWS)} file"
        require(not rows or self.field is not None, "field", "", remedy)
        remedy = "has no effect on files with rows; remove it"
        require(bool(texts) or self.separator is None, "separator", self.separator, remedy)
        remedy = "can't be had of text files, which have no fields"
        require(not texts or self.split_field is None, "split_field", self.split_field, remedy)
        return self


def require_globs(glob: Any) -> None:
    by_split = glob if isinstance(glob, dict) else {"train": glob}
    lists = [each if isinstance(each, list) else [each] for each in by_split.values()]
    right = bool(lists) and all(each and all(isinstance(one, str) for one in each) for each in lists)
    remedy = f"should be a glob, a list of globs, or either by split ({', '.join(SPLITS)})"
    require(right and set(by_split) <= set(SPLITS), "glob", glob, remedy)
    for one in (one for each in lists for one in each):
        inside = not Path(one).is_absolute() and ".." not in Path(one).parts
        require(inside, "glob", one, "must be relative to the folder of own_text, and stay in it")
        suffix = suffix_of(one)
        remedy = f"must end in {', '.join(TEXTS + ROWS)}, behind which {' or '.join(PACKED)} may stand"
        packed = one.endswith(PACKED) and suffix in BINARY
        require(suffix in TEXTS + ROWS and not packed, "glob", one, remedy)


class HuggingFaceDomain(Domain):
    """A data set of the Hugging Face hub, or a local directory in its layout, read as a stream."""

    source: Literal["huggingface"]
    path: str
    name: str | None = None
    revision: str | None = None
    subset: str | None = None  # None: train
    field: str
    limit: Many
    licence: str
    attribution: str

    @model_validator(mode="after")
    def _split(self):
        self._require_shares()
        return self


SOURCES = {"wheel": WheelDomain, "files": FilesDomain, "huggingface": HuggingFaceDomain}
AnyDomain = Annotated[WheelDomain | FilesDomain | HuggingFaceDomain, Field(discriminator="source")]


class TaskWheel(Package):
    """A task of multiple choice in a wheel, as one Arrow stream; `duo.data.questions` reads it by its layout."""

    member: str
    layout: Literal["arc", "hellaswag"]
    questions: Several
    licence: str
    attribution: str
