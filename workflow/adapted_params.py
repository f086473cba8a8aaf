"""Checks of params.yaml: where its groups must agree about pretrained models with small FFNs beside their own."""

from typing import Any

from duo.groups import require, require_mix


def check(params: Any) -> None:
    """Of checked groups (workflow.params.Params): ValueError for the first that doesn't agree."""
    for name in params.adapted:
        remedy = f"is none of pretrained: {list(params.pretrained)}"
        require(name in params.pretrained, "adapted", name, remedy)
    for name, router in params.adapted_routers.items():
        known, key = list(params.adapted), f"adapted_routers.{name}"
        require(router.model in known, f"{key}.model", router.model, f"is none of adapted: {known}")
        require_mix(f"{key}.mix", router.mix, list(params.pretrain.mix))
    for figure, names in params.figures.adapted_patterns.items():
        key, models = f"figures.adapted_patterns.{figure}", set()
        for name in names:
            known = list(params.adapted_routers)
            require(name in known, key, name, f"is none of adapted_routers: {known}")
            models.add(params.adapted_routers[name].model)
        require(len(models) == 1, key, names, f"should be routers of one model, not of {', '.join(sorted(models))}")
        taken = figure in params.figures.patterns or figure in params.figures.trends
        require(not taken, "figures.adapted_patterns", figure, "names another figure too")
