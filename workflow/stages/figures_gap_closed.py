"""Figure of routers with exact supervision: how much of the attainable gap they close."""

from dataclasses import asdict

from duo.figures import base, gap_closed
from duo.tables.studies import GAP_CLOSED_CURVES
from workflow import stage
from workflow.params import load_params
from workflow.stages.headline import setting


def main() -> None:
    params = load_params()
    shown, teacher = setting(), params.sampled_labels.teachers[0]
    used = {name: value for name, value in asdict(shown).items() if name != "random_routes"} | {"teacher": teacher}
    used |= {"policies": params.policies.model_dump()}
    picture = gap_closed.shares(GAP_CLOSED_CURVES.read(), teacher, shown)
    base.save(picture, "gap-closed", "figures_gap_closed", used, [GAP_CLOSED_CURVES])


if __name__ == "__main__":
    stage.run(main)
