"""What an entry of `answers` in params.yaml holds; declarations and checks alone, as in duo.settings."""

from collections.abc import Mapping

from pydantic import model_validator

from duo.groups import Names, Several, require
from duo.pretrained_settings import TriedRoutes


class AnswerSearch(TriedRoutes):
    """Routes are tried for a question until one makes an answer win; `duo.oracle.answers` tries all of them."""

    task: str
    questions: Several

    @model_validator(mode="after")
    def _known(self):
        require("small" not in self.choices, "choices", self.choices, "hold small, which no model of pretrained has")
        return self


def require_searches(searches: Mapping[str, AnswerSearch], models: Names, tasks: Mapping[str, int]) -> None:
    """ValueError where a search is of none of the models, asks for another task than those of `tasks`, or for more
    questions than it gives.
    """
    for name, search in searches.items():
        remedy = f"is none of pretrained: {list(models)}"
        require(search.model in models, f"answers.{name}.model", search.model, remedy)
        require(search.task in tasks, f"answers.{name}.task", search.task, f"is none of tasks: {list(tasks)}")
        most = tasks[search.task]
        remedy = f"is above tasks.{search.task}.questions ({most})"
        require(search.questions <= most, f"answers.{name}.questions", search.questions, remedy)
