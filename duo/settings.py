"""What each group of params.yaml holds: its keys, their types, and which values make sense within the group.

Declarations and checks alone, which can't change what a value does; so a stage's results don't depend on this module
(workflow/code.py). What is computed from settings stands where it is used; a default is None, which is told there too.
"""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from duo.adapted_settings import Adapted
from duo.answer_settings import AnswerSearch
from duo.figure_settings import Figures
from duo.groups import (
    Budgets,
    Choosers,
    Count,
    Group,
    Inner,
    Layers,
    Many,
    Mix,
    Name,
    Names,
    NotNegative,
    Optimizer,
    Positive,
    SearchMethod,
    Seed,
    Several,
    Share,
    Temperature,
    Vocabulary,
    Width,
    require,
    require_ascending,
    require_choosers,
    require_once,
    require_whole,
)
from duo.pretrained_settings import AnyPretrained, PretrainedRoutes, PretrainedWindows
from duo.terms import (
    ALL_BIG,
    ALL_SMALL,
    BASELINES,
    CEILING,
    CHOOSERS,
    EXACT,
    FIXED,
    HARD,
    MEAN,
    ORACLE,
    ORACLE_AVERAGE,
    PAPER,
    RANDOM,
    RANDOM_ALL,
    RANDOM_TOKEN,
    ROUTERS,
    SOFT,
    STRATEGIES,
)
from duo.trend_settings import Trend, TrendPoint


class Runtime(Group):
    device: Literal["cpu", "cuda"]
    threads: Annotated[int, Field(ge=1, le=1024)]
    compile: bool


class Tokens(Group):
    vocabulary: Vocabulary
    sequence: Several
    pretrained: str | None = None  # whose tokenizer, if not one of our own: a directory or NAME[@REVISION] on the hub


class Model(Group):
    layers: Layers
    width: Width
    heads: Count
    big: Inner
    small: Inner
    pretrained: str | None = None  # an OPT whose weights stay as they are, beside new small FFNs; named as in Tokens

    @model_validator(mode="after")
    def _heads(self):
        require(self.width % self.heads == 0, "width", self.width, f"must be divisible by heads ({self.heads})")
        even = self.width // self.heads % 2 == 0
        require(even, "width", self.width, f"width / heads ({self.heads}) must be even, for RoPE")
        return self


class Training(Group):
    """What every training says of itself; `duo.training.loop` runs it."""

    tokens: Many
    batch: Count
    optimizer: Optimizer
    learning_rate: Positive
    warmup_fraction: Share
    final_lr_ratio: Share
    betas: Annotated[list[Annotated[float, Field(ge=0, lt=1)]], Field(min_length=2, max_length=2)]
    weight_decay: NotNegative
    grad_clip: Positive
    precision: Literal["auto", "bf16", "fp32"]
    validate_every: Many
    validation_sequences: Count
    checkpoint_every: Many


class Pretrain(Training):
    mix: Mix | None = None  # None: equal shares of the domains that are trained on
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
    big: Inner | None = None


class EvaluationSize(Group):
    """How much of every domain is evaluated, and which windows of it; `duo.data.evaluation_set` chooses them."""

    documents: Several
    tokens: Several
    inside: Share
    shared: Share


class RouteLosses(Group):
    models: Names
    shards: Annotated[list[int], Field(min_length=1)]
    precision: Literal["auto", "bf16", "fp32"]
    chunk: Count

    @model_validator(mode="after")
    def _shards(self):
        require(self.shards == list(range(len(self.shards))), "shards", self.shards, "must be [0, 1, ...] without gaps")
        return self


class Oracle(Group):
    """Budgets at which routes are chosen, and the ways to choose; `duo.oracle.select` does it."""

    budgets: Budgets
    random_routes: Count
    strategies: Choosers

    @model_validator(mode="after")
    def _known(self):
        require_ascending(self, "budgets")
        beside = (RANDOM_ALL, FIXED, ALL_SMALL, ALL_BIG, HARD, SOFT, EXACT, ORACLE_AVERAGE)  # in the same figures
        require_choosers("strategies", self.strategies, STRATEGIES, taken=beside)
        for name in (ORACLE, RANDOM_TOKEN, MEAN):
            require(name in self.strategies, "strategies", [*self.strategies], f"lacks {name}, which claims rest on")
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


class RouterTraining(Training):
    """How routers are trained; `duo.routers.gate` does it."""

    alpha: NotNegative
    temperature: Annotated[list[Temperature], Field(min_length=2, max_length=2)]
    backbone: Literal["frozen", "trained"]

    @model_validator(mode="after")
    def _annealed(self):
        first, last = self.temperature
        require(first >= last, "temperature", self.temperature, "must not rise: its last value hardens the choices")
        return self


class OneRouter(Group):
    """One router: whose layers it chooses among what, and how many of them, on average, big or skipped."""

    model: str
    mix: Mix | None = None  # None: that of pretrain
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
    """The null of the oracle's gain; `duo.oracle.null` reads it."""

    reference: str | Annotated[int, Field(ge=0)]
    samples: Count
    within: Positive
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
    tokens: Many
    batch: Count
    documents: Several


class PolicyTraining(Group):
    """How the routers of duo are trained that learn from the losses of all routes; `duo.routers.policies` does it."""

    inputs: Annotated[list[Literal["layers", "upfront"]], Field(min_length=1)]
    networks: Annotated[list[Literal["linear", "mlp"]], Field(min_length=1)]
    hidden: Count
    steps: Count
    batch: Count
    learning_rate: Positive
    temperatures: Annotated[list[Temperature], Field(min_length=1)]

    @model_validator(mode="after")
    def _lists(self):
        require_ascending(self, "temperatures")
        require_once(self, "inputs", "networks")
        return self


class Policies(Group):
    """Routers that learn from the losses of all routes, and what they must beat."""

    train_documents: Count
    validation_documents: Count
    budgets: Annotated[list[Annotated[int, Field(ge=1)]], Field(min_length=1)]
    routers: Annotated[Choosers, Field(min_length=1)]
    baselines: Choosers
    training: PolicyTraining
    neighbours: Annotated[list[Count], Field(min_length=1)]

    @model_validator(mode="after")
    def _known(self):
        require_ascending(self, "budgets", "neighbours")
        taken = (CEILING, PAPER, *CHOOSERS)
        require_choosers("routers", self.routers, ROUTERS, taken=(*BASELINES, *taken))
        require_choosers("baselines", self.baselines, BASELINES, taken=(*ROUTERS, *self.routers, *taken))
        require(FIXED in self.baselines, "baselines", [*self.baselines], f"lacks {FIXED}, which all are compared with")
        return self


class Learning(Group):
    """How much routers learn from: the losses of a few random routes; `duo.routers.learning` trains them."""

    tokens: Annotated[list[Many], Field(min_length=2)]
    routes: Several
    budgets: Annotated[list[Annotated[int, Field(ge=1)]], Field(min_length=1)]
    steps: Count
    batch: Count

    @model_validator(mode="after")
    def _lists(self):
        require_ascending(self, "tokens", "budgets")
        return self


class Search(Group):
    """Searches for a token's best route that may look at few routes; `duo.oracle.search` runs them."""

    methods: Annotated[list[SearchMethod], Field(min_length=1)]
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
    resamples: Annotated[int, Field(ge=100, le=10**6)]


class Groups(Group):
    """All groups of params.yaml but `corpus`, which duo.data.sources declares."""

    seed: Seed
    runtime: Runtime
    tokens: Tokens
    model: Model
    pretrain: Pretrain
    models: Annotated[dict[Name, Variant], Field(min_length=1)]
    recalibrated: dict[Name, str]  # names of models, by those of what is made of them
    evaluation_set: EvaluationSize
    route_losses: RouteLosses
    oracle: Oracle
    skips: Skips
    three_way: ThreeWay
    schedules: Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=2, max_length=2)]
    difficulty: Difficulty
    router: RouterTraining
    routers: Annotated[dict[Name, OneRouter], Field(min_length=1)]
    ablation: Ablation
    sampled_labels: SampledLabels
    joint: Joint
    synthetic: Synthetic
    policies: Policies
    learning: Learning
    search: Search
    trend: Trend
    pretrained: dict[Name, AnyPretrained]
    pretrained_windows: PretrainedWindows
    pretrained_routes: dict[Name, PretrainedRoutes]
    adapted: dict[Name, Adapted]  # by names of pretrained models
    adapted_routers: dict[Name, OneRouter]
    answers: dict[Name, AnswerSearch]
    contrasts: dict[Name, Annotated[list[str], Field(min_length=2, max_length=2)]]
    bootstrap: Bootstrap
    figures: Figures


REFERENCES = ALL_BIG, ALL_SMALL, RANDOM  # in joint.reference, beside the names of routers
NAMED = {
    "models": Variant,
    "routers": OneRouter,
    "adapted": Adapted,
    "adapted_routers": OneRouter,
    "trend.points": TrendPoint,
    "pretrained_routes": PretrainedRoutes,
    "answers": AnswerSearch,
}  # groups whose keys are names that the user gives
