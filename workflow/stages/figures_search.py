"""Figure of the searches that may try few routes."""

from dataclasses import asdict, replace

from duo.figures import base, search
from duo.tables.studies import SEARCH_CURVES
from workflow import stage
from workflow.params import load_params
from workflow.stages.headline import setting


def main() -> None:
    params = load_params()
    shown = replace(setting(), documents=params.search.documents)
    used = {name: value for name, value in asdict(shown).items() if name != "random_routes"}
    base.save(search.regret(SEARCH_CURVES.read(), shown), "search", "figures_search", used, [SEARCH_CURVES])


if __name__ == "__main__":
    stage.run(main)
