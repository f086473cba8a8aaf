"""params.yaml as a frozen, typed object; anything wrong in it is one error that names the key, the value and the
remedy.

`load_params()` checks the whole file, also where its groups must agree, whichever part the caller wants. The file is
read with the parser that DVC reads it with (YAML 1.2), so both see the same values.
"""

import difflib
from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError, model_validator
from ruamel.yaml import YAML, YAMLError

from duo.errors import InputError
from duo.routers.whole_budgets import oracle_budget
from duo.settings import (
    NAMED,
    REFERENCES,
    SOURCES,
    Ablation,
    AnyDomain,
    Bootstrap,
    Difficulty,
    Domain,
    DomainName,
    EvaluationSize,
    Figures,
    Group,
    Joint,
    Model,
    OneRouter,
    Oracle,
    Policies,
    Pretrain,
    RouteLosses,
    Router,
    Runtime,
    SampledLabels,
    Search,
    Skips,
    Synthetic,
    ThreeWay,
    Tokens,
    Variant,
    Wheel,
    require,
    require_mix,
)
from duo.terms import OTHERS

# Keys of older files, and what they are called now; none where a key had a single value and is gone.
RENAMED = {
    "enumerate.models": "route_losses.models",
    "enumerate.context": None,
    "enumerate.documents": "evaluation_set.documents",
    "enumerate.tokens": "evaluation_set.tokens",
    "enumerate.shards": "route_losses.shards",
    "enumerate.precision": "route_losses.precision",
    "enumerate.rows": "route_losses.chunk",
    "skips.skip": "skips.scope",
    "luck.labels": "sampled_labels.reference",
    "luck.temperature": "sampled_labels.temperature",
    "luck.draws": "sampled_labels.samples",
    "luck.teachers": "sampled_labels.teachers",
    "contexts.kinds": "joint.contexts",
    "contexts.reference": "joint.reference",
    "contexts.documents": "joint.documents",
    "contexts.budgets": "joint.budgets",
    "policies.train": "policies.train_documents",
    "policies.validation": "policies.validation_documents",
    "evaluate.confidence": "bootstrap.confidence",
    "evaluate.resamples": "bootstrap.resamples",
    **{
        f"{group}.{old}": f"{group}.{new}"
        for group in ("pretrain", "router")
        for old, new in {"warmup": "warmup_fraction", "final": "final_lr_ratio", "clip": "grad_clip"}.items()
    },
}


class Params(Group):
    """The whole experiment."""

    seed: Annotated[int, Field(ge=0)]
    runtime: Runtime
    corpus: Annotated[dict[DomainName, AnyDomain], Field(min_length=1)]
    tokens: Tokens
    model: Model
    pretrain: Pretrain
    models: Annotated[dict[DomainName, Variant], Field(min_length=1)]
    evaluation_set: EvaluationSize
    route_losses: RouteLosses
    oracle: Oracle
    skips: Skips
    three_way: ThreeWay
    schedules: Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=2, max_length=2)]
    difficulty: Difficulty
    router: Router
    routers: Annotated[dict[DomainName, OneRouter], Field(min_length=1)]
    ablation: Ablation
    sampled_labels: SampledLabels
    joint: Joint
    synthetic: Synthetic
    policies: Policies
    search: Search
    bootstrap: Bootstrap
    figures: Figures

    @model_validator(mode="after")
    def _agree(self):
        layers, sequence, domains = self.model.layers, self.tokens.sequence, list(self.corpus)
        budgets = self.oracle.budgets
        for budget in budgets:
            require(
                budget <= layers, "oracle.budgets", budget, f"is above the number of layers (model.layers: {layers})"
            )
        for budget in self.figures.heat_maps:
            require(budget in budgets, "figures.heat_maps", budget, f"is not in oracle.budgets {budgets}")
        require(
            self.difficulty.budget in budgets,
            "difficulty.budget",
            self.difficulty.budget,
            f"is not in oracle.budgets {budgets}",
        )
        for end in (0, layers):
            require(end in budgets, "oracle.budgets", budgets, f"lacks {end}, which difficulty compares with")
        passage, sample = self.difficulty.passage, self.evaluation_set.tokens
        require(
            passage <= sample,
            "difficulty.passage",
            passage,
            f"is above the tokens of a document (evaluation_set.tokens: {sample})",
        )
        require(
            self.schedules[0] > self.schedules[1],
            "schedules",
            self.schedules,
            "must fall; its reverse is run beside it",
        )
        for budget in range(min(self.schedules), max(self.schedules) + 1):
            require(
                budget in budgets,
                "schedules",
                self.schedules,
                f"passes budget {budget}, which is not in oracle.budgets {budgets}",
            )
        require(
            sum(self.schedules) % 2 == 0,
            "schedules",
            self.schedules,
            "must have a whole mean, the constant budget beside it",
        )
        remedy = f"should be below the number of layers (model.layers: {layers}), or nothing is skipped"
        require(self.skips.big < layers, "skips.big", self.skips.big, remedy)
        tokens, documents = self.evaluation_set.tokens, self.evaluation_set.documents
        require(
            tokens <= sequence,
            "evaluation_set.tokens",
            tokens,
            f"is above the context length (tokens.sequence: {sequence})",
        )
        shards = self.route_losses.shards
        require(
            len(shards) <= documents,
            "route_losses.shards",
            shards,
            f"more shards than documents (evaluation_set.documents: {documents})",
        )
        three_way = self.three_way
        require(
            three_way.tokens <= tokens,
            "three_way.tokens",
            three_way.tokens,
            f"is above evaluation_set.tokens ({tokens})",
        )
        require(
            three_way.documents <= documents,
            "three_way.documents",
            three_way.documents,
            f"is above evaluation_set.documents ({documents})",
        )
        self._check_sampled_labels()
        self._check_joint()
        self._check_policies()
        self._check_search()
        items = self.ablation.context + self.ablation.continuation
        require(
            items <= sequence,
            "ablation.context + continuation",
            items,
            f"is above the context length (tokens.sequence: {sequence})",
        )
        require_mix("pretrain.mix", self.pretrain.mix, domains)
        remedy = "must be above 0 and below 1, or the synthetic domain's model has FFNs that never train; give models a p_big of their own"
        require(0 < self.pretrain.p_big < 1, "pretrain.p_big", self.pretrain.p_big, remedy)
        self._check_models()
        if not self.model.pretrained:  # beside which nothing is trained that it could be compared with
            self._check_ablation()
        for figure, names in self.figures.patterns.items():
            for name in names:
                require(
                    name in self.routers,
                    f"figures.patterns.{figure}",
                    name,
                    f"is none of routers: {list(self.routers)}",
                )
        for name, router in self.routers.items():
            self._check_router(f"routers.{name}", router)
        return self

    def _check_sampled_labels(self) -> None:
        enumerated, labels, routes = self.route_losses.models, self.sampled_labels.reference, 2**self.model.layers
        if isinstance(labels, int):
            require(
                labels < routes,
                "sampled_labels.reference",
                labels,
                f"is no route's code, which are below 2 ** model.layers ({routes})",
            )
        for teacher in self.sampled_labels.teachers:
            if teacher == OTHERS:
                require(
                    len(enumerated) > 1,
                    "sampled_labels.teachers",
                    teacher,
                    f"needs two or more of route_losses.models, which are {enumerated}",
                )
            else:
                require(
                    teacher in self.models,
                    "sampled_labels.teachers",
                    teacher,
                    f"is none of models: {list(self.models)}; nor is it {OTHERS!r}",
                )
                remedy = f"is judged itself (route_losses.models: {enumerated}); take another, or {OTHERS!r}"
                require(teacher not in enumerated, "sampled_labels.teachers", teacher, remedy)

    def _check_policies(self) -> None:
        layers, policies = self.model.layers, self.policies
        for budget in policies.budgets:
            require(
                budget < layers,
                "policies.budgets",
                budget,
                f"leaves no choice; should be below model.layers ({layers})",
            )
            require(
                budget in self.oracle.budgets,
                "policies.budgets",
                budget,
                f"is not in oracle.budgets {self.oracle.budgets}",
            )
        tokens = policies.train_documents * self.evaluation_set.tokens
        remedy = f"asks for more than the tokens of a domain that they are looked for among (policies.train_documents * evaluation_set.tokens: {tokens})"
        require(policies.neighbours[-1] <= tokens, "policies.neighbours", policies.neighbours, remedy)

    def _check_joint(self) -> None:
        joint, layers, first = self.joint, self.model.layers, self.route_losses.models[0]
        for budget in joint.budgets:
            require(
                budget <= layers, "joint.budgets", budget, f"is above the number of layers (model.layers: {layers})"
            )
        documents, most = joint.documents, self.evaluation_set.documents
        require(documents <= most, "joint.documents", documents, f"is above evaluation_set.documents ({most})")
        if joint.reference not in REFERENCES:
            fit = [
                name
                for name, router in self.routers.items()
                if router.model == first and set(router.choices) == {"small", "big"}
            ]
            remedy = f"is neither of {', '.join(REFERENCES)} nor a router of small and big in model {first!r} (those: {', '.join(fit)})"
            require(joint.reference in fit, "joint.reference", joint.reference, remedy)

    def _check_search(self) -> None:
        layers, documents = self.model.layers, self.evaluation_set.documents
        for budget in self.search.budgets:
            require(
                budget < layers, "search.budgets", budget, f"leaves no choice; should be below model.layers ({layers})"
            )
        searched = self.search.documents
        require(searched <= documents, "search.documents", searched, f"is above evaluation_set.documents ({documents})")

    def _check_models(self) -> None:
        uses = {
            "route_losses.models": self.route_losses.models,
            "skips.models": self.skips.models,
            "three_way.model": [self.three_way.model],
        }
        uses |= {"ablation.models": self.ablation.models}
        uses |= {f"routers.{name}.model": [router.model] for name, router in self.routers.items()}
        for key, names in uses.items():
            for name in names:
                require(name in self.models, key, name, f"is none of models: {list(self.models)}")
        enumerated = [self.models[name] for name in self.route_losses.models]
        by_seed = (
            len({model.seed for model in enumerated}) == len(enumerated)
            and len({model.but_seed() for model in enumerated}) == 1
        )
        require(
            by_seed, "route_losses.models", self.route_losses.models, "must differ by their seeds, and by nothing else"
        )
        for name, variant in self.models.items():
            settings = self.pretrain.model_dump() | variant.model_dump(exclude_none=True)
            total = settings["p_big"] + settings["p_skip"]
            require(total <= 1, f"models.{name}", "", f"p_big + p_skip is {total:g}, must be at most 1")
            if self.model.pretrained:
                self._check_pretrained(f"models.{name}", variant, settings["p_big"])
            if variant.big_first:
                require(
                    settings["p_big"] < 1,
                    f"models.{name}.big_first",
                    variant.big_first,
                    "leaves nothing to train after it with p_big: 1",
                )

    def _check_ablation(self) -> None:
        sizes, first, *others = self.model, *self.ablation.models
        require(bool(others), "ablation.models", self.ablation.models, "names nothing to compare the first with")
        wanted = self.route_losses.models[0]
        require(
            first == wanted,
            "ablation.models",
            first,
            f"comes first, but all are compared with enumerate's first model, {wanted!r}",
        )
        kinds = {name: self.models[name].kind(self.pretrain.p_big) for name in self.ablation.models}
        require(
            kinds[first] == "duo",
            "ablation.models",
            first,
            "comes first, but has no small and big FFNs trained together",
        )
        widths = [f"{sizes.small + p * (sizes.big - sizes.small):g}" for p in self.ablation.p_big]
        for name in others:
            require(kinds[name] != "duo", "ablation.models", name, "is neither dense (p_big: 1) nor frozen (big_first)")
            if kinds[name] == "dense":
                width = self.models[name].big or sizes.big
                equal = self.ablation.chance(width, sizes.small, sizes.big) is not None
                remedy = f"has an FFN of width {width}, whose FLOPs are those of no chance in ablation.p_big (these: {', '.join(widths)})"
                require(equal, "ablation.models", name, remedy)

    def _check_pretrained(self, key: str, variant: Variant, p_big: float) -> None:
        mine, its = self.tokens.pretrained, self.model.pretrained
        require(mine == its, "tokens.pretrained", mine, f"must be that of the weights (model.pretrained: {its!r})")
        for name in ("big", "big_first"):
            value = getattr(variant, name)
            require(value is None, f"{key}.{name}", value, "has no effect on big FFNs that are pretrained; remove it")
        require(
            p_big < 1,
            f"{key}.p_big",
            p_big,
            "leaves nothing to train, as the big FFNs are pretrained (model.pretrained)",
        )

    def _check_router(self, key: str, router: OneRouter) -> None:
        layers = self.model.layers
        require_mix(f"{key}.mix", router.mix, list(self.corpus))
        total = router.big + (router.skip or 0)
        require(
            total < layers,
            f"{key}.big",
            total,
            f"should be below the number of layers (model.layers: {layers}), with skip",
        )
        budget = oracle_budget(router)
        if budget is not None:
            known = budget in self.oracle.budgets
            require(known, f"{key}.big", router.big, f"is not in oracle.budgets {self.oracle.budgets}")
        if "small" in router.choices:
            variant = self.models[router.model]
            trained = (self.pretrain.p_big if variant.p_big is None else variant.p_big) < 1
            require(
                trained, f"{key}.choices", router.choices, f"model {router.model!r} never trained small FFNs (p_big: 1)"
            )


def read_yaml(path: Path, loader: YAML | None = None) -> dict:
    """The mapping in a YAML file, as plain Python objects unless the loader makes others;

    InputError where there is none.
    """
    try:
        loaded = (loader or YAML(typ="safe", pure=True)).load(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(loaded, dict):
        raise InputError(f"{path}: should hold a mapping of keys to values, not {type(loaded).__name__}")
    return loaded


def load_params(path: Path | str = "params.yaml") -> Params:
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
            if renamed := _renamed(key):
                return renamed
            known = list(model.model_fields)
            near = difflib.get_close_matches(location[-1], known, n=1)
            return f"{key}: unknown key; " + (
                f"did you mean {near[0]!r}?" if near else f"known here: {', '.join(known)}"
            )
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


def _renamed(key: str) -> str | None:
    """The error for a key of an older params.yaml, with what it is called now; None where it is no such key."""
    now = {old: new for old, new in RENAMED.items() if old == key or old.startswith(f"{key}.")}
    if not now:
        return None
    return f"{key}: has a new name; " + ", ".join(
        f"{old} is now {new}" if new else f"{old} is gone" for old, new in now.items()
    )


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
