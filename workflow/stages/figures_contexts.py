"""Figure of what the oracle claims and what its choices give, in every context."""

from dataclasses import asdict, replace

from duo import config, gain_artifacts
from duo.figures import base, contexts
from workflow import stage
from workflow.stages.headline import setting


def main() -> None:
    params = config.load()
    shown = replace(setting(), documents=params.contexts.documents)
    used = {name: value for name, value in asdict(shown).items() if name not in ("context", "random_routes")}
    used |= {"kinds": params.contexts.kinds, "reference": params.contexts.reference}
    picture = contexts.claimed_and_realised(gain_artifacts.CONTEXT_CURVES.read(), params.contexts.reference, shown)
    base.save(picture, "contexts", "figures_contexts", used, [gain_artifacts.CONTEXT_CURVES])


if __name__ == "__main__":
    stage.run(main)
