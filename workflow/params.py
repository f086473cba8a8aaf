"""params.yaml as a frozen, typed object; anything wrong in it is one error that names the key, the value and the
remedy.

`load_params()` checks the whole file, also where its groups must agree, whichever part the caller wants. The file is
read with the parser that DVC reads it with (YAML 1.2), so both see the same values.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError, model_validator
from ruamel.yaml import YAML, YAMLError

from duo.adapted_settings import require_adapted
from duo.answer_settings import require_searches
from duo.data import splits
from duo.data.sources import AnyDomain, TaskWheel
from duo.errors import InputError
from duo.figure_settings import require_figures
from duo.groups import Name, require, require_a_step, require_mix, require_tried
from duo.pretrained_settings import require_routes
from duo.routers.whole_budgets import oracle_budget
from duo.routes import STREAMED
from duo.settings import REFERENCES, Groups, OneRouter, Variant
from duo.terms import OTHERS
from duo.training import variants
from workflow.explain import explain
from workflow.trend_params import require_trend


class Params(Groups):
    """The whole experiment: every group of duo.settings, the text, the tasks, and that they agree."""

    own_text: Annotated[str, Field(min_length=1, exclude=True)]  # a path of this machine, which no page shows
    corpus: Annotated[dict[Name, AnyDomain], Field(min_length=1)]
    tasks: dict[Name, TaskWheel]

    @model_validator(mode="after")
    def _agree(self):
        layers, sequence, budgets = self.model.layers, self.tokens.sequence, self.oracle.budgets
        remedy = f"should be below model.big ({self.model.big}), or there is nothing to choose"
        require(self.model.small < self.model.big, "model.small", self.model.small, remedy)
        for budget in budgets:
            remedy = f"is above the number of layers (model.layers: {layers})"
            require(budget <= layers, "oracle.budgets", budget, remedy)
        self._check_difficulty()
        self._check_schedules()
        remedy = f"should be below the number of layers (model.layers: {layers}), or nothing is skipped"
        require(self.skips.big < layers, "skips.big", self.skips.big, remedy)
        models = self.skips.models
        require(len(set(models)) == len(models), "skips.models", models, "must name each once")
        self._check_evaluation_set()
        self._check_sampled_labels()
        self._check_joint()
        self._check_policies()
        self._check_learning()
        self._check_search()
        items = self.ablation.context + self.ablation.continuation
        remedy = f"is above the context length (tokens.sequence: {sequence})"
        require(items <= sequence, "ablation.context + continuation", items, remedy)
        for name, task in self.tasks.items():
            taken = name in self.corpus or name in self.ablation.tasks
            remedy = "needs another name: a domain of corpus, or one of ablation.tasks, has this one"
            require(not taken, f"tasks.{name}", task.layout, remedy)
        trained = _trained(self.corpus)
        require_mix("pretrain.mix", self.pretrain.mix, trained)
        for key in ("pretrain", "router", "synthetic"):
            training = getattr(self, key)
            require_a_step(f"{key}.tokens", training.tokens, training.batch, sequence)
        remedy = "must be above 0 and below 1, or the synthetic domain's model has FFNs that never train; "
        remedy += "give models a p_big of their own"
        require(0 < self.pretrain.p_big < 1, "pretrain.p_big", self.pretrain.p_big, remedy)
        self._check_models()
        if not self.model.pretrained:  # beside which nothing is trained that it could be compared with
            self._check_ablation()
            require_tried("model.layers", layers, 2**layers)
            require_tried("model.layers, in three_way", layers, 3**layers, STREAMED)
        require_trend(self, trained)
        require_routes(self, {*self.models, *self.recalibrated})
        questions = {name: task.questions for name, task in self.tasks.items()}
        require_searches(self.answers, list(self.pretrained), questions)
        self._check_contrasts()
        require_adapted(self, trained)
        for name, router in self.routers.items():
            self._check_router(f"routers.{name}", router)
        require_figures(self)
        return self

    def _check_difficulty(self) -> None:
        budget, budgets, passage = self.difficulty.budget, self.oracle.budgets, self.difficulty.passage
        require(budget in budgets, "difficulty.budget", budget, f"is not in oracle.budgets {budgets}")
        for end in (0, self.model.layers):
            require(end in budgets, "oracle.budgets", budgets, f"lacks {end}, which difficulty compares with")
        tokens = self.evaluation_set.tokens
        remedy = f"is above the tokens of a document (evaluation_set.tokens: {tokens})"
        require(passage <= tokens, "difficulty.passage", passage, remedy)

    def _check_schedules(self) -> None:
        ends, budgets = self.schedules, self.oracle.budgets
        require(ends[0] > ends[1], "schedules", ends, "must fall; its reverse is run beside it")
        for budget in range(min(ends), max(ends) + 1):
            remedy = f"passes budget {budget}, which is not in oracle.budgets {budgets}"
            require(budget in budgets, "schedules", ends, remedy)
        require(sum(ends) % 2 == 0, "schedules", ends, "must have a whole mean, the constant budget beside it")

    def _check_evaluation_set(self) -> None:
        tokens, documents = self.evaluation_set.tokens, self.evaluation_set.documents
        shards, three_way = self.route_losses.shards, self.three_way
        remedy = f"is above the context length (tokens.sequence: {self.tokens.sequence})"
        require(tokens <= self.tokens.sequence, "evaluation_set.tokens", tokens, remedy)
        remedy = f"more shards than documents (evaluation_set.documents: {documents})"
        require(len(shards) <= documents, "route_losses.shards", shards, remedy)
        remedy = f"is above evaluation_set.tokens ({tokens})"
        require(three_way.tokens <= tokens, "three_way.tokens", three_way.tokens, remedy)
        remedy = f"is above evaluation_set.documents ({documents})"
        require(three_way.documents <= documents, "three_way.documents", three_way.documents, remedy)

    def _check_sampled_labels(self) -> None:
        enumerated, labels, routes = self.route_losses.models, self.sampled_labels.reference, 2**self.model.layers
        if isinstance(labels, int):
            require(
                labels < routes,
                "sampled_labels.reference",
                labels,
                f"is no route's code, which are below 2 ** model.layers ({routes})",
            )
        seeds = variants.as_trained(enumerated, self.recalibrated)
        for teacher in self.sampled_labels.teachers:
            remedy = f"is none of models: {list(self.models)}"
            if teacher == OTHERS:
                remedy = f"is sampled_labels.{OTHERS}: true now"
            require(teacher in self.models, "sampled_labels.teachers", teacher, remedy)
            remedy = f"is judged itself (route_losses.models: {enumerated}); take another, or sampled_labels.{OTHERS}"
            require(teacher not in enumerated, "sampled_labels.teachers", teacher, remedy)
        remedy = f"needs two or more of route_losses.models, which are {seeds}"
        require(not self.sampled_labels.others or len(seeds) > 1, "sampled_labels.others", True, remedy)

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
        remedy = "asks for more than the tokens of a domain that they are looked for among "
        remedy += f"(policies.train_documents * evaluation_set.tokens: {tokens})"
        require(policies.neighbours[-1] <= tokens, "policies.neighbours", policies.neighbours, remedy)

    def _check_learning(self) -> None:
        layers, budgets = self.model.layers, self.oracle.budgets
        for budget in self.learning.budgets:
            remedy = f"leaves no choice; should be below model.layers ({layers})"
            require(budget < layers, "learning.budgets", budget, remedy)
            require(budget in budgets, "learning.budgets", budget, f"is not in oracle.budgets {budgets}")

    def _check_joint(self) -> None:
        joint, budgets, first = self.joint, self.oracle.budgets, self.route_losses.models[0]
        for budget in joint.budgets:
            require(budget in budgets, "joint.budgets", budget, f"is not in oracle.budgets {budgets}")
        documents, most = joint.documents, self.evaluation_set.documents
        require(documents <= most, "joint.documents", documents, f"is above evaluation_set.documents ({most})")
        if joint.reference not in REFERENCES:
            fit = [
                name
                for name, router in self.routers.items()
                if router.model == first and set(router.choices) == {"small", "big"}
            ]
            remedy = f"is neither of {', '.join(REFERENCES)} nor a router of small and big in model {first!r} "
            remedy += f"(those: {', '.join(fit)})"
            require(joint.reference in fit, "joint.reference", joint.reference, remedy)

    def _check_search(self) -> None:
        layers, documents = self.model.layers, self.evaluation_set.documents
        for budget in self.search.budgets:
            require(
                budget < layers, "search.budgets", budget, f"leaves no choice; should be below model.layers ({layers})"
            )
        searched = self.search.documents
        require(searched <= documents, "search.documents", searched, f"is above evaluation_set.documents ({documents})")

    def _check_contrasts(self) -> None:
        for name, domains in self.contrasts.items():
            for domain in domains:
                remedy = f"is no domain of corpus: {list(self.corpus)}"
                require(domain in self.corpus, f"contrasts.{name}", domain, remedy)
            require(len(set(domains)) == 2, f"contrasts.{name}", domains, "must name two domains")

    def _check_recalibrated(self) -> None:
        named, first = self.route_losses.models, self.route_losses.models[0]
        for name, model in self.recalibrated.items():
            key = f"recalibrated.{name}"
            require(name not in self.models, key, model, "needs another name: this one is one of models")
            require(model in self.models, key, model, f"is none of models: {list(self.models)}")
        remedy = "is recalibrated; other stages study the first, which must be as it was trained"
        require(first not in self.recalibrated, "route_losses.models", first, remedy)
        require(len(set(named)) == len(named), "route_losses.models", named, "must name each once")

    def _check_models(self) -> None:
        uses = {
            "skips.models": self.skips.models,
            "three_way.model": [self.three_way.model],
        }
        uses |= {"ablation.models": self.ablation.models}
        uses |= {f"routers.{name}.model": [router.model] for name, router in self.routers.items()}
        self._check_recalibrated()
        seeds = variants.as_trained(self.route_losses.models, self.recalibrated)
        uses |= {"route_losses.models": seeds}
        for key, names in uses.items():
            for name in names:
                require(name in self.models, key, name, f"is none of models: {list(self.models)}")
        enumerated = [self.models[name] for name in seeds]
        by_seed = (
            len({model.seed for model in enumerated}) == len(enumerated)
            and len({variants.without_seed(model) for model in enumerated}) == 1
        )
        require(
            by_seed, "route_losses.models", self.route_losses.models, "must differ by their seeds, and by nothing else"
        )
        skipping = {
            f"routers.{name}.model": [each.model] for name, each in self.routers.items() if "skip" in each.choices
        }
        for name, variant in self.models.items():
            settings = self.pretrain.model_dump() | variant.model_dump(exclude_none=True)
            total = settings["p_big"] + settings["p_skip"]
            require(total <= 1, f"models.{name}", "", f"p_big + p_skip is {total:g}, must be at most 1")
            for key, used in {"three_way.model": [self.three_way.model], **skipping}.items():
                remedy = "never skipped in training (p_skip: 0), so that what it would do is no finding"
                require(name not in used or settings["p_skip"] > 0, key, name, remedy)
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
        seeds = variants.as_trained(self.route_losses.models, self.recalibrated)
        wanted = seeds[0]
        require(
            first == wanted,
            "ablation.models",
            first,
            f"comes first, but all are compared with route_losses' first model, {wanted!r}",
        )
        kinds = {name: variants.kind(self.models[name], self.pretrain.p_big) for name in self.ablation.models}
        require(
            kinds[first] == "duo",
            "ablation.models",
            first,
            "comes first, but has no small and big FFNs trained together",
        )
        duos = [name for name, kind in kinds.items() if kind == "duo"]
        for name in duos:
            remedy = "is neither dense (p_big: 1) nor frozen (big_first), nor one of route_losses.models, whose seeds "
            remedy += f"others are compared with: {seeds}"
            require(name in seeds, "ablation.models", name, remedy)
        seeds = [self.models[name].seed for name in duos]
        widths = [f"{sizes.small + p * (sizes.big - sizes.small):g}" for p in self.ablation.p_big]
        for name in others:
            seed = self.models[name].seed
            remedy = f"has seed {seed}, but none of route_losses.models that ablation.models names has ({duos})"
            require(seed in seeds, "ablation.models", name, remedy)
            if kinds[name] == "dense":
                width = self.models[name].big or sizes.big
                equal = variants.equal_chance(self.ablation.p_big, width, sizes.small, sizes.big) is not None
                remedy = f"has an FFN of width {width}, whose FLOPs are those of no chance in ablation.p_big "
                remedy += f"(these: {', '.join(widths)})"
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
        require_mix(f"{key}.mix", router.mix, _trained(self.corpus))
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


def _trained(corpus: Mapping[str, AnyDomain]) -> list[str]:
    """Names of the domains that have training text."""
    return [name for name, domain in corpus.items() if "train" in splits.named(domain)]


def read_yaml(path: Path, loader: YAML | None = None) -> dict:
    """The mapping in a YAML file, as plain Python objects unless the loader makes others;

    InputError where there is none.
    """
    try:
        loaded = (loader or YAML(typ="safe")).load(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except OSError as error:
        raise InputError(f"{path}: can't be read: {error.strerror}") from None
    except RecursionError:
        raise InputError(f"{path}: nested too deeply") from None
    except (YAMLError, UnicodeDecodeError) as error:
        words = " ".join(str(error).split())
        remedy = (
            "; in braces, a value with a colon needs quotes, and a key's colon a space"
            if "unexpected ':'" in words
            else ""
        )
        raise InputError(f"{path}: not valid YAML: {words}{remedy}") from None
    if not isinstance(loaded, dict):
        raise InputError(f"{path}: should hold a mapping of keys to values, not {type(loaded).__name__}")
    return loaded


def load_params(path: Path | str = "params.yaml") -> Params:
    """The checked experiment in `path`. InputError names every key that is wrong."""
    values = read_yaml(Path(path))
    try:
        return Params.model_validate(values)
    except ValidationError as error:
        lines = [f"{path}: {explain(problem, Params)}" for problem in error.errors(include_url=False)]
        raise InputError("\n".join(lines)) from None
