"""What the group `adapted` of params.yaml holds; declarations and checks alone, as in duo.settings."""

from duo.groups import Count, Group, Positive, Seed, Several, Share


class Part(Group):
    """One part of the training, and how it differs from the others."""

    tokens: Count
    learning_rate: Positive


class Adapted(Group):
    """Small FFNs beside those of a pretrained model: their width, and what their training, and that of routers over
    them, changes in the groups pretrain and router.
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
    routers: Part
