"""Figure of what the oracle claims and what its choices give, in every context."""

from dataclasses import asdict, replace

from duo.figures import base, joint
from duo.tables.studies import CONTEXT_CURVES
from workflow import stage
from workflow.params import load_params
from workflow.stages.headline import setting


def main() -> None:
    params = load_params()
    shown = replace(setting(), documents=params.contexts.documents)
    used = {name: value for name, value in asdict(shown).items() if name not in ("context", "random_routes")}
    used |= {"kinds": params.contexts.kinds, "reference": params.contexts.reference}
    picture = joint.claimed_and_realised(CONTEXT_CURVES.read(), params.contexts.reference, shown)
    base.save(picture, "contexts", "figures_contexts", used, [CONTEXT_CURVES])


if __name__ == "__main__":
    stage.run(main)
