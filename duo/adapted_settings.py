"""What the group `adapted` of params.yaml holds; declarations and checks alone, as in duo.settings."""

from pydantic import model_validator

from duo.groups import Count, Group, Positive, Seed, Several, Share, require


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
