"""What the group `figures` of params.yaml holds; declarations and checks alone, as in duo.settings."""

from collections import Counter
from typing import Annotated, Any

from pydantic import Field, model_validator

from duo.groups import Group, Name, Names, require, require_once

# Figures that every experiment has; tests/workflow/test_params.py holds the list to dvc.yaml.
ALWAYS = (
    *("headline", "training", "figure-2", "figure-seeds", "figure-3", "figure-4a", "figure-4b", "figure-4c"),
    *("figure-5", "figure-classes", "figure-2d", "skips", "figure-three-way", "figure-8", "gain-split", "choosers"),
    *("null-heat-maps", "verdicts", "synthetic", "order-statistics", "spectrum", "cross-seed", "search", "joint"),
    *("gap-closed", "learning-curves"),
)


class Figures(Group):
    heat_maps: Annotated[list[int], Field(min_length=1)]
    patterns: Annotated[dict[Name, Names], Field(min_length=1)]
    adapted_patterns: dict[Name, Names]
    trends: dict[Name, Names]
    answers: dict[Name, Names]

    @model_validator(mode="after")
    def _once(self):
        require_once(self, "heat_maps")
        for key in ("patterns", "adapted_patterns", "trends", "answers"):
            for figure, names in getattr(self, key).items():
                require(len(set(names)) == len(names), f"{key}.{figure}", names, "must name each once")
        return self


def require_figures(params: Any) -> None:
    """ValueError where a figure shows what the other groups of params.yaml (workflow.params.Params) don't have, or has
    the name of another one, whose file it would replace.
    """
    figures, budgets = params.figures, params.oracle.budgets
    for budget in figures.heat_maps:
        require(budget in budgets, "figures.heat_maps", budget, f"is not in oracle.budgets {budgets}")
    shown = {
        "patterns": ("routers", params.routers),
        "adapted_patterns": ("adapted_routers", params.adapted_routers),
        "trends": ("trend.lines", params.trend.lines),
        "answers": ("answers", params.answers),
    }
    for key, (group, known) in shown.items():
        for figure, names in getattr(figures, key).items():
            for name in names:
                require(name in known, f"figures.{key}.{figure}", name, f"is none of {group}: {list(known)}")
    for figure, names in figures.adapted_patterns.items():
        models = sorted({params.adapted_routers[name].model for name in names})
        remedy = f"should be routers of one model, not of {', '.join(models)}"
        require(len(models) == 1, f"figures.adapted_patterns.{figure}", names, remedy)
    _require_names(params, list(shown))


def _require_names(params: Any, keys: list[str]) -> None:
    routes = [
        (f"pretrained_routes.{name}", each) for name in params.pretrained_routes for each in (name, f"{name}-places")
    ]
    given = routes + [(f"figures.{key}.{name}", name) for key in keys for name in getattr(params.figures, key)]
    taken = Counter([*ALWAYS, *(name for _, name in given)])
    for key, name in given:
        require(taken[name] == 1, key, name, "needs another name: another figure has this one")
