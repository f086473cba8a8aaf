"""Cards: small files that each stand for the weights of one model.

DVC can't list the models that params name in a list as dependencies, and the directory of all models is more than a
stage names. So a stage group that has an instance for each of them writes a card for each, and what reads them all
depends on the directory of these cards. workflow/stage.py lets it read the models that its cards stand for.
"""

import json
from collections.abc import Iterable
from pathlib import Path

from duo.tables.files import Json
from duo.tables.training import MODEL

CARD = Json("weights/{role}/{model}.json")
FOLDER = Path("artifacts/weights")


def write_card(role: str, model: str) -> None:
    """Write the card of a model in its role, from its weights."""
    card = {"file": MODEL.path(model=model).as_posix(), "md5": MODEL.digest(model=model)}
    CARD.write(card, role=role, model=model)


def stood_for(paths: Iterable[str]) -> set[str]:
    """The files of models that stand behind these dependencies."""
    folders = [Path(path) for path in paths if Path(path).is_relative_to(FOLDER)]
    return {
        json.loads(card.read_text(encoding="utf-8"))["file"] for folder in folders for card in folder.rglob("*.json")
    }
