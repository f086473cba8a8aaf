"""What each group of params.yaml holds: its keys, their types, and which values make sense within the group.

Declarations and checks alone, which can't change what a value does; so a stage's results don't depend on this module
(workflow/code.py). What is computed from settings stands where it is used; a default is None, which is told there too.
"""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from duo.terms import ALL_BIG, ALL_SMALL, RANDOM

Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1)]
Several = Annotated[int, Field(ge=2)]
Positive = Annotated[float, Field(gt=0)]
Seed = Annotated[int, Field(ge=0)]
Names = Annotated[list[str], Field(min_length=1)]
Objective = Literal["expected_loss", "value", "distillation", "straight_through"]
Method = Literal["random", "mcts", "evolution", "beam", "one_flip", "two_flip", "additive"]
Budgets = Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1)]  # big layers per token


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
    """Where a domain's text comes from and how it is split; `duo.data.corpus` reads it."""

    language: Literal["python"] | None = None
    split_by: Literal["document", "package"] | None = None  # None: document
    validation: Share | None = None
    test: Share | None = None
    limit: Count | None = None

    @model_validator(mode="after")
    def _split(self):
        wheels = getattr(self, "wheels", [])
        if self.split_by == "package":
            require(bool(wheels), "split_by", "package", "only wheels are packages; use split_by: document")
            for key in ("validation", "test"):
                value = getattr(self, key)
                require(value is None, key, value, "has no effect with split_by: package; remove it")
            for split in ("train", "validation", "test"):
                there = any(wheel.split == split for wheel in wheels)
                require(there, "wheels", "", f"no wheel has split: {split}; every split needs one")
            every = all(wheel.split for wheel in wheels)
            require(every, "wheels", "", "every wheel needs a split with split_by: package")
        else:
            both = self.validation is not None and self.test is not None
            require(both, "validation, test", "", "must be given with split_by: document")
            for key in ("validation", "test"):
                value = getattr(self, key)
                require(value > 0, key, value, "must be above 0; later stages need every split")
            total = self.validation + self.test
            require(total < 1, "validation + test", total, "leaves nothing to train on")
            none = not any(wheel.split for wheel in wheels)
            require(none, "wheels", "", "a split has no effect with split_by: document; remove it")
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
DomainName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")]  # it is part of file names
AnyDomain = Annotated[WheelDomain | FilesDomain | HuggingFaceDomain, Field(discriminator="source")]


class Tokens(Group):
    vocabulary: Annotated[int, Field(ge=257, le=65536)]  # all bytes and the BOS token; ids fit 16 bits
    sequence: Several
    pretrained: str | None = None  # whose tokenizer, if not one of our own: a directory or NAME[@REVISION] on the hub


class Model(Group):
    layers: Count
    width: Count
    heads: Count
    big: Count
    small: Count
    pretrained: str | None = None  # an OPT whose weights stay as they are, beside new small FFNs; named as in Tokens

    @model_validator(mode="after")
    def _heads(self):
        require(self.width % self.heads == 0, "width", self.width, f"must be divisible by heads ({self.heads})")
        even = self.width // self.heads % 2 == 0
        require(even, "width", self.width, f"width / heads ({self.heads}) must be even, for RoPE")
        return self


class Training(Group):
    """What every training says of itself; `duo.training.loop` runs it."""

    tokens: Count
    batch: Count
    learning_rate: Positive
    warmup_fraction: Share
    final_lr_ratio: Share
    betas: Annotated[list[Share], Field(min_length=2, max_length=2)]
    weight_decay: Annotated[float, Field(ge=0)]
    grad_clip: Positive
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
        require(self.p_big + self.p_skip <= 1, "p_big + p_skip", self.p_big + self.p_skip, "must be at most 1")
        require_whole(self.mix)
        return self


class Variant(Group):
    """One training of the backbone: its seed, and what it changes in Pretrain and in the big FFN's width."""

    seed: Seed
    p_big: Share | None = None
    p_skip: Share | None = None
    big_first: Annotated[float, Field(gt=0, lt=1)] | None = None
    big: Count | None = None


class EvaluationSize(Group):
    """How much of every domain is evaluated; `duo.data.evaluation_set` chooses it."""

    documents: Several
    tokens: Several


class RouteLosses(Group):
    models: Names
    shards: Annotated[list[int], Field(min_length=1)]
    precision: Literal["bf16", "fp32"]
    chunk: Count

    @model_validator(mode="after")
    def _shards(self):
        require(self.shards == list(range(len(self.shards))), "shards", self.shards, "must be [0, 1, ...] without gaps")
        return self


class Oracle(Group):
    budgets: Budgets
    random_routes: Count

    @model_validator(mode="after")
    def _budgets(self):
        require_ascending(self, "budgets")
        return self


class Skips(Group):
    models: Names
    scope: Literal["ffn", "layer"]
    big: Count


class ThreeWay(Group):
    model: str
    documents: Several
    tokens: Count


class Difficulty(Group):
    budget: Annotated[int, Field(ge=0)]
    passage: Count


class Router(Training):
    """How routers are trained; `duo.routers.gate` does it."""

    alpha: Annotated[float, Field(ge=0)]
    temperature: Annotated[list[Positive], Field(min_length=2, max_length=2)]
    backbone: Literal["frozen", "trained"]

    @model_validator(mode="after")
    def _annealed(self):
        first, last = self.temperature
        require(first >= last, "temperature", self.temperature, "must not rise: its last value hardens the choices")
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
        require(len(set(self.choices)) == len(self.choices), "choices", self.choices, "must name each choice once")
        require("big" in self.choices, "choices", self.choices, "must hold big, whose number is the budget")
        fits = (len(self.choices) == 3) == (self.skip is not None)
        require(fits, "skip", self.skip, "is given with three choices alone; with two it follows from big")
        require_whole(self.mix)
        return self


class Ablation(Group):
    p_big: Annotated[list[Share], Field(min_length=2)]
    models: Names
    draws: Count
    items: Several
    context: Count
    continuation: Count
    tasks: list[str]

    @model_validator(mode="after")
    def _ascending(self):
        require_ascending(self, "p_big")
        require_once(self, "models", "tasks")
        return self


class SampledLabels(Group):
    """The label-resampling null of the oracle's gain; `duo.oracle.null` reads it."""

    reference: str | Annotated[int, Field(ge=0)]
    temperature: Positive
    samples: Count
    teachers: Names
    others: bool

    @model_validator(mode="after")
    def _known(self):
        known = isinstance(self.reference, int) or self.reference in (ALL_BIG, ALL_SMALL)
        require(known, "reference", self.reference, f"is neither {ALL_BIG}, {ALL_SMALL} nor a route's code")
        require_once(self, "teachers")
        return self


class Joint(Group):
    """What the other tokens of a sequence do while one token's routes are tried; `duo.oracle.joint` reads it."""

    contexts: Annotated[list[Literal["shared", "reference", "greedy"]], Field(min_length=1)]
    reference: str
    documents: Several
    budgets: Budgets

    @model_validator(mode="after")
    def _once(self):
        require_once(self, "contexts")
        require_ascending(self, "budgets")
        return self


class Synthetic(Group):
    """The domain whose difficulty is known; `duo.data.synthetic` makes it."""

    seed: Seed
    tokens: Count
    batch: Count
    documents: Several


class Policies(Group):
    """Routers that learn from the exact losses of all routes, and their baselines; for `duo.routers.policies`."""

    train_documents: Count
    validation_documents: Count
    budgets: Annotated[list[Annotated[int, Field(ge=1)]], Field(min_length=1)]
    objectives: Annotated[list[Objective], Field(min_length=1)]
    inputs: Annotated[list[Literal["layers", "upfront"]], Field(min_length=1)]
    networks: Annotated[list[Literal["linear", "mlp"]], Field(min_length=1)]
    hidden: Count
    steps: Count
    batch: Count
    learning_rate: Positive
    temperatures: Annotated[list[Positive], Field(min_length=1)]
    neighbours: Annotated[list[Count], Field(min_length=1)]

    @model_validator(mode="after")
    def _ascending(self):
        require_ascending(self, "budgets", "temperatures", "neighbours")
        require_once(self, "objectives", "inputs", "networks")
        return self


class Search(Group):
    """Searches for a token's best route that may look at few routes; `duo.oracle.search` runs them."""

    methods: Annotated[list[Method], Field(min_length=1)]
    documents: Several
    budgets: Annotated[list[Annotated[int, Field(ge=1)]], Field(min_length=1)]
    evaluations: Count

    @model_validator(mode="after")
    def _compared(self):
        require_once(self, "methods", "budgets")
        require("random" in self.methods, "methods", self.methods, "lacks random, which the others are compared with")
        return self


class Bootstrap(Group):
    confidence: Annotated[float, Field(gt=0, lt=1)]
    resamples: Annotated[int, Field(ge=100)]


class Figures(Group):
    heat_maps: Annotated[list[int], Field(min_length=1)]
    patterns: Annotated[dict[DomainName, Names], Field(min_length=1)]


REFERENCES = ALL_BIG, ALL_SMALL, RANDOM  # in joint.reference, beside the names of routers
NAMED = {"models": Variant, "routers": OneRouter}  # groups whose keys are names that the user gives


def require(true: bool, key: str, value: Any, remedy: str) -> None:
    if not true:
        raise ValueError(f"{key}: {value!r} {remedy}" if value != "" else f"{key}: {remedy}")


def require_once(group: Group, *keys: str) -> None:
    for key in keys:
        values = getattr(group, key)
        require(len(set(values)) == len(values), key, values, "must name each once")


def require_ascending(group: Group, *keys: str) -> None:
    for key in keys:
        values = getattr(group, key)
        require(values == sorted(set(values)), key, values, "must be ascending, each once")


def require_whole(mix: Mix) -> None:
    total = sum(mix.values())
    require(abs(total - 1) < 1e-6, "mix", mix, f"shares must add up to 1, not {total:g}")


def require_mix(key: str, mix: Mix, domains: list[str]) -> None:
    require(sorted(mix) == sorted(domains), key, sorted(mix), f"must name the domains of corpus: {domains}")
