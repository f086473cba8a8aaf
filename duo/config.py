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

    language: Literal["python"] | None = None
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
    pretrained: str | None = None  # whose tokenizer, in place of one of our own: a local directory or NAME[@REVISION] on the hub


class Model(Group):
    layers: Count
    width: Count
    heads: Count
    big: Count
    small: Count
    pretrained: str | None = None  # an OPT whose weights stay as they are, beside new small FFNs; named as in Tokens

    @model_validator(mode="after")
    def _heads(self):
        _require(self.width % self.heads == 0, "width", self.width, f"must be divisible by heads ({self.heads})")
        _require(self.width // self.heads % 2 == 0, "width", self.width, f"width / heads ({self.heads}) must be even, for RoPE")
        return self


class Training(Group):
    """What every training says of itself; `duo.training` runs it."""

    tokens: Count
    batch: Count
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


Mix = dict[str, Share]


class Pretrain(Training):
    mix: Mix
    p_big: Share
    p_skip: Share

    @model_validator(mode="after")
    def _chances(self):
        _require(self.p_big + self.p_skip <= 1, "p_big + p_skip", self.p_big + self.p_skip, "must be at most 1")
        _require_whole(self.mix)
        return self


class Variant(Group):
    """One training of the backbone: its seed, and what it changes in Pretrain and in the big FFN's width."""

    seed: Annotated[int, Field(ge=0)]
    p_big: Share | None = None
    p_skip: Share | None = None
    big_first: Annotated[float, Field(gt=0, lt=1)] | None = None
    big: Count | None = None

    def kind(self, p_big: float) -> str:
        """dense: never but one FFN trained; frozen: small FFNs added to frozen others; duo: all at once. `p_big` is pretrain's."""
        if (p_big if self.p_big is None else self.p_big) == 1:
            return "dense"
        return "frozen" if self.big_first else "duo"

    def but_seed(self) -> "Variant":
        """The same for all models that differ by their seed alone."""
        return self.model_copy(update={"seed": 0})

    def settings(self, pretrain: Pretrain) -> Pretrain:
        """What this model is trained with; big_first and big are for the caller to heed."""
        return Pretrain(**pretrain.model_dump() | self.model_dump(include={"p_big", "p_skip"}, exclude_none=True))


class Enumerate(Group):
    models: Annotated[list[str], Field(min_length=1)]
    context: Literal["shared"]
    documents: Annotated[int, Field(ge=2)]
    tokens: Annotated[int, Field(ge=2)]
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


class Skips(Group):
    models: Annotated[list[str], Field(min_length=1)]
    skip: Literal["ffn", "layer"]
    big: Count


class ThreeWay(Group):
    model: str
    documents: Annotated[int, Field(ge=2)]
    tokens: Count


class Difficulty(Group):
    budget: Annotated[int, Field(ge=0)]
    passage: Count


class Router(Training):
    """How routers are trained; `duo.router` does it."""

    alpha: Annotated[float, Field(ge=0)]
    temperature: Annotated[list[Positive], Field(min_length=2, max_length=2)]
    backbone: Literal["frozen", "trained"]

    @model_validator(mode="after")
    def _annealed(self):
        first, last = self.temperature
        _require(first >= last, "temperature", self.temperature, "must not rise: its last value hardens the choices")
        return self


class OneRouter(Group):
    """One router: whose layers it chooses among what, and how many of them, on average, big or skipped."""

    model: str
    mix: Mix
    choices: Annotated[list[Literal["small", "big", "skip"]], Field(min_length=2)]
    big: Annotated[float, Field(gt=0)]
    skip: Annotated[float, Field(gt=0)] | None = None

    @model_validator(mode="after")
    def _space(self):
        _require(len(set(self.choices)) == len(self.choices), "choices", self.choices, "must name each choice once")
        _require("big" in self.choices, "choices", self.choices, "must hold big, whose number is the budget")
        three = len(self.choices) == 3
        _require(three == (self.skip is not None), "skip", self.skip, "is given with three choices alone; with two it follows from big")
        _require_whole(self.mix)
        return self


class Ablation(Group):
    p_big: Annotated[list[Share], Field(min_length=2)]
    models: Annotated[list[str], Field(min_length=1)]
    draws: Count
    items: Annotated[int, Field(ge=2)]
    context: Count
    continuation: Count
    tasks: list[str]

    @model_validator(mode="after")
    def _ascending(self):
        _require(self.p_big == sorted(set(self.p_big)), "p_big", self.p_big, "must be ascending, each once")
        for key in ("models", "tasks"):
            _require(len(set(getattr(self, key))) == len(getattr(self, key)), key, getattr(self, key), "must name each once")
        return self

    def chance(self, width: int, small: int, big: int) -> float | None:
        """The chance of the big FFN at which Duo does the FLOPs of a dense FFN of this inner width; None where it is none of ours."""
        return next((p for p in self.p_big if abs(small + p * (big - small) - width) < 1), None)


class Evaluate(Group):
    confidence: Annotated[float, Field(gt=0, lt=1)]
    resamples: Annotated[int, Field(ge=100)]


class Figures(Group):
    heat_maps: Annotated[list[int], Field(min_length=1)]
    patterns: Annotated[dict[DomainName, Annotated[list[str], Field(min_length=1)]], Field(min_length=1)]


NAMED = {"models": Variant, "routers": OneRouter}  # groups whose keys are names that the user gives


class Params(Group):
    """The whole experiment."""

    seed: Annotated[int, Field(ge=0)]
    runtime: Runtime
    corpus: Annotated[dict[DomainName, AnyDomain], Field(min_length=1)]
    tokens: Tokens
    model: Model
    pretrain: Pretrain
    models: Annotated[dict[DomainName, Variant], Field(min_length=1)]
    enumerate: Enumerate
    oracle: Oracle
    skips: Skips
    three_way: ThreeWay
    schedules: Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=2, max_length=2)]
    difficulty: Difficulty
    router: Router
    routers: Annotated[dict[DomainName, OneRouter], Field(min_length=1)]
    ablation: Ablation
    evaluate: Evaluate
    figures: Figures

    @model_validator(mode="after")
    def _agree(self):
        layers, sequence, domains = self.model.layers, self.tokens.sequence, list(self.corpus)
        budgets = self.oracle.budgets
        for budget in budgets:
            _require(budget <= layers, "oracle.budgets", budget, f"is above the number of layers (model.layers: {layers})")
        for budget in self.figures.heat_maps:
            _require(budget in budgets, "figures.heat_maps", budget, f"is not in oracle.budgets {budgets}")
        _require(self.difficulty.budget in budgets, "difficulty.budget", self.difficulty.budget, f"is not in oracle.budgets {budgets}")
        for end in (0, layers):
            _require(end in budgets, "oracle.budgets", budgets, f"lacks {end}, which difficulty compares with")
        passage, sample = self.difficulty.passage, self.enumerate.tokens
        _require(passage <= sample, "difficulty.passage", passage, f"is above the tokens of a document (enumerate.tokens: {sample})")
        _require(self.schedules[0] > self.schedules[1], "schedules", self.schedules, "must fall; its reverse is run beside it")
        for budget in range(min(self.schedules), max(self.schedules) + 1):
            _require(budget in budgets, "schedules", self.schedules, f"passes budget {budget}, which is not in oracle.budgets {budgets}")
        _require(sum(self.schedules) % 2 == 0, "schedules", self.schedules, "must have a whole mean, the constant budget beside it")
        remedy = f"should be below the number of layers (model.layers: {layers}), or nothing is skipped"
        _require(self.skips.big < layers, "skips.big", self.skips.big, remedy)
        tokens, documents = self.enumerate.tokens, self.enumerate.documents
        _require(tokens <= sequence, "enumerate.tokens", tokens, f"is above the context length (tokens.sequence: {sequence})")
        three_way = self.three_way
        _require(three_way.tokens <= tokens, "three_way.tokens", three_way.tokens, f"is above enumerate.tokens ({tokens})")
        _require(
            three_way.documents <= documents, "three_way.documents", three_way.documents, f"is above enumerate.documents ({documents})"
        )
        items = self.ablation.context + self.ablation.continuation
        _require(items <= sequence, "ablation.context + continuation", items, f"is above the context length (tokens.sequence: {sequence})")
        _require_mix("pretrain.mix", self.pretrain.mix, domains)
        self._check_models()
        if not self.model.pretrained:  # beside which nothing is trained that it could be compared with
            self._check_ablation()
        for figure, names in self.figures.patterns.items():
            for name in names:
                _require(name in self.routers, f"figures.patterns.{figure}", name, f"is none of routers: {list(self.routers)}")
        for name, router in self.routers.items():
            self._check_router(f"routers.{name}", router)
        return self

    def _check_models(self) -> None:
        uses = {"enumerate.models": self.enumerate.models, "skips.models": self.skips.models, "three_way.model": [self.three_way.model]}
        uses |= {"ablation.models": self.ablation.models}
        uses |= {f"routers.{name}.model": [router.model] for name, router in self.routers.items()}
        for key, names in uses.items():
            for name in names:
                _require(name in self.models, key, name, f"is none of models: {list(self.models)}")
        enumerated = [self.models[name] for name in self.enumerate.models]
        by_seed = len({model.seed for model in enumerated}) == len(enumerated) and len({model.but_seed() for model in enumerated}) == 1
        _require(by_seed, "enumerate.models", self.enumerate.models, "must differ by their seeds, and by nothing else")
        for name, variant in self.models.items():
            settings = self.pretrain.model_dump() | variant.model_dump(exclude_none=True)
            total = settings["p_big"] + settings["p_skip"]
            _require(total <= 1, f"models.{name}", "", f"p_big + p_skip is {total:g}, must be at most 1")
            if self.model.pretrained:
                self._check_pretrained(f"models.{name}", variant, settings["p_big"])
            if variant.big_first:
                _require(
                    settings["p_big"] < 1, f"models.{name}.big_first", variant.big_first, "leaves nothing to train after it with p_big: 1"
                )

    def _check_ablation(self) -> None:
        sizes, first, *others = self.model, *self.ablation.models
        _require(bool(others), "ablation.models", self.ablation.models, "names nothing to compare the first with")
        wanted = self.enumerate.models[0]
        _require(first == wanted, "ablation.models", first, f"comes first, but all are compared with enumerate's first model, {wanted!r}")
        kinds = {name: self.models[name].kind(self.pretrain.p_big) for name in self.ablation.models}
        _require(kinds[first] == "duo", "ablation.models", first, "comes first, but has no small and big FFNs trained together")
        widths = [f"{sizes.small + p * (sizes.big - sizes.small):g}" for p in self.ablation.p_big]
        for name in others:
            _require(kinds[name] != "duo", "ablation.models", name, "is neither dense (p_big: 1) nor frozen (big_first)")
            if kinds[name] == "dense":
                width = self.models[name].big or sizes.big
                equal = self.ablation.chance(width, sizes.small, sizes.big) is not None
                remedy = f"has an FFN of width {width}, whose FLOPs are those of no chance in ablation.p_big (these: {', '.join(widths)})"
                _require(equal, "ablation.models", name, remedy)

    def _check_pretrained(self, key: str, variant: Variant, p_big: float) -> None:
        mine, its = self.tokens.pretrained, self.model.pretrained
        _require(mine == its, "tokens.pretrained", mine, f"must be that of the weights (model.pretrained: {its!r})")
        for name in ("big", "big_first"):
            value = getattr(variant, name)
            _require(value is None, f"{key}.{name}", value, "has no effect on big FFNs that are pretrained; remove it")
        _require(p_big < 1, f"{key}.p_big", p_big, "leaves nothing to train, as the big FFNs are pretrained (model.pretrained)")

    def _check_router(self, key: str, router: OneRouter) -> None:
        layers = self.model.layers
        _require_mix(f"{key}.mix", router.mix, list(self.corpus))
        total = router.big + (router.skip or 0)
        _require(total < layers, f"{key}.big", total, f"should be below the number of layers (model.layers: {layers}), with skip")
        if set(router.choices) == {"small", "big"} and router.big == int(router.big):
            _require(int(router.big) in self.oracle.budgets, f"{key}.big", router.big, f"is not in oracle.budgets {self.oracle.budgets}")
        if "small" in router.choices:
            variant = self.models[router.model]
            trained = (self.pretrain.p_big if variant.p_big is None else variant.p_big) < 1
            _require(trained, f"{key}.choices", router.choices, f"model {router.model!r} never trained small FFNs (p_big: 1)")


def _require(true: bool, key: str, value: Any, remedy: str) -> None:
    if not true:
        raise ValueError(f"{key}: {value!r} {remedy}" if value != "" else f"{key}: {remedy}")


def _require_whole(mix: Mix) -> None:
    total = sum(mix.values())
    _require(abs(total - 1) < 1e-6, "mix", mix, f"shares must add up to 1, not {total:g}")


def _require_mix(key: str, mix: Mix, domains: list[str]) -> None:
    _require(sorted(mix) == sorted(domains), key, sorted(mix), f"must name the domains of corpus: {domains}")


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
        if len(path) > 2 and path[0] in NAMED:
            model = NAMED[path[0]]
    return [str(part) for part in path if part != "[key]"], model
