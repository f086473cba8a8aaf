"""Figures of single tokens: 4c, 5, and loss and gap by class."""

from dataclasses import asdict

from duo.figures import base, tokens
from duo.tables.studies import (
    DIFFICULTY,
    DIFFICULTY_CLASSES,
    DIFFICULTY_HISTOGRAM,
    PASSAGES,
    SCHEDULE_POSITIONS,
    SCHEDULE_STATISTICS,
)
from workflow import stage
from workflow.params import load_params
from workflow.stages.headline import setting


def main() -> None:
    params = load_params()
    shown, ends, budget = setting(), params.schedules, params.difficulty.budget
    used = {name: value for name, value in asdict(shown).items() if name != "random_routes"}
    files = [SCHEDULE_POSITIONS, SCHEDULE_STATISTICS]
    picture = tokens.schedules(*(file.read() for file in files), ends, shown)
    base.save(picture, "figure-4c", "figures_tokens", used | {"schedules": ends}, files)

    used |= {"budget": budget}
    documents = {passage["domain"]: passage["document"] for passage in PASSAGES.read()}
    files = [DIFFICULTY, DIFFICULTY_HISTOGRAM]
    picture = tokens.losses_and_gaps(*(file.read() for file in files), documents, budget, shown)
    base.save(picture, "figure-5", "figures_tokens", used, [*files, PASSAGES])

    picture = tokens.classes(DIFFICULTY_CLASSES.read(), list(documents), budget, shown)
    base.save(picture, "figure-classes", "figures_tokens", used, [DIFFICULTY_CLASSES])


if __name__ == "__main__":
    stage.run(main)
