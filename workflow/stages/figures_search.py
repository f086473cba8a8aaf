"""Figure of the searches that may try few routes."""

from dataclasses import asdict, replace

from duo import config, gain_artifacts
from duo.figures import base, search
from workflow import stage
from workflow.stages.headline import setting


def main() -> None:
    params = config.load()
    shown = replace(setting(), documents=params.search.documents)
    used = {name: value for name, value in asdict(shown).items() if name != "random_routes"}
    base.save(search.regret(gain_artifacts.SEARCH_CURVES.read(), shown), "search", "figures_search", used, [gain_artifacts.SEARCH_CURVES])


if __name__ == "__main__":
    stage.run(main)
