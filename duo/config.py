"""params.yaml as a frozen, typed object; anything wrong in it is one error that names the key, the value and the remedy.

`load()` checks the whole file, also where its groups must agree, whichever part the caller wants. The file is read with
the parser that DVC reads it with (YAML 1.2), so both see the same values.
"""

import difflib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from ruamel.yaml import YAML, YAMLError

from duo.errors import InputError

Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1)]
Positive = Annotated[float, Field(gt=0)]


class Group(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Runtime(Group):
    device: Literal["cpu", "cuda"]
    threads: Count
    compile: bool


class Wheel(Group):
    # Patterns keep pip from taking them for options, and the cache's file names inside the cache.
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    version: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9.!+_-]*$")]
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    members: str
    field: str | None = None
    licence: str
    attribution: str
    split: Literal["train", "validation", "test"] | None = None


class Domain(Group):
    """Where a domain's text comes from and how it is split; `duo.corpus` reads it."""

    split_by: Literal["document", "package"] = "document"
    validation: Share | None = None
    test: Share | None = None
    limit: Count | None = None

    @model_validator(mode="after")
    def _split(self):
        wheels = getattr(self, "wheels", [])
        if self.split_by == "package":
            _require(bool(wheels), "split_by", "package", "only wheels are packages; use split_by: document")
            for key in ("validation", "test"):
                _require(getattr(self, key) is None, key, getattr(self, key), "has no effect with split_by: package; remove it")
            for split in ("train", "validation", "test"):
                found = any(wheel.split == split for wheel in wheels)
                _require(found, "wheels", "", f"no wheel has split: {split}; every split needs one")
            _require(all(wheel.split for wheel in wheels), "wheels", "", "every wheel needs a split with split_by: package")
        else:
            _require(self.validation is not None and self.test is not None, "validation, test", "", "must be given with split_by: document")
            for key in ("validation", "test"):
                _require(getattr(self, key) > 0, key, getattr(self, key), "must be above 0; later stages need every split")
            _require(self.validation + self.test < 1, "validation + test", self.validation + self.test, "leaves nothing to train on")
            _require(not any(wheel.split for wheel in wheels), "wheels", "", "a split has no effect with split_by: document; remove it")
        return self


class WheelDomain(Domain):
    source: Literal["wheel"]
    wheels: Annotated[list[Wheel], Field(min_length=1)]


class FilesDomain(Domain):
    """The user's own text: a glob of .txt (one document a file), .jsonl or .parquet (one a row, `field` holds it)."""

    source: Literal["files"]
    glob: str
    field: str | None = None
    licence: str
    attribution: str

    @model_validator(mode="after")
    def _format(self):
        suffix = Path(self.glob).suffix
        _require(suffix in (".txt", ".jsonl", ".parquet"), "glob", self.glob, "must end in .txt, .jsonl or .parquet")
        if suffix == ".txt":
            _require(self.field is None, "field", self.field, "has no effect on .txt files; remove it")
        else:
            _require(self.field is not None, "field", "", f"is missing; it names the text in each row of a {suffix} file")
        return self


class HuggingFaceDomain(Domain):
    """A data set of the Hugging Face hub, or a local directory in its layout, read as a stream."""

    source: Literal["huggingface"]
    path: str
    name: str | None = None
    revision: str | None = None
    subset: str = "train"
    field: str
    limit: Count
    licence: str
    attribution: str


SOURCES = {"wheel": WheelDomain, "files": FilesDomain, "huggingface": HuggingFaceDomain}
# A domain's name is part of file names.
DomainName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")]
AnyDomain = Annotated[WheelDomain | FilesDomain | HuggingFaceDomain, Field(discriminator="source")]


class Tokens(Group):
    vocabulary: Annotated[int, Field(ge=257, le=65536)]  # all bytes and the document mark; ids fit 16 bits
    sequence: Annotated[int, Field(ge=2)]


class Model(Group):
    layers: Count
    width: Count
    heads: Count
    big: Count
    small: Count

    @model_validator(mode="after")
    def _heads(self):
        _require(self.width % self.heads == 0, "width", self.width, f"must be divisible by heads ({self.heads})")
        _require(self.width // self.heads % 2 == 0, "width", self.width, f"width / heads ({self.heads}) must be even, for RoPE")
        return self


class Pretrain(Group):
    tokens: Count
    batch: Count
    mix: dict[str, Share]
    p_big: Share
    p_skip: Share
    learning_rate: Positive
    warmup: Share
    final: Share
    betas: Annotated[list[Share], Field(min_length=2, max_length=2)]
    weight_decay: Annotated[float, Field(ge=0)]
    clip: Positive
    precision: Literal["bf16", "fp32"]
    validate_every: Count
    validation_sequences: Count
    checkpoint_every: Count

    @model_validator(mode="after")
    def _chances(self):
        _require(self.p_big + self.p_skip <= 1, "p_big + p_skip", self.p_big + self.p_skip, "must be at most 1")
        total = sum(self.mix.values())
        _require(abs(total - 1) < 1e-6, "mix", self.mix, f"shares must add up to 1, not {total:g}")
        return self


class Enumerate(Group):
    context: Literal["shared"]
    documents: Annotated[int, Field(ge=2)]
    tokens: Count
    shards: Annotated[list[int], Field(min_length=1)]
    precision: Literal["bf16", "fp32"]
    rows: Count

    @model_validator(mode="after")
    def _shards(self):
        _require(self.shards == list(range(len(self.shards))), "shards", self.shards, "must be [0, 1, ...] without gaps")
        _require(len(self.shards) <= self.documents, "shards", self.shards, f"more shards than documents ({self.documents})")
        return self


class Oracle(Group):
    budgets: Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1)]
    random_routes: Count

    @model_validator(mode="after")
    def _budgets(self):
        ascending = self.budgets == sorted(set(self.budgets))
        _require(ascending, "budgets", self.budgets, "must be ascending, each once")
        return self


class Evaluate(Group):
    confidence: Annotated[float, Field(gt=0, lt=1)]
    resamples: Annotated[int, Field(ge=100)]


class Figures(Group):
    heat_maps: Annotated[list[int], Field(min_length=1)]


class Params(Group):
    """The whole experiment."""

    seed: Annotated[int, Field(ge=0)]
    runtime: Runtime
    corpus: Annotated[dict[DomainName, AnyDomain], Field(min_length=1)]
    tokens: Tokens
    model: Model
    pretrain: Pretrain
    enumerate: Enumerate
    oracle: Oracle
    evaluate: Evaluate
    figures: Figures

    @model_validator(mode="after")
    def _agree(self):
        layers = self.model.layers
        for budget in self.oracle.budgets:
            _require(budget <= layers, "oracle.budgets", budget, f"is above the number of layers (model.layers: {layers})")
        for budget in self.figures.heat_maps:
            _require(budget in self.oracle.budgets, "figures.heat_maps", budget, f"is not in oracle.budgets {self.oracle.budgets}")
        domains = list(self.corpus)
        _require(
            sorted(self.pretrain.mix) == sorted(domains),
            "pretrain.mix",
            sorted(self.pretrain.mix),
            f"must name the domains of corpus: {domains}",
        )
        _require(
            self.enumerate.tokens <= self.tokens.sequence,
            "enumerate.tokens",
            self.enumerate.tokens,
            f"is above the context length (tokens.sequence: {self.tokens.sequence})",
        )
        return self


def _require(true: bool, key: str, value: Any, remedy: str) -> None:
    if not true:
        raise ValueError(f"{key}: {value!r} {remedy}" if value != "" else f"{key}: {remedy}")


def read_yaml(path: Path) -> dict:
    """The mapping in a YAML file, as plain Python objects; InputError where there is none."""
    try:
        loaded = YAML(typ="safe", pure=True).load(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(loaded, dict):
        raise InputError(f"{path}: should hold a mapping of keys to values, not {type(loaded).__name__}")
    return loaded


def load(path: Path | str = "params.yaml") -> Params:
    """The checked experiment in `path`. InputError names every key that is wrong."""
    values = read_yaml(Path(path))
    try:
        return Params.model_validate(values)
    except ValidationError as error:
        lines = [f"{path}: {_explain(problem)}" for problem in error.errors(include_url=False)]
        raise InputError("\n".join(lines)) from None


def _explain(problem: dict) -> str:
    """One pydantic problem as a line: key, value, what would be right."""
    location, model = _follow(problem["loc"])
    key, value = ".".join(location), problem["input"]
    match problem["type"]:
        case "extra_forbidden":
            known = list(model.model_fields)
            near = difflib.get_close_matches(location[-1], known, n=1)
            return f"{key}: unknown key; " + (f"did you mean {near[0]!r}?" if near else f"known here: {', '.join(known)}")
        case "missing":
            return f"{key}: is missing"
        case "union_tag_not_found":
            return f"{key}.source: is missing; it is one of {', '.join(SOURCES)}"
        case "union_tag_invalid":
            return f"{key}.source: {value['source']!r} should be one of {', '.join(SOURCES)}"
        case "value_error":
            message = str(problem["ctx"]["error"])
            return f"{key}.{message}" if key else message
    shown = repr(value) if len(repr(value)) < 60 else type(value).__name__
    return f"{key}: {shown}: {problem['msg'][0].lower()}{problem['msg'][1:]}"


def _follow(location: tuple) -> tuple[list[str], type[Group]]:
    """A pydantic location as the file's own key path, and the group in which its last key stands."""
    if location[:1] == ("corpus",) and len(location) > 2:
        domain, source, *rest = location[1:]
        path = ["corpus", domain, *rest]
        model = Wheel if rest[:1] == ["wheels"] and len(rest) > 2 else SOURCES.get(source, Domain)
    else:
        path = list(location)
        model = Params.model_fields[path[0]].annotation if len(path) > 1 else Params
    return [str(part) for part in path if part != "[key]"], model
