"""What an entry of `answers` in params.yaml holds; declarations and checks alone, as in duo.settings."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, model_validator

from duo.groups import Count, Group, Names, Several, require, require_once


class AnswerSearch(Group):
    """Routes are tried for a question until one makes an answer win; `duo.oracle.answers` tries all of a space."""

    model: str
    task: str
    questions: Several
    scope: Literal["ffn", "layer"]
    choices: Annotated[list[Literal["big", "skip", "repeat"]], Field(min_length=2)]
    blocks: Count | None = None  # None: each layer is one
    departures: Count | None = None  # None: any number

    @model_validator(mode="after")
    def _space(self):
        require_once(self, "choices")
        require("big" in self.choices, "choices", self.choices, "must hold big: the model as it is comes first")
        return self


def require_searches(
    searches: Mapping[str, AnswerSearch], tasks: Mapping[str, int], figures: Mapping[str, Names]
) -> None:
    """ValueError where a search asks for another task than those of `tasks`, or for more questions than it gives, or
    one of `figures` for another search.
    """
    for name, search in searches.items():
        require(search.task in tasks, f"answers.{name}.task", search.task, f"is none of tasks: {list(tasks)}")
        most = tasks[search.task]
        remedy = f"is above tasks.{search.task}.questions ({most})"
        require(search.questions <= most, f"answers.{name}.questions", search.questions, remedy)
    for figure, names in figures.items():
        for name in names:
            require(name in searches, f"figures.answers.{figure}", name, f"is none of answers: {list(searches)}")
