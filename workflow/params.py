"""params.yaml as a frozen, typed object; anything wrong in it is one error that names the key, the value and the remedy.

`load_params()` checks the whole file, also where its groups must agree, whichever part the caller wants. The file is read with
the parser that DVC reads it with (YAML 1.2), so both see the same values.
"""

import difflib
from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError, model_validator
from ruamel.yaml import YAML, YAMLError

from duo.errors import InputError
from duo.settings import (
    NAMED,
    OTHERS,
    REFERENCES,
    SOURCES,
    Ablation,
    AnyDomain,
    Contexts,
    Difficulty,
    Domain,
    DomainName,
    Enumerate,
    Evaluate,
    Figures,
    Group,
    Luck,
    Model,
    OneRouter,
    Oracle,
    Policies,
    Pretrain,
    Router,
    Runtime,
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
    luck: Luck
    contexts: Contexts
    synthetic: Synthetic
    policies: Policies
    search: Search
    evaluate: Evaluate
    figures: Figures

    @model_validator(mode="after")
    def _agree(self):
        layers, sequence, domains = self.model.layers, self.tokens.sequence, list(self.corpus)
        budgets = self.oracle.budgets
        for budget in budgets:
            require(budget <= layers, "oracle.budgets", budget, f"is above the number of layers (model.layers: {layers})")
        for budget in self.figures.heat_maps:
            require(budget in budgets, "figures.heat_maps", budget, f"is not in oracle.budgets {budgets}")
        require(self.difficulty.budget in budgets, "difficulty.budget", self.difficulty.budget, f"is not in oracle.budgets {budgets}")
        for end in (0, layers):
            require(end in budgets, "oracle.budgets", budgets, f"lacks {end}, which difficulty compares with")
        passage, sample = self.difficulty.passage, self.enumerate.tokens
        require(passage <= sample, "difficulty.passage", passage, f"is above the tokens of a document (enumerate.tokens: {sample})")
        require(self.schedules[0] > self.schedules[1], "schedules", self.schedules, "must fall; its reverse is run beside it")
        for budget in range(min(self.schedules), max(self.schedules) + 1):
            require(budget in budgets, "schedules", self.schedules, f"passes budget {budget}, which is not in oracle.budgets {budgets}")
        require(sum(self.schedules) % 2 == 0, "schedules", self.schedules, "must have a whole mean, the constant budget beside it")
        remedy = f"should be below the number of layers (model.layers: {layers}), or nothing is skipped"
        require(self.skips.big < layers, "skips.big", self.skips.big, remedy)
        tokens, documents = self.enumerate.tokens, self.enumerate.documents
        require(tokens <= sequence, "enumerate.tokens", tokens, f"is above the context length (tokens.sequence: {sequence})")
        three_way = self.three_way
        require(three_way.tokens <= tokens, "three_way.tokens", three_way.tokens, f"is above enumerate.tokens ({tokens})")
        require(three_way.documents <= documents, "three_way.documents", three_way.documents, f"is above enumerate.documents ({documents})")
        self._check_luck()
        self._check_contexts()
        self._check_policies()
        self._check_search()
        items = self.ablation.context + self.ablation.continuation
        require(items <= sequence, "ablation.context + continuation", items, f"is above the context length (tokens.sequence: {sequence})")
        require_mix("pretrain.mix", self.pretrain.mix, domains)
        remedy = "must be above 0 and below 1, or the synthetic domain's model has FFNs that never train; give models a p_big of their own"
        require(0 < self.pretrain.p_big < 1, "pretrain.p_big", self.pretrain.p_big, remedy)
        self._check_models()
        if not self.model.pretrained:  # beside which nothing is trained that it could be compared with
            self._check_ablation()
        for figure, names in self.figures.patterns.items():
            for name in names:
                require(name in self.routers, f"figures.patterns.{figure}", name, f"is none of routers: {list(self.routers)}")
        for name, router in self.routers.items():
            self._check_router(f"routers.{name}", router)
        return self

    def _check_luck(self) -> None:
        enumerated, labels, routes = self.enumerate.models, self.luck.labels, 2**self.model.layers
        if isinstance(labels, int):
            require(labels < routes, "luck.labels", labels, f"is no route's code, which are below 2 ** model.layers ({routes})")
        for teacher in self.luck.teachers:
            if teacher == OTHERS:
                require(len(enumerated) > 1, "luck.teachers", teacher, f"needs two or more of enumerate.models, which are {enumerated}")
            else:
                require(teacher in self.models, "luck.teachers", teacher, f"is none of models: {list(self.models)}; nor is it {OTHERS!r}")
                remedy = f"is judged itself (enumerate.models: {enumerated}); take another, or {OTHERS!r}"
                require(teacher not in enumerated, "luck.teachers", teacher, remedy)

    def _check_policies(self) -> None:
        layers, policies = self.model.layers, self.policies
        for budget in policies.budgets:
            require(budget < layers, "policies.budgets", budget, f"leaves no choice; should be below model.layers ({layers})")
            require(budget in self.oracle.budgets, "policies.budgets", budget, f"is not in oracle.budgets {self.oracle.budgets}")
        tokens = policies.train * self.enumerate.tokens
        remedy = f"asks for more than the tokens of a domain that they are looked for among (policies.train * enumerate.tokens: {tokens})"
        require(policies.neighbours[-1] <= tokens, "policies.neighbours", policies.neighbours, remedy)

    def _check_contexts(self) -> None:
        contexts, layers, first = self.contexts, self.model.layers, self.enumerate.models[0]
        for budget in contexts.budgets:
            require(budget <= layers, "contexts.budgets", budget, f"is above the number of layers (model.layers: {layers})")
        documents, most = contexts.documents, self.enumerate.documents
        require(documents <= most, "contexts.documents", documents, f"is above enumerate.documents ({most})")
        if contexts.reference not in REFERENCES:
            fit = [name for name, router in self.routers.items() if router.model == first and set(router.choices) == {"small", "big"}]
            remedy = f"is neither of {', '.join(REFERENCES)} nor a router of small and big in model {first!r} (those: {', '.join(fit)})"
            require(contexts.reference in fit, "contexts.reference", contexts.reference, remedy)

    def _check_search(self) -> None:
        layers, documents = self.model.layers, self.enumerate.documents
        for budget in self.search.budgets:
            require(budget < layers, "search.budgets", budget, f"leaves no choice; should be below model.layers ({layers})")
        searched = self.search.documents
        require(searched <= documents, "search.documents", searched, f"is above enumerate.documents ({documents})")

    def _check_models(self) -> None:
        uses = {"enumerate.models": self.enumerate.models, "skips.models": self.skips.models, "three_way.model": [self.three_way.model]}
        uses |= {"ablation.models": self.ablation.models}
        uses |= {f"routers.{name}.model": [router.model] for name, router in self.routers.items()}
        for key, names in uses.items():
            for name in names:
                require(name in self.models, key, name, f"is none of models: {list(self.models)}")
        enumerated = [self.models[name] for name in self.enumerate.models]
        by_seed = len({model.seed for model in enumerated}) == len(enumerated) and len({model.but_seed() for model in enumerated}) == 1
        require(by_seed, "enumerate.models", self.enumerate.models, "must differ by their seeds, and by nothing else")
        for name, variant in self.models.items():
            settings = self.pretrain.model_dump() | variant.model_dump(exclude_none=True)
            total = settings["p_big"] + settings["p_skip"]
            require(total <= 1, f"models.{name}", "", f"p_big + p_skip is {total:g}, must be at most 1")
            if self.model.pretrained:
                self._check_pretrained(f"models.{name}", variant, settings["p_big"])
            if variant.big_first:
                require(
                    settings["p_big"] < 1, f"models.{name}.big_first", variant.big_first, "leaves nothing to train after it with p_big: 1"
                )

    def _check_ablation(self) -> None:
        sizes, first, *others = self.model, *self.ablation.models
        require(bool(others), "ablation.models", self.ablation.models, "names nothing to compare the first with")
        wanted = self.enumerate.models[0]
        require(first == wanted, "ablation.models", first, f"comes first, but all are compared with enumerate's first model, {wanted!r}")
        kinds = {name: self.models[name].kind(self.pretrain.p_big) for name in self.ablation.models}
        require(kinds[first] == "duo", "ablation.models", first, "comes first, but has no small and big FFNs trained together")
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
        require(p_big < 1, f"{key}.p_big", p_big, "leaves nothing to train, as the big FFNs are pretrained (model.pretrained)")

    def _check_router(self, key: str, router: OneRouter) -> None:
        layers = self.model.layers
        require_mix(f"{key}.mix", router.mix, list(self.corpus))
        total = router.big + (router.skip or 0)
        require(total < layers, f"{key}.big", total, f"should be below the number of layers (model.layers: {layers}), with skip")
        if set(router.choices) == {"small", "big"} and router.big == int(router.big):
            require(int(router.big) in self.oracle.budgets, f"{key}.big", router.big, f"is not in oracle.budgets {self.oracle.budgets}")
        if "small" in router.choices:
            variant = self.models[router.model]
            trained = (self.pretrain.p_big if variant.p_big is None else variant.p_big) < 1
            require(trained, f"{key}.choices", router.choices, f"model {router.model!r} never trained small FFNs (p_big: 1)")


def read_yaml(path: Path, loader: YAML | None = None) -> dict:
    """The mapping in a YAML file, as plain Python objects unless the loader makes others; InputError where there is none."""
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
