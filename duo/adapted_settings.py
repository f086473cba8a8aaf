"""What the group `adapted` of params.yaml holds; declarations and checks alone, as in duo.settings."""

from typing import Any

from pydantic import model_validator

from duo.groups import (
    Count,
    Group,
    Inner,
    Many,
    Optimizer,
    Positive,
    Seed,
    Several,
    Share,
    require,
    require_a_step,
    require_mix,
)


class Part(Group):
    """One training, and what it changes in the group that has its other settings."""

    tokens: Many
    learning_rate: Positive


class Adapted(Group):
    """Small FFNs beside those of a pretrained model; `duo.training.adapt` trains them, and `duo.routers.gate` routers
    over them. What is not said here, the groups pretrain and router say.
    """

    seed: Seed
    small: Inner
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
    for name, one in params.adapted.items():
        require(name in params.pretrained, "adapted", name, f"is none of pretrained: {list(params.pretrained)}")
        for part in ("fit", "routes", "router"):
            require_a_step(f"adapted.{name}.{part}.tokens", getattr(one, part).tokens, one.batch, one.sequence)
    for name, router in params.adapted_routers.items():
        known, key = list(params.adapted), f"adapted_routers.{name}"
        require(router.model in known, f"{key}.model", router.model, f"is none of adapted: {known}")
        require_mix(f"{key}.mix", router.mix, trained)
