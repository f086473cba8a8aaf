"""What the group `adapted` of params.yaml holds; declarations and checks alone, as in duo.settings."""

from typing import Any

from pydantic import model_validator

from duo.groups import Count, Group, Optimizer, Positive, Seed, Several, Share, require, require_mix


class Part(Group):
    """One training, and what it changes in the group that has its other settings."""

    tokens: Count
    learning_rate: Positive


class Adapted(Group):
    """Small FFNs beside those of a pretrained model; `duo.training.adapt` trains them, and `duo.routers.gate` routers
    over them. What is not said here, the groups pretrain and router say.
    """

    seed: Seed
    small: Count
    sequence: Several
    batch: Count
    optimizer: Optimizer
    validation_sequences: Count
    p_big: Share
    p_skip: Share
    fit: Part
    routes: Part
    router: Part

    @model_validator(mode="after")
    def _chances(self):
        require(
            self.p_big + self.p_skip < 1, "p_big + p_skip", self.p_big + self.p_skip, "leaves nothing to small FFNs"
        )
        return self


def require_adapted(params: Any, trained: list[str]) -> None:
    """That the other groups of params.yaml (workflow.params.Params) agree with what is adapted; trained: names of the
    domains that have training text.
    """
    for name in params.adapted:
        require(name in params.pretrained, "adapted", name, f"is none of pretrained: {list(params.pretrained)}")
    for name, router in params.adapted_routers.items():
        known, key = list(params.adapted), f"adapted_routers.{name}"
        require(router.model in known, f"{key}.model", router.model, f"is none of adapted: {known}")
        require_mix(f"{key}.mix", router.mix, trained)
    for figure, names in params.figures.adapted_patterns.items():
        known, key = params.adapted_routers, f"figures.adapted_patterns.{figure}"
        for name in names:
            require(name in known, key, name, f"is none of adapted_routers: {list(known)}")
        models = sorted({known[name].model for name in names})
        require(len(models) == 1, key, names, f"should be routers of one model, not of {', '.join(models)}")
        taken = figure in params.figures.patterns or figure in params.figures.trends
        require(not taken, "figures.adapted_patterns", figure, "needs another name: another figure has it")
